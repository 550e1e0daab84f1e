/** Workers (`WORKERS`) that end, or cannot begin, at a moment that is no good one: each place is filled again. */
import { describe, expect, it } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { NODE_FLAGS } from '../bench/node-flags.js';
import { freePort } from '../src/database/embedded.system.js';
import { WalletClient } from './support/client.js';
import { ENTRY, startService, TestDatabase } from './support/service.js';

const workersOf = ({ pid }: ChildProcess): number[] =>
  (String(spawnSync('pgrep', ['-P', String(pid)]).stdout).match(/\d+/g) ?? []).map(Number);

async function until(isTrue: () => boolean | Promise<boolean>, withinMs = 15_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !(await isTrue()); await delay(50)) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms`);
  }
}

describe('a worker that ends while another still starts', () => {
  it('is replaced like any other', async () => {
    const database = await TestDatabase.create();
    const port = await freePort();
    const env = { PATH: process.env.PATH, PORT: String(port), DATABASE_URL: database.url, WORKERS: '2' };
    const primary = spawn(process.execPath, [...NODE_FLAGS, ENTRY], { env, stdio: ['ignore', 'pipe', 'ignore'] });
    let said = '';
    primary.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => workersOf(primary).length === 2);
    const [first, second] = workersOf(primary);
    process.kill(second!, 'SIGSTOP');
    await until(async () => (await new WalletClient(`http://127.0.0.1:${port}`).get('/version').catch(() => 0)) !== 0);
    process.kill(first!, 'SIGKILL');
    await delay(100);
    process.kill(second!, 'SIGCONT');
    await until(() => said.includes('listens on') && workersOf(primary).length === 2);
    primary.kill('SIGTERM');
    expect(await once(primary, 'exit')).toEqual([0, null]);
    expect(said).toContain(`process ${first}, was killed by SIGKILL. Another takes its place`);
    await database.drop();
  });
});

describe('a machine without memory for another process', () => {
  it('is told of, and served on by the workers that are there', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'asper-workers-'));
    const full = path.join(folder, 'full');
    const patch = `import { ChildProcess } from 'node:child_process';
      import { existsSync } from 'node:fs';
      const { spawn } = ChildProcess.prototype;
      ChildProcess.prototype.spawn = function (options) {
        if (existsSync('${full}')) throw new Error('spawn ENOMEM');
        return spawn.call(this, options);
      };`;
    const preload = `--import=data:text/javascript,${encodeURIComponent(patch)}`;
    const service = await startService({ WORKERS: '2', NODE_OPTIONS: preload });
    await writeFile(full, '');
    process.kill(workersOf(service.process)[0]!, 'SIGKILL');
    await until(() => service.said().includes('Worker 1, could not be forked: spawn ENOMEM. Another takes its place'));
    expect((await service.api.newWallet('1.00')).balance).toBe('1.00');
    await rm(folder, { recursive: true });
    await until(() => workersOf(service.process).length === 2);
    await service.stop();
    expect(service.process.exitCode).toBe(0);
  });
});
