/** Live balances: at once, then every change soon after its commit, whoever made it; resumed without a gap or a repeat. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expectStatus } from './support/client.js';
import { StreamReader } from './support/stream.js';
import { startService, TestDatabase, type Service } from './support/service.js';

describe('live balances', () => {
  let database: TestDatabase;
  let services: Service[];
  let first: Service;
  let second: Service;
  const readers: StreamReader[] = [];
  beforeAll(async () => {
    database = await TestDatabase.create();
    [first, second] = await Promise.all([
      startService({ STREAMS_MAX: '200', TEST_CLOCK: 'on' }, { database, quiet: true }),
      startService({ TEST_CLOCK: 'on' }, { database }),
    ]);
    services = [second, first];
  });
  afterEach(async () => {
    for (const reader of readers.splice(0)) reader.close();
    expect(await database.problems()).toEqual([]);
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await database.drop();
  });

  async function watch(service: Service, walletId: string, lastId?: string): Promise<StreamReader> {
    const headers: Record<string, string> = lastId === undefined ? {} : { 'last-event-id': lastId };
    const reader = await StreamReader.open(`${service.api.url}/v1/wallets/${walletId}/stream`, headers);
    readers.push(reader);
    return reader;
  }

  it('tell how it stands at once, and each change within 200 ms of its commit, across processes', async () => {
    const wallet = await first.api.newWallet('100.00');
    const reader = await watch(first, wallet.id);
    await reader.until(({ messages }) => messages.length === 1);
    expect(reader.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(reader.headers['cache-control']).toBe('no-store');
    expect(reader.retry).toBeGreaterThanOrEqual(1_000);
    expect(reader.last).toMatchObject({ event: 'balance', id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(reader.last!.data).toMatchObject({
      ...{ wallet_id: wallet.id, currency: 'INR', balance: '100.00', held: '0.00', available: '100.00' },
      ...{ version: wallet.version, type: null, object_id: null },
    });

    const lateness: number[] = [];
    for (let n = 1; n <= 20; n++) {
      const service = services[n % 2]!;
      const debit = expectStatus(201, await service.api.debit(wallet.id, '1.00'));
      const answeredAt = performance.now();
      await reader.until(({ messages }) => messages.length === n + 1);
      lateness.push(reader.last!.at - answeredAt);
      expect(reader.last!.data).toMatchObject({ type: 'transaction.posted', object_id: debit.id });
      expect(reader.last!.data.balance).toBe(`${100 - n}.00`);
    }
    expect(Math.max(...lateness)).toBeLessThan(200);

    const hold = expectStatus(201, await second.api.hold(wallet.id, '30.00'));
    expectStatus(201, await second.api.setStatus(wallet.id, 'freeze'));
    await reader.until(({ last }) => last?.data.type === 'wallet.frozen');
    expect(reader.messages.at(-2)!.data).toMatchObject({
      ...{ type: 'hold.created', object_id: hold.id, balance: '80.00', held: '30.00', available: '50.00' },
    });
    const now = await first.api.wallet(wallet.id);
    const { version, balance, held, available } = reader.last!.data;
    expect({ version, balance, held, available }).toEqual({
      ...{ version: now.version, balance: now.balance, held: now.held, available: now.available },
    });
  });

  it('tell that a hold has run out within two seconds, also of a wallet that nothing else happens to', async () => {
    const wallet = await first.api.newWallet('100.00');
    const expires_at = new Date(Date.now() + 1_000).toISOString();
    expectStatus(201, await first.api.hold(wallet.id, '30.00', { expires_at }));
    const reader = await watch(second, wallet.id);
    await reader.until(({ last }) => last?.data.type === 'hold.expired');
    expect(reader.last!.data).toMatchObject({ held: '0.00', available: '100.00' });
    expect(Date.now() - Date.parse(expires_at)).toBeLessThan(2_000);
  });

  it('resume after the last event, without a gap or a repeat, under load and on either process', async () => {
    const wallet = await first.api.newWallet('1000.00');
    const other = await first.api.newWallet('1000.00');
    let isOver = false;
    let posted = 0;
    const load = services.map(async ({ api }, n) => {
      while (!isOver) {
        const reply = posted % 7 === 0 ? api.transfer(other.id, wallet.id, '0.01') : api.debit(wallet.id, '0.01');
        expectStatus(201, await reply);
        posted += 1;
        await delay(n);
      }
    });
    const seen: StreamReader['messages'] = [];
    for (let n = 0; n < 40 || posted <= 200; n++) {
      const reader = await watch(services[n % 2]!, wallet.id, seen.at(-1)?.id);
      await delay(Math.random() * 120);
      reader.close();
      seen.push(...reader.messages);
    }
    isOver = true;
    await Promise.all(load);
    const end = await first.api.wallet(wallet.id);
    const reader = await watch(second, wallet.id, seen.at(-1)!.id);
    await reader.until(({ last }) => (last ?? seen.at(-1)!).data.version === end.version);
    seen.push(...reader.messages);
    const versions = seen.map(({ data }) => data.version);
    expect(versions).toEqual(versions.map((_, n) => versions[0]! + n));
    expect([seen.at(-1)!.data.balance, new Set(seen.map(({ id }) => id)).size]).toEqual([end.balance, seen.length]);
  }, 60_000);

  it('begin anew with how it stands where the event is no longer, or not yet, kept', async () => {
    const wallet = await first.api.newWallet('5.00');
    const before = await watch(first, wallet.id);
    await before.until(({ messages }) => messages.length === 1);
    for (const batch of ['000000000000', 'ffffffffffff']) {
      const reader = await watch(first, wallet.id, `${before.last!.id!.slice(0, 24)}${batch}`);
      await reader.until(({ messages }) => messages.length === 1);
      expect(reader.last!.data).toEqual({ ...before.last!.data, timestamp: expect.any(String) });
    }
  });

  it('tell of holds that expire by themselves, and count them no longer when they begin', async () => {
    const wallet = await first.api.newWallet('10.00');
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    const hold = expectStatus(201, await first.api.hold(wallet.id, '4.00', { expires_at }));
    const reader = await watch(second, wallet.id);
    await reader.until(({ last }) => last?.data.available === '6.00');
    expectStatus(200, await first.api.call('PUT', '/v1/test-clock', { ahead_seconds: 7_200 }));
    await reader.until(({ last }) => last?.data.type === 'hold.expired');
    expect(reader.last!.data).toMatchObject({ object_id: hold.id, held: '0.00', available: '10.00' });
  });

  it('refuse what is wrong in the words of the API', async () => {
    const wallet = await first.api.newWallet();
    const refused = async (id: string, lastId?: string) => {
      const reader = await watch(first, id, lastId);
      await reader.until(({ isEnded }) => isEnded);
      return [reader.status, (JSON.parse(reader.text) as { code: string }).code];
    };
    expect(await refused('0199a3c2-a0d4-7000-8000-000000000000')).toEqual([404, 'wallet_not_found']);
    expect(await refused('x')).toEqual([422, 'validation_failed']);
    expect(await refused(wallet.id, 'x')).toEqual([422, 'validation_failed']);
    expect((await first.api.call('HEAD', `/v1/wallets/${wallet.id}/stream`)).status).toBe(200);
  });

  it('are bounded in number; one whose reader stops keeps little, cuts it off after 15 seconds, and can be resumed', async () => {
    const wallet = await first.api.newWallet('1000.00');
    const stalled = await watch(first, wallet.id);
    await stalled.until(({ messages }) => messages.length === 1);
    stalled.pause();
    const all = await Promise.all(Array.from({ length: 199 }, () => watch(first, wallet.id)));
    const over = await watch(first, wallet.id);
    expect([over.status, over.headers['retry-after']]).toEqual([429, '5']);
    for (const reader of all.slice(1)) reader.close();
    const reader = all[0]!;
    // What the kernel keeps for the one that has stalled is some megabytes; a message is 400 bytes.
    for (let n = 0; n < 40; n++) {
      const items = Array.from({ length: 500 }, () => ({ type: 'debit', wallet_id: wallet.id, amount: '0.01' }));
      expectStatus(201, await first.api.batch(items));
      expectStatus(201, await first.api.credit(wallet.id, '5.00'));
    }
    const { version } = await first.api.wallet(wallet.id);
    await reader.until(({ last }) => last?.data.version === version, 30_000);
    await delay(16_000);
    stalled.resume();
    await stalled.until(({ isEnded }) => isEnded);
    expect(stalled.last!.data.version).toBeLessThan(version);
    const again = await watch(second, wallet.id, stalled.last!.id);
    await again.until(({ last }) => last?.data.version === version, 30_000);
    expect(again.messages).toHaveLength(version - stalled.last!.data.version);
  }, 90_000);

  it('are none where the caller hung up before its turn on the connection', async () => {
    const { id } = await first.api.newWallet();
    const open = async () => /^asper_live_streams (\d+)$/m.exec((await second.api.get('/metrics')).text)?.[1];
    expect(await open()).toBe('0');
    const socket = connect(Number(new URL(second.api.url).port), '127.0.0.1');
    socket.write(`GET /v1/wallets/${id}/stream HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(9));
    await once(socket, 'data');
    expect(await open()).toBe('1');
    socket.destroy();
    await delay(200);
    expect(await open()).toBe('0');
  });

  it('end with the process; what follows takes them up where they were', async () => {
    const service = await startService({ TEST_CLOCK: 'on' }, { database });
    const wallet = await first.api.newWallet('3.00');
    const reader = await watch(service, wallet.id);
    await reader.until(({ messages }) => messages.length === 1);
    const exit = once(service.process, 'exit');
    const stoppedAt = performance.now();
    service.process.kill('SIGTERM');
    await reader.until(({ isEnded }) => isEnded);
    expect((await exit)[0]).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(3_000);
    expectStatus(201, await first.api.debit(wallet.id, '1.00'));
    const again = await watch(first, wallet.id, reader.last!.id);
    await again.until(({ messages }) => messages.length === 1);
    expect(again.last!.data).toMatchObject({ type: 'transaction.posted', balance: '2.00' });
  });
});
