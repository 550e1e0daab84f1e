/** Which folder holds the data, whom PostgreSQL runs as in it, and whether that can work. */
import { createHash } from 'node:crypto';
import { chmod, chown, constants, lstat, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SYSTEM_FOLDER } from './embedded.binaries.js';
import { homeOf } from './embedded.cluster.js';
import * as system from './embedded.system.js';
import { EmbeddedDatabaseError } from './embedded.system.js';

/**
 * The default is `.asper/data` in the project. As root it is /var/lib/asper-wallet/<hash>/data when the
 * project lies where PostgreSQL's account cannot go, such as /root. A database that exists keeps its owner:
 * `sudo npm start` in a user's clone runs PostgreSQL as that user.
 */
export async function chooseDataDir(
  wanted?: string,
): Promise<{ dataDir: string; account: system.Account | undefined }> {
  const project = system.projectRoot();
  const local = path.resolve(project, wanted || path.join('.asper', 'data'));
  const owner = await lstat(homeOf(local)).catch(() => undefined);
  if (system.isRoot && owner && owner.uid !== 0) return { dataDir: local, account: { uid: owner.uid, gid: owner.gid } };
  const account = await system.servantAccount();
  if (wanted || !account || (await system.isTraversable(project, account))) return { dataDir: local, account };
  const hash = createHash('sha256').update(project).digest('hex').slice(0, 12);
  return { dataDir: path.join(SYSTEM_FOLDER, hash, 'data'), account };
}

/** Makes the folder for PostgreSQL's account alone, or checks one that exists; that one keeps its owner and mode. */
export async function makeDataDir(dataDir: string, account: system.Account | undefined): Promise<void> {
  const refuse = (cause: string, advice: string): never => {
    throw new EmbeddedDatabaseError(`The data folder ${dataDir} cannot be used: ${cause}. ${advice}`);
  };
  const another = 'Set DATA_DIR to another folder.';
  try {
    const first = await mkdir(dataDir, { recursive: true, mode: 0o700 });
    if (first) {
      if (account) await chown(dataDir, account.uid, account.gid);
      for (let up = path.dirname(dataDir); up.startsWith(first); up = path.dirname(up)) await chmod(up, 0o755);
    }
  } catch (error) {
    refuse(system.causeOf(error), another);
  }
  const { mode } = await stat(dataDir);
  const isShared = (mode & 0o002) !== 0 && process.platform !== 'win32';
  if (isShared) refuse('everybody can write to it', 'Set DATA_DIR to a folder of its own inside it.');
  if (!(await isTraversableSoon(dataDir, account))) {
    const who = account ? `the user PostgreSQL runs as (uid ${account.uid})` : 'this user';
    refuse(`${who} cannot enter it or a folder above it`, `${another} /var/lib/asper-wallet/data would do.`);
  }
  const isNew = !(await lstat(homeOf(dataDir)).catch(() => undefined));
  if (isNew && !(await system.isAllowed(dataDir, constants.W_OK))) refuse('it is not writable', another);
}

/** Another process may have made it at this very moment, and gives it to its owner next. */
async function isTraversableSoon(dataDir: string, account: system.Account | undefined): Promise<boolean> {
  for (let look = 1; ; look++) {
    if (await system.isTraversable(dataDir, account)) return true;
    if (look === LOOKS_MAX) return false;
    await delay(50);
  }
}
const LOOKS_MAX = 5;
