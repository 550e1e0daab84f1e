/** Workers (`WORKERS`) that end, or cannot begin, at a moment that is no good one: each place is filled again. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { NODE_FLAGS } from '../bench/node-flags.js';
import { freePort } from '../src/database/embedded.system.js';
import { WalletClient } from './support/client.js';
import { ENTRY, TestDatabase } from './support/service.js';

/** From the oldest to the youngest. */
const workersOf = ({ pid }: ChildProcess): number[] =>
  (String(spawnSync('pgrep', ['-P', String(pid)]).stdout).match(/\d+/g) ?? []).map(Number);

async function until(isTrue: () => boolean | Promise<boolean>, withinMs = 15_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !(await isTrue()); await delay(50)) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms`);
  }
}

describe('a place that is filled again:', () => {
  let folder: string;
  let full: string;
  let database: TestDatabase;
  let api: WalletClient;
  let primary: ChildProcess;
  let said = '';
  let killed: number;

  /** It starts, and one worker is killed while the other is still held back. */
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'asper-workers-'));
    full = path.join(folder, 'full');
    database = await TestDatabase.create();
    const port = String(await freePort());
    api = new WalletClient(`http://127.0.0.1:${port}`);
    const patch = `import { ChildProcess } from 'node:child_process';
      import { existsSync } from 'node:fs';
      const { spawn } = ChildProcess.prototype;
      ChildProcess.prototype.spawn = function (options) {
        if (existsSync('${full}')) throw new Error('spawn ENOMEM');
        return spawn.call(this, options);
      };`;
    const preload = `--import=data:text/javascript,${encodeURIComponent(patch)}`;
    const env = { PATH: process.env.PATH, PORT: port, DATABASE_URL: database.url, WORKERS: '2', NODE_OPTIONS: preload };
    primary = spawn(process.execPath, [...NODE_FLAGS, ENTRY], { env, stdio: ['ignore', 'pipe', 'ignore'] });
    primary.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => workersOf(primary).length === 2);
    const [first, second] = workersOf(primary) as [number, number];
    process.kill(second, 'SIGSTOP');
    await until(async () => (await api.get('/version').catch(() => 0)) !== 0);
    process.kill(first, 'SIGKILL');
    await delay(100);
    process.kill(second, 'SIGCONT');
    await until(() => said.includes('listens on') && workersOf(primary).length === 2);
    killed = first;
  });

  afterAll(async () => {
    primary.kill('SIGTERM');
    expect(await once(primary, 'exit')).toEqual([0, null]);
    await database.drop();
    await rm(folder, { recursive: true });
  });

  it('a worker that ends while another still starts is replaced like any other', () => {
    expect(said).toContain(`process ${killed}, was killed by SIGKILL. Another takes its place`);
  });

  it('a machine without memory for another process is told of, and served on by the workers that are there', async () => {
    await writeFile(full, '');
    process.kill(workersOf(primary)[1]!, 'SIGKILL'); // the younger may not listen yet
    await until(() => said.includes('Worker 1, could not be forked: spawn ENOMEM. Another takes its place'));
    expect((await api.newWallet('1.00')).balance).toBe('1.00');
    await rm(full);
    await until(() => workersOf(primary).length === 2);
  });
});
