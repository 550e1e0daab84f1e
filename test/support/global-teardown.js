import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';

export default async function globalTeardown() {
  const embedded = globalThis.asperEmbedded;
  if (!embedded) return;
  await killLeftBehind(embedded.url);
  await embedded.stop();
  await rm(path.dirname(embedded.dataDir), { recursive: true, force: true });
}

/**
 * Services that a failed test did not stop: whatever was given this run's server, whose address nobody else has. Linux only.
 * @param {string} url
 */
async function killLeftBehind(url) {
  const server = `DATABASE_URL=${new URL('/test_', url).href}`;
  for (const pid of (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (!environment.includes(server)) continue;
    globalThis.console.error(`Process ${pid} was left behind by a test, and is killed.`);
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // it ended by itself
    }
  }
}
