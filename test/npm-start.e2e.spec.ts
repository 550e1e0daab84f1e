/**
 * U1: the README's command, from another folder: an embedded PostgreSQL, migrations, Swagger, a first posting. As whoever
 * runs the tests, and where that is root, as an ordinary user too.
 */
import { afterEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expectStatus, WalletClient } from './support/client.js';
import { listening } from './support/service.js';

const PROJECT = path.resolve('.');
const isRoot = process.getuid!() === 0;
const READY_MS_MAX = 60_000;

describe('npm start', () => {
  let home: string;
  afterEach(() => rm(home, { recursive: true, force: true }));

  async function startAs(uid?: number): Promise<void> {
    home = await mkdtemp(path.join(os.tmpdir(), 'asper-start-'));
    await chmod(home, 0o755); // as root, PostgreSQL runs as another user, who must get in
    if (uid !== undefined) await chown(home, uid, uid);
    const child = spawn('npm', ['start', '--prefix', PROJECT], {
      ...{ cwd: home, uid, gid: uid, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
      env: { PATH: process.env.PATH, HOME: home, PORT: '0', DATA_DIR: path.join(home, 'data'), LOG_LEVEL: 'warn' },
    });
    try {
      const api = new WalletClient(await listening(child, true));
      expect((await api.get('/docs')).status).toBe(200);
      const wallet = await api.newWallet('150.00');
      expect(expectStatus(201, await api.debit(wallet.id, '40.00')).entries[0]!.balance_after).toBe('110.00');
    } finally {
      if (child.exitCode === null) {
        process.kill(-child.pid!, 'SIGTERM'); // as Ctrl-C does: to npm, its shell and the service
        await once(child, 'exit');
      }
    }
    // PostgreSQL stops in order, which takes a little longer than npm: then its pid file is gone.
    const cluster = path.join(home, 'data', 'postgresql', 'cluster');
    for (const end = Date.now() + 10_000; existsSync(path.join(cluster, 'postmaster.pid')); await delay(50))
      if (Date.now() > end) throw new Error('PostgreSQL still runs');
    expect(existsSync(path.join(cluster, 'PG_VERSION'))).toBe(true);
  }

  it('is all that it takes from any folder', () => startAs(), READY_MS_MAX);

  it(
    'is so for an ordinary user as well, where root runs the tests',
    async () => {
      const nobody = isRoot ? Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' })) : undefined;
      const canRead =
        spawnSync(process.execPath, ['--version'], { cwd: PROJECT, uid: nobody, gid: nobody }).status === 0;
      home = '';
      if (nobody === undefined || !canRead)
        return console.info('skipped: not root, or others may not read this folder');
      await startAs(nobody);
    },
    READY_MS_MAX,
  );
});
