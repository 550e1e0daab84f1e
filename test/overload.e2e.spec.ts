/** Too much at once, and a database that keeps everybody waiting: each request has an answer in its time, and it is true. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expectStatus, type Problem, type Reply } from './support/client.js';
import { startService, type Service } from './support/service.js';

describe('a service that cannot keep up', () => {
  /** Of the tests that need no other limits. */
  let shared: Service;
  let service: Service;
  beforeAll(async () => {
    shared = await startService({ REQUESTS_MAX: '40', BODIES_BYTES_MAX: String(2 ** 20) }, { quiet: true });
  });
  beforeEach(() => {
    service = shared;
  });
  afterEach(async () => {
    expect(await service.database.problems()).toEqual([]);
    if (service !== shared) await service.stop();
  });
  afterAll(() => shared.stop());

  /** Nobody reads or writes wallets while `meanwhile` runs. */
  const whileStalled = <T>(meanwhile: () => Promise<T>) =>
    service.database.holding('LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE', meanwhile);
  async function timed<T>(asking: Promise<T>): Promise<[T, number]> {
    const startedAt = performance.now();
    return [await asking, performance.now() - startedAt];
  }
  const told = ({ status, body, headers }: Reply<Problem>) => [status, body.code, headers.get('retry-after')];

  it('answers by the deadline, writes and reads alike; a repeat with the same key finds what became of it', async () => {
    service = await startService({ REQUEST_DEADLINE_MS: '1000' }, { quiet: true });
    const wallet = await service.api.newWallet('10.00');
    await whileStalled(async () => {
      const [[debit, debitMs], [read, readMs]] = await Promise.all([
        timed(service.api.debit(wallet.id, '1.00', {}, 'once')),
        timed(service.api.get<Problem>(`/v1/wallets/${wallet.id}`)),
      ]);
      expect([told(debit), told(read)]).toEqual([
        [503, 'deadline_exceeded', '1'],
        [503, 'deadline_exceeded', '1'],
      ]);
      expect(Math.max(debitMs, readMs)).toBeLessThan(2_000);
    });
    expectStatus(201, await service.api.debit(wallet.id, '1.00', {}, 'once'));
    expect((await service.api.wallet(wallet.id)).balance).toBe('9.00');
  });

  it('refuses what has waited too long behind a stalled group, and that was not begun', async () => {
    service = await startService({ QUEUE_WAIT_MS_MAX: '500' }, { quiet: true });
    const wallet = await service.api.newWallet('10.00');
    const { underWay: first } = await whileStalled(async () => {
      const underWay = service.api.debit(wallet.id, '1.00', {}, 'first');
      await delay(100);
      const [[late, ms]] = await Promise.all([
        timed(service.api.debit(wallet.id, '2.00', {}, 'late')),
        ...[1, 2, 3].map(() => service.api.debit(wallet.id, '4.00')),
      ]);
      expect(told(late)).toEqual([503, 'overloaded', '1']);
      expect(ms).toBeGreaterThan(400);
      expect(ms).toBeLessThan(1_500);
      return { underWay }; // in an object, as a promise would be waited for
    });
    expectStatus(201, await first);
    expect((await service.api.wallet(wallet.id)).balance).toBe('9.00');
    expectStatus(201, await service.api.debit(wallet.id, '2.00', {}, 'late'));
  });

  it('takes no more on than it may, tells so at once, and goes on telling that it lives', async () => {
    const wallet = await service.api.newWallet('10.00');
    const held = await whileStalled(async () => {
      const underWay = Array.from({ length: 40 }, () => service.api.debit(wallet.id, '0.10'));
      await delay(200);
      for (const asking of [service.api.debit(wallet.id, '1.00'), service.api.get<never>(`/v1/wallets/${wallet.id}`)]) {
        const [reply, ms] = await timed(asking as Promise<Reply<Problem>>);
        expect(told(reply)).toEqual([503, 'overloaded', '1']);
        expect(ms).toBeLessThan(500);
      }
      const [live, ms] = await timed(service.api.get('/health/live'));
      expect([live.status, ms < 500]).toEqual([200, true]);
      expect((await service.api.get<Problem>('/health/ready')).status).toBe(200); // the database answers
      return underWay;
    });
    for (const reply of await Promise.all(held)) expectStatus(201, reply);
  });

  it('has no room for those whose bodies do not arrive, be it that they are many or that they are large', async () => {
    const wallet = await service.api.newWallet('10.00');
    const callers: Socket[] = [];
    const silent = (count: number, path: string, bytes: number | 'chunked') =>
      Array.from({ length: count }, async () => {
        const caller = connect(Number(new URL(service.api.url).port), '127.0.0.1');
        const length = bytes === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`;
        caller.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${length}\r\n\r\n`);
        callers.push(caller);
        let said = '';
        caller.on('data', (chunk) => (said += String(chunk)));
        await once(caller, 'close');
        return said;
      });
    for (const [count, path, bytes] of [
      [40, `/v1/wallets/${wallet.id}/debits`, 10],
      [8, '/v1/transactions/batch', 2 ** 17],
      [1, '/v1/transactions/batch', 'chunked'],
    ] as const) {
      const held = silent(count, path, bytes);
      await delay(200);
      expect(told(await service.api.debit(wallet.id, '0.01'))).toEqual([503, 'overloaded', '1']);
      const heard = await Promise.all(held.map((one) => Promise.race([one, delay(2_500)])));
      const cut = heard.filter((said) => said !== undefined);
      for (const said of cut) expect(said).toMatch(/^HTTP\/1.1 408 [^]*connection: close[^]*request_timeout/i);
      expect(cut.length).toBeGreaterThanOrEqual(count / 2); // with half of them gone there is room for the others
      expectStatus(201, await service.api.debit(wallet.id, '0.01'));
      for (const caller of callers.splice(0)) caller.destroy();
    }
    // Where there is room, whoever is slow is waited for.
    const [one] = silent(1, `/v1/wallets/${wallet.id}/debits`, 10);
    expect(await Promise.race([one, delay(2_000, 'waits')])).toBe('waits');
    for (const caller of callers) caller.destroy(); // the service would wait for it at its end
  }, 20_000);

  it('is asked whether it is ready by as many as like, and the database is asked once', async () => {
    const wallet = await service.api.newWallet('10.00');
    await service.database.query('BEGIN; LOCK TABLE migrations IN ACCESS EXCLUSIVE MODE');
    const asked = Array.from({ length: 200 }, () => service.api.get<Problem>('/health/ready'));
    await delay(100);
    const [debit, ms] = await timed(service.api.debit(wallet.id, '1.00'));
    expect([debit.status, ms < 1_000]).toEqual([201, true]);
    expect(new Set((await Promise.all(asked)).map(({ status }) => status))).toEqual(new Set([503]));
    await service.database.query('ROLLBACK');
    await delay(300);
    expect((await service.api.get('/health/ready')).status).toBe(200);
  });

  it('counts none of what a caller had still to be answered who sent it in one go and hung up', async () => {
    const wallet = await service.api.newWallet('10.00');
    const counted = async () =>
      Number(/^asper_http_requests_in_flight (\d+)/m.exec((await service.api.get('/metrics')).text)?.[1]);
    await whileStalled(async () => {
      const caller = connect(Number(new URL(service.api.url).port), '127.0.0.1');
      caller.write(`GET /v1/wallets/${wallet.id} HTTP/1.1\r\nHost: asper\r\n\r\n`.repeat(60));
      for (const end = Date.now() + 5_000; (await counted()) < 40; await delay(50))
        expect(Date.now()).toBeLessThan(end);
      caller.destroy();
      await delay(1_000); // far from the deadline
      expect(await counted()).toBe(0);
    });
    expectStatus(201, await service.api.debit(wallet.id, '1.00'));
  });

  it('refuses writes before it reads them while the queue of postings is full, and still reads', async () => {
    service = await startService({ QUEUE_LENGTH_MAX: '4', GROUP_SIZE_MAX: '1' }, { quiet: true });
    const wallet = await service.api.newWallet('10.00');
    const replies = await service.database.locking(wallet.id, async () => {
      const debits = Array.from({ length: 12 }, () => service.api.debit(wallet.id, '0.10'));
      await delay(300);
      expect(told(await service.api.call('POST', '/v1/users', '{', { 'content-type': 'application/json' }))).toEqual([
        ...[503, 'overloaded', '1'],
      ]);
      expectStatus(200, await service.api.get(`/v1/wallets/${wallet.id}`));
      return debits;
    });
    const statuses = (await Promise.all(replies)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([201, 503]));
    const done = statuses.filter((status) => status === 201).length;
    expect((await service.api.wallet(wallet.id)).entry_count).toBe(1 + done);
  });

  it('that is to stop says that it is not ready, and serves on until others have noticed', async () => {
    service = await startService({ SHUTDOWN_GRACE_MS: '1500' });
    const wallet = await service.api.newWallet('10.00');
    expect((await service.api.get('/health/ready')).status).toBe(200);
    const ended = once(service.process, 'exit');
    service.process.kill('SIGTERM');
    await delay(200);
    expect(told(await service.api.get<Problem>('/health/ready'))).toEqual([503, 'shutting_down', '1']);
    const debit = await service.api.debit(wallet.id, '1.00');
    expectStatus(201, debit);
    expect(debit.headers.get('connection')).toBe('close');
    expect((await service.api.get('/health/live')).status).toBe(200);
    expect(await ended).toEqual([0, null]);
  });
});
