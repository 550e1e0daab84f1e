/** Secrets that the service makes for itself where nobody gave it one: 32 random bytes in a file of the data folder. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chooseDataDir, makeDataDir } from './database/embedded.folder.js';

/**
 * The secret in a file of the data folder, made at its first use. A file is linked into place complete or not at all, and
 * only where there is none, so two processes that begin at once have the same secret.
 * @param wanted the data folder, where it is not the default one.
 */
export async function keptSecret(wanted: string | undefined, fileName: string): Promise<Buffer> {
  const { dataDir, account } = await chooseDataDir(wanted);
  await makeDataDir(dataDir, account);
  const file = path.join(dataDir, fileName);
  const own = `${file}.${randomBytes(8).toString('hex')}`;
  try {
    await writeFile(own, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
    await link(own, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(own, { force: true });
  }
  const secret = Buffer.from(await readFile(file, 'utf8'), 'base64');
  if (secret.length !== 32) throw new Error(`${file} does not hold 32 bytes in base64`);
  return secret;
}
