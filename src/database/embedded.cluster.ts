/**
 * One PostgreSQL data folder: made once, started and stopped many times.
 *
 *   <data folder>/postgresql/        0700, owned by the account PostgreSQL runs as
 *     cluster/                       PostgreSQL's own files; asper.conf inside is ours, written at every start
 *     password                       0600, random, made with the cluster
 *     postgres.log
 *
 * The whole of `postgresql/` is made under another name and appears by one rename: a kill in the middle of
 * the first start leaves rubbish to sweep, never half a cluster, and of two first starts one wins.
 */
import { randomBytes } from 'node:crypto';
import {
  appendFile,
  chmod,
  chown,
  lchown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Binaries } from './embedded.binaries.js';
import { type Account, causeOf, EmbeddedDatabaseError, realPathOr, run, walk } from './embedded.system.js';

export interface Cluster {
  dataDir: string;
  home: string;
  account: Account | undefined;
  binaries: Binaries;
  password: string;
  settings: Record<string, string>;
}

export interface Postmaster {
  pid: number;
  port: number;
  isAlive: boolean;
}

/** fsync and synchronous_commit stay on: this database may hold somebody's money. */
const SETTINGS: Record<string, string> = {
  shared_buffers: '256MB',
  max_connections: '100',
  // This build knows only pglz, which takes 100 µs of processor for a page image; on a ledger of 10 million entries each
  // debit wrote about one after a checkpoint: 3,392 and 3,853 debits/s with it, 5,589 and 6,100 without, for 15 % more log.
  wal_compression: 'off',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  jit: 'off', // short statements only: compiling them costs more than it saves
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_min_messages: 'log', // LOG, FATAL, PANIC: a refused statement is in the service's log, not here again
  log_checkpoints: 'off',
};
/** Not to be overridden: nothing but the loopback address, and no socket file in a shared folder. */
const FIXED_SETTINGS = { listen_addresses: '127.0.0.1', unix_socket_directories: '' };
const START_TIMEOUT_SECONDS = 120;
const STOP_TIMEOUT_MS = 60_000;
const LOG_BYTES_MAX = 1_000_000;
const ABANDONED_AFTER_MS = 10 * 60_000;
/** Higher than any pid Linux gives out, so it names no process. */
const NO_PROCESS = 2_147_483_646;

export const homeOf = (dataDir: string): string => path.join(dataDir, 'postgresql');

/** Makes the cluster if the folder has none, and checks that it is one we can run. */
export async function prepareCluster(
  place: Omit<Cluster, 'password' | 'home'>,
  log: (line: string) => void,
): Promise<Cluster> {
  const home = homeOf(place.dataDir);
  await sweepAbandoned(place.dataDir);
  if (!(await lstat(home).catch(() => undefined))) {
    log(`Making a PostgreSQL ${place.binaries.major} database in ${place.dataDir} …`);
    await initialise(place, home);
  }
  await takeOwnership(home, place.account);
  const version = await readFile(path.join(home, 'cluster', 'PG_VERSION'), 'utf8').catch(() => '');
  if (version.trim() !== place.binaries.major) {
    throw new EmbeddedDatabaseError(
      `${home} was written by PostgreSQL ${version.trim() || '(unknown)'}, and the bundled one is ` +
        `${place.binaries.major}. Move that folder aside, or set DATA_DIR to another one.`,
    );
  }
  return { ...place, home, password: (await readFile(path.join(home, 'password'), 'utf8')).trim() };
}

