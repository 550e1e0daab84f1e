import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Problem } from './support/client.js';
import { failedStart, startService, TestDatabase, type Service } from './support/service.js';

describe('the start', () => {
  let database: TestDatabase;
  let running: Service;
  beforeAll(async () => {
    database = await TestDatabase.create();
    running = await startService({ LOCKING: 'optimistic' }, { database });
  });
  afterAll(async () => {
    await running.stop();
    await database.drop();
  });

  const start = (env: Record<string, string>) => failedStart({ DATABASE_URL: database.url, ...env });

  it('says which program cannot have the port, and what to do', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { code, said } = await start({ PORT: String(port) });
    expect([code, said]).toEqual([1, expect.stringContaining(`Port ${port} on 127.0.0.1 is taken`)]);
    expect(said).not.toMatch(/\bat .+:\d+:\d+/);
    other.close();
  });

  it('lists every mistake of the configuration at once', async () => {
    const { code, said } = await start({ PORT: 'x', LOCKING: 'maybe', DEFAULT_CURRENCY: 'XXX' });
    expect(code).toBe(1);
    for (const name of ['PORT', 'LOCKING', 'DEFAULT_CURRENCY']) expect(said).toContain(`- ${name} must be`);
  });

  it('says so where the database cannot be reached or used', async () => {
    const wrong = new URL(database.url);
    wrong.port = '1';
    expect(await start({ DATABASE_URL: wrong.href })).toMatchObject({
      code: 1,
      said: expect.stringContaining('The database of DATABASE_URL cannot be used'),
    });
    wrong.port = new URL(database.url).port;
    wrong.pathname = '/nowhere';
    const { said } = await start({ DATABASE_URL: wrong.href });
    expect(said).toContain('database "nowhere" does not exist');
    expect(said).not.toMatch(/\bat .+:\d+:\d+/);
  });

  it('migrates an empty database once, however many processes start at the same time', async () => {
    const empty = await TestDatabase.create();
    await empty.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    const services = await Promise.all([1, 2, 3].map(() => startService({}, { database: empty })));
    const wallet = await services[0]!.api.newWallet('1.00');
    expect((await services[2]!.api.wallet(wallet.id)).balance).toBe('1.00');
    const n = readdirSync('migrations').length;
    const rows = await empty.query('SELECT count(*)::int AS n, count(DISTINCT name)::int AS names FROM migrations');
    expect(rows).toEqual([{ n, names: n }]);
    await Promise.all(services.map((service) => service.stop()));
    await empty.drop();
  });

  it('ends in order on SIGTERM: requests under way are answered, the exit code is 0', async () => {
    const service = await startService({}, { database });
    const wallet = await service.api.newWallet('100.00');
    const ended = once(service.process, 'exit');
    const replies = await database.locking(wallet.id, async () => {
      const underWay = Array.from({ length: 50 }, () => service.api.debit(wallet.id, '1.00'));
      while (!/^asper_http_requests_in_flight 50$/m.test((await service.api.get('/metrics')).text)) await delay(10);
      service.process.kill('SIGTERM');
      await delay(300);
      const late = await service.api.debit(wallet.id, '1.00');
      expect([late.status, late.body.code, late.headers.get('retry-after')]).toEqual([503, 'shutting_down', '1']);
      expect(late.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      service.process.kill('SIGTERM'); // impatience changes nothing
      return underWay;
    });
    expect(new Set((await Promise.all(replies)).map(({ status }) => status))).toEqual(new Set([201]));
    expect(await ended).toEqual([0, null]);
    expect(await database.problems()).toEqual([]);
  });

  it('ends with 1, and says why, where it cannot end in order', async () => {
    const patch = `import timers from 'node:timers/promises';
      import { syncBuiltinESMExports } from 'node:module';
      const { setTimeout } = timers;
      timers.setTimeout = (ms, ...rest) => (ms === 1234 ? Promise.reject(new Error('no end')) : setTimeout(ms, ...rest));
      syncBuiltinESMExports();`;
    const preload = `--import=data:text/javascript,${encodeURIComponent(patch)}`;
    const service = await startService({ SHUTDOWN_GRACE_MS: '1234', NODE_OPTIONS: preload }, { database, quiet: true });
    service.process.kill('SIGTERM');
    expect(await once(service.process, 'close')).toEqual([1, null]);
    expect(service.complained()).toMatch(/^Asper Wallet did not stop in order\. Error: no end\n/);
  });

  it('answers how it is: live, ready, and which version', async () => {
    const { api } = running;
    expect((await api.get('/health/live')).body).toEqual({ status: 'ok' });
    expect((await api.get('/health/ready')).body).toEqual({ status: 'ok' });
    expect((await api.get('/version')).body).toMatchObject({ version: expect.any(String), locking: 'optimistic' });
  });

  it('has no test clock unless it is asked for', async () => {
    const { status, body } = await running.api.call<Problem>('PUT', '/v1/test-clock', { ahead_seconds: 1 });
    expect([status, body.code]).toEqual([409, 'test_clock_off']);
  });

  it('is not ready on a schema that is older than it is, and is again when that is mended', async () => {
    const ready = () => running.api.get<Problem>('/health/ready');
    const [newest] = await database.query(
      'DELETE FROM migrations WHERE id = (SELECT max(id) FROM migrations) RETURNING *',
    );
    const { status, body } = await ready();
    expect([status, body.code, body.detail]).toEqual([
      503,
      'database_unavailable',
      'The schema is older than this build: run `asper migrate`.',
    ]);
    await database.query('INSERT INTO migrations (id, timestamp, name) VALUES ($1, $2, $3)', [
      ...[newest.id, newest.timestamp, newest.name],
    ]);
    expect((await ready()).status).toBe(200);
  });
});