async function initialise(place: Omit<Cluster, 'password' | 'home'>, home: string): Promise<void> {
  const draft = path.join(place.dataDir, `.init-${process.pid}-${randomBytes(4).toString('hex')}`);
  const own = async (entry: string) => place.account && chown(entry, place.account.uid, place.account.gid);
  try {
    await mkdir(draft, { mode: 0o700 });
    await writeFile(path.join(draft, 'password'), randomBytes(24).toString('base64url'), { mode: 0o600 });
    await own(path.join(draft, 'password'));
    await own(draft);
    // The builtin C.UTF-8 sorts by code point on every machine; an operating system's upgrade cannot change it.
    const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
    const access = ['--username=asper', '--pwfile=password', '--auth=scram-sha-256'];
    const made = await run(place.binaries.initdb, [...locale, ...access, '-D', 'cluster'], {
      cwd: draft,
      account: place.account,
    });
    if (made.code !== 0) throw new Error(`initdb failed:\n${lastLines(made.output)}`);
    await appendFile(path.join(draft, 'cluster', 'postgresql.conf'), "\ninclude_if_exists = 'asper.conf'\n");
    await rename(draft, home).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error; // another first start won
    });
  } catch (error) {
    throw new EmbeddedDatabaseError(`A database cannot be made in ${place.dataDir}: ${causeOf(error)}`);
  } finally {
    await rm(draft, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Removes what a killed first start left behind, unless its process lives: it may be at work right now. */
async function sweepAbandoned(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir).catch(() => [])) {
    const pid = Number(/^\.init-(\d+)-/.exec(name)?.[1]);
    const folder = path.join(dataDir, name);
    if (!pid) continue;
    const age = Date.now() - ((await stat(folder).catch(() => undefined))?.mtimeMs ?? 0);
    if (isRunning(pid) && age < ABANDONED_AFTER_MS) continue;
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function takeOwnership(home: string, account: Account | undefined): Promise<void> {
  const { uid } = await lstat(home);
  // A backup that root copied back belongs to root: give it to the account, or PostgreSQL refuses it.
  if (account && uid === 0) await walk(home, (entry) => lchown(entry, account.uid, account.gid));
  else if (uid !== (account?.uid ?? process.getuid?.() ?? uid)) {
    throw new EmbeddedDatabaseError(
      `${home} belongs to another user (uid ${uid}). Run as that user, or set DATA_DIR to a folder of your own.`,
    );
  }
  await chmod(home, 0o700);
  const cluster = await lstat(path.join(home, 'cluster')).catch(() => undefined);
  if (cluster?.isDirectory()) await chmod(path.join(home, 'cluster'), 0o700);
}

/** Who runs, or last ran, on this cluster, by its postmaster.pid. Undefined: it was stopped in good order. */
export async function readPostmaster(cluster: Cluster): Promise<Postmaster | undefined> {
  const text = await readFile(path.join(cluster.home, 'cluster', 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Math.abs(Number(lines[0]));
  if (!pid) return undefined;
  return { pid, port: Number(lines[3]) || 0, isAlive: await isPostmaster(cluster, pid, lines[1] ?? '') };
}

/**
 * A pid is reused soon, above all in a container, where the same few come again at every start. The kernel
 * knows better: PostgreSQL stands in its data folder. A zombie stands nowhere.
 */
async function isPostmaster(cluster: Cluster, pid: number, folder: string): Promise<boolean> {
  if (!isRunning(pid)) return false;
  const own = await realPathOr(path.join(cluster.home, 'cluster'));
  if (process.platform !== 'linux') return (await realPathOr(folder)) === own;
  return readlink(`/proc/${pid}/cwd`).then(
    (cwd) => cwd === own,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Starts PostgreSQL in a session of its own. Answers undefined, or what went wrong. */
export async function startPostgres(cluster: Cluster, port: number): Promise<string | undefined> {
  const logFile = path.join(cluster.home, 'postgres.log');
  try {
    await forgetReusedPid(cluster);
    await writeSettings(cluster, port);
    const size = (await stat(logFile).catch(() => undefined))?.size ?? 0;
    if (size > LOG_BYTES_MAX) await rename(logFile, `${logFile}.1`);
  } catch (error) {
    return causeOf(error);
  }
  // Relative paths: pg_ctl hands them to /bin/sh, and the folder's own name may hold anything.
  const args = ['start', '-s', '-w', '-t', String(START_TIMEOUT_SECONDS), '-D', 'cluster', '-l', 'postgres.log'];
  const { account, home } = cluster;
  const result = await run(cluster.binaries.pgCtl, args, { cwd: home, account, ownSession: true });
  if (result.code === 0) return undefined;
  const logged = await readFile(logFile, 'utf8').catch(() => '');
  return `${lastLines(result.output)}\n${lastLines(logged)}`.trim();
}

/**
 * Stops PostgreSQL. Answers undefined, or what went wrong. `pg_ctl stop -w` would wait for whichever server the pid
 * file names, also for one that another process starts the moment this one is gone: so we wait for this one alone.
 */
export async function stopPostgres(cluster: Cluster): Promise<string | undefined> {
  const { account, home } = cluster;
  const leaving = await readPostmaster(cluster);
  const args = ['stop', '-s', '-m', 'fast', '-W', '-D', 'cluster'];
  const result = await run(cluster.binaries.pgCtl, args, { cwd: home, account, ownSession: true });
  if (result.code !== 0) return lastLines(result.output);
  for (const until = Date.now() + STOP_TIMEOUT_MS; Date.now() < until; await delay(50)) {
    const seen = await readPostmaster(cluster);
    if (!seen?.isAlive || seen.pid !== leaving?.pid) return undefined;
  }
  return `  It was told to, but still runs after ${STOP_TIMEOUT_MS / 1000} seconds.`;
}

/**
 * PostgreSQL refuses to start while the pid in postmaster.pid runs, whoever that is by now. The pid is put
 * out of the way; the rest of the file stays, because by it PostgreSQL makes sure that no server process of
 * the dead one still has the shared memory open. Removing the file would remove that guard.
 */
async function forgetReusedPid(cluster: Cluster): Promise<void> {
  const last = await readPostmaster(cluster);
  if (!last || last.isAlive || !isRunning(last.pid)) return;
  const file = path.join(cluster.home, 'cluster', 'postmaster.pid');
  const lines = (await readFile(file, 'utf8')).split('\n');
  await replaceFile(cluster, file, [NO_PROCESS, ...lines.slice(1)].join('\n'));
}

async function writeSettings(cluster: Cluster, port: number): Promise<void> {
  const settings = { ...SETTINGS, ...cluster.settings, ...FIXED_SETTINGS, port: String(port) };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  const file = path.join(cluster.home, 'cluster', 'asper.conf');
  await replaceFile(cluster, file, lines.join(''));
}

/** The folder is the account's, and we may be root: a new name, so that no link planted there is followed. */
async function replaceFile(cluster: Cluster, file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, text, { mode: 0o600, flag: 'wx' });
  if (cluster.account) await lchown(draft, cluster.account.uid, cluster.account.gid);
  await rename(draft, file);
}

function lastLines(text: string): string {
  const lines = text.trim().split('\n').slice(-8);
  return lines.map((line) => `  ${line}`).join('\n');
}
