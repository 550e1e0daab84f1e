import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { duplicates } from './scenarios/duplicates.js';
import { expectStatus, type Problem, type WalletClient } from './support/client.js';
import { CommitCutter } from './support/proxy.js';
import { startService, TestDatabase, type Service } from './support/service.js';

/** 200 for the long run. */
const KEYS = Number(process.env.IDEMPOTENCY_KEYS ?? 15);

describe('idempotency keys', () => {
  let database: TestDatabase;
  let services: Service[];
  beforeAll(async () => {
    database = await TestDatabase.create();
    services = await Promise.all([1, 2].map(() => startService({}, { database })));
  });
  afterEach(async () => expect(await database.problems()).toEqual([]));
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await database.drop();
  });
  const api = () => services[0]!.api;

  it(`execute once when sent 100 times at once through two processes: ${KEYS} keys`, async () => {
    expect(await duplicates(services, { keys: KEYS, copies: 100 })).toEqual([]);
  });

  it('execute once for holds, captures, batches, reversals and closings too, through two processes', async () => {
    const [wallet, other, closing] = [
      await api().newWallet('100.00'),
      await api().newWallet(),
      await api().newWallet('5.00'),
    ];
    const hold = expectStatus(201, await api().hold(wallet.id, '10.00'));
    const debit = expectStatus(201, await api().debit(wallet.id, '10.00'));
    const transfer = { type: 'transfer', from_wallet_id: wallet.id, to_wallet_id: other.id, amount: '1.00' };
    type Send = (client: WalletClient, key: string) => Promise<{ status: number; text: string; headers: Headers }>;
    const calls: Send[] = [
      (client, key) => client.hold(wallet.id, '1.00', {}, key),
      (client, key) => client.capture(hold.id, { amount: '1.00' }, key),
      (client, key) => client.batch([transfer, transfer, { ...transfer, amount: '5000.00' }], {}, key),
      (client, key) => client.batch([transfer, transfer], { atomic: true }, key),
      (client, key) => client.reverse(debit.id, { amount: '1.00' }, key),
      (client, key) => client.setStatus(closing.id, 'close', { sweep_to_wallet_id: other.id }, key),
    ];
    for (const [c, send] of calls.entries()) {
      const replies = await Promise.all(Array.from({ length: 40 }, (_, i) => send(services[i % 2]!.api, `kind-${c}`)));
      expect([c, new Set(replies.map(({ status, text }) => `${status} ${text}`)).size]).toEqual([c, 1]);
      expect(replies[0]!.status).toBe(201);
      expect(replies.filter(({ headers }) => !headers.has('idempotency-replayed'))).toHaveLength(1);
    }
    expect(await api().wallet(wallet.id)).toMatchObject({ balance: '86.00', held: '10.00' });
    expect((await api().wallet(other.id)).balance).toBe('9.00');
  });

  it('slow nobody else down when sent 100 times at once: an unrelated p99 stays under twice its usual', async () => {
    const [busy, other] = [await api().newWallet('100000.00'), await api().newWallet('100000.00')];
    const shared = new Int32Array(new SharedArrayBuffer(8));
    const bystander = new Worker(new URL('./scenarios/bystander.js', import.meta.url), {
      workerData: { url: `${api().url}/v1/wallets/${other.id}/debits`, shared, kinds: 2 },
    });
    const ended = once(bystander, 'message');
    // Interleaved, so that a slow moment of the machine meets both. Usual: 100 requests at once, each with its own key.
    for (let round = 0; round < 240; round++) {
      const isStorm = Math.floor(round / 8) % 2 === 1;
      Atomics.store(shared, 0, Number(isStorm));
      const keyOf = (i: number) => (isStorm ? `storm-${round}` : `usual-${round}-${i}`);
      const crowd = Array.from({ length: 100 }, (_, i) => services[i % 2]!.api.debit(busy.id, '1.00', {}, keyOf(i)));
      await Promise.all(crowd);
    }
    Atomics.store(shared, 1, 1);
    const [[usual, storm]] = (await ended) as [[number[], number[]]];
    const p99 = (list: number[]) => list.sort((a, b) => a - b)[Math.ceil(list.length * 0.99) - 1]!;
    expect(Math.min(usual.length, storm.length)).toBeGreaterThan(400); // so that its p99 is no single one
    console.info(
      `p99 of ${usual.length} and ${storm.length}: beside 100 requests ${p99(usual).toFixed(1)} ms, beside one that is sent 100 times ${p99(storm).toFixed(1)}`,
    );
    expect(p99(storm) / p99(usual)).toBeLessThan(2);
  });

  it('replay the first answer to the letter, from memory or from the database, in either process', async () => {
    const wallet = await api().newWallet('100.00');
    const extra = { description: 'd', metadata: { zebra: 1, ape: 'x', '10': true } };
    const first = await api().debit(wallet.id, '1.00', extra, 'replay-1');
    for (const service of services) {
      const again = await service.api.debit(wallet.id, 1, extra, 'replay-1');
      expect([again.status, again.text, again.headers.get('idempotency-replayed')]).toEqual([201, first.text, 'true']);
    }
  });

  it('answer 422 to another request with the key, 1,000 times, and execute none of them', async () => {
    const wallet = await api().newWallet('5000.00');
    const other = await api().newWallet('5000.00');
    let executed = 0;
    for (let round = 0; round < 20; round++) {
      const keys = Array.from({ length: 50 }, (_, i) => `other-${round}-${i}`);
      await Promise.all(keys.map(async (key) => expectStatus(201, await api().debit(wallet.id, '1.00', {}, key))));
      const [{ n: before }] = await database.query('SELECT count(*)::int AS n FROM transactions');
      const replies = await Promise.all(
        keys.map((key, i) => {
          const { api } = services[i % 2]!;
          if (i % 4 === 0) return api.debit(wallet.id, '2.00', {}, key);
          if (i % 4 === 1) return api.debit(other.id, '1.00', {}, key);
          if (i % 4 === 2) return api.credit(wallet.id, '1.00', {}, key);
          return api.debit(wallet.id, '1.00', { metadata: { a: 1 } }, key);
        }),
      );
      expect(new Set(replies.map(({ status, body }) => `${status} ${body.code}`))).toEqual(
        new Set(['422 idempotency_key_reused']),
      );
      const [{ n: after }] = await database.query('SELECT count(*)::int AS n FROM transactions');
      executed += after - before;
    }
    expect(executed).toBe(0);
  });

  it('answer the rightful repeat also while another request with the key is under way', async () => {
    const wallet = await api().newWallet('10.00');
    const first = expectStatus(201, await api().debit(wallet.id, '1.00', {}, 'rightful'));
    const [wrong, right] = await database.locking(wallet.id, async () => {
      const sent = [api().debit(wallet.id, '2.00', {}, 'rightful')];
      await delay(200); // it waits for the wallet
      sent.push(api().debit(wallet.id, '1.00', {}, 'rightful'));
      await delay(200);
      return sent;
    });
    expect([(await right!).status, (await right!).body]).toEqual([201, first]);
    expect((await wrong!).body.code).toBe('idempotency_key_reused');
    expect((await api().wallet(wallet.id)).balance).toBe('9.00');
  });

  it('keep a refusal as the outcome, even once the money is there', async () => {
    const wallet = await api().newWallet('1.00');
    const first = await api().debit(wallet.id, '5.00', {}, 'refusal-1');
    await api().credit(wallet.id, '100.00');
    const again = await services[1]!.api.debit(wallet.id, '5.00', {}, 'refusal-1');
    expect([first.status, again.status, again.body.detail]).toEqual([422, 422, first.body.detail]);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expectStatus(201, await api().debit(wallet.id, '5.00', {}, 'refusal-2'));
  });

  it('are not used up by a mistake in a field', async () => {
    const wallet = await api().newWallet('10.00');
    expect((await api().debit(wallet.id, '1.001', {}, 'mistake-1')).status).toBe(422);
    expectStatus(201, await api().debit(wallet.id, '1.00', {}, 'mistake-1'));
  });

  it('tell their outcome', async () => {
    const wallet = await api().newWallet('10.00');
    const debit = await api().debit(wallet.id, '1.00', {}, 'tell/1');
    await api().debit(wallet.id, '100.00', {}, 'tell 2');
    expect((await api().get('/v1/idempotency-keys/tell%2F1')).body).toMatchObject({
      status_code: 201,
      body: debit.body,
    });
    expect((await api().get('/v1/idempotency-keys/tell%202')).body).toMatchObject({
      status_code: 422,
      body: { code: 'insufficient_funds', status: 422, type: '/errors/insufficient_funds' },
    });
    await api().debit(wallet.id, '1.00', {}, 'café'); // in UTF-8, as most clients send it
    expect((await api().get('/v1/idempotency-keys/caf%C3%A9')).body).toMatchObject({ key: 'café', status_code: 201 });
    expect((await api().get<Problem>('/v1/idempotency-keys/never')).body.code).toBe('idempotency_key_not_found');
  });

  it('say "already used" after the retention, and never execute twice', async () => {
    const wallet = await api().newWallet('10.00');
    expectStatus(201, await api().debit(wallet.id, '1.00', {}, 'old-1'));
    await database.query(`UPDATE idempotency_keys SET created_at = now() - interval '73 hours' WHERE key = 'old-1'`);
    expect((await api().debit(wallet.id, '1.00', {}, 'old-1')).body).toMatchObject({
      status: 409,
      code: 'idempotency_key_expired',
    });
    expect((await api().wallet(wallet.id)).balance).toBe('9.00');
  });

  it('must be readable', async () => {
    const wallet = await api().newWallet('10.00');
    for (const key of ['', 'x'.repeat(256), 'a\tb']) {
      expect((await api().debit(wallet.id, '1.00', {}, key)).body).toMatchObject({
        status: 422,
        errors: [{ field: 'Idempotency-Key' }],
      });
    }
    expectStatus(201, await api().debit(wallet.id, '1.00', {}, 'x'.repeat(255)));
  });
});

/** `npm run torture -- --only R8` cuts a thousand times. */
const CUTS = 50;

describe('a connection cut right', () => {
  let direct: Service;
  let cutter: CommitCutter;
  let service: Service;
  beforeAll(async () => {
    direct = await startService();
    cutter = await CommitCutter.start(direct.database.url, 'before');
    service = await startService({ DATABASE_URL: cutter.url }, { database: direct.database });
  });
  afterEach(async () => expect(await direct.database.problems()).toEqual([]));
  afterAll(async () => {
    await service.stop();
    await cutter.stop();
    await direct.stop();
  });

  describe.each(['before', 'after'] as const)('%s COMMIT', (when) => {
    beforeEach(() => void Object.assign(cutter, { when, cuts: 0, cutsLeft: 0 }));

    it('costs no money and no truth: the caller hears success or "repeat"', async () => {
      const wallet = await direct.api.newWallet('100000.00');
      for (let round = 0; round < CUTS; round++) {
        cutter.cutsLeft = 1;
        const send = (i: number) => {
          const key = i < 2 ? undefined : `cut-${wallet.id}-${round}-${i}`;
          return service.api.debit(wallet.id, '1.00', { reference: `${round}-${i}` }, key);
        };
        const replies = await Promise.all([0, 1, 2, 3].map(send));
        for (const [i, reply] of replies.entries()) {
          const done = reply.status === 201 ? reply : await send(i);
          expect(done.status).toBe(201);
        }
      }
      expect(cutter.cuts).toBe(CUTS);
      const [{ n, keys }] = await direct.database.query(
        `SELECT count(*)::int AS n, (SELECT count(*)::int FROM idempotency_keys WHERE key LIKE 'cut-' || $1 || '-%') AS keys
           FROM entries WHERE wallet_id = $1::uuid AND amount < 0`,
        [wallet.id],
      );
      expect([n, keys]).toEqual([4 * CUTS, 2 * CUTS]);
      expect((await direct.api.wallet(wallet.id)).balance).toBe(`${100_000 - 4 * CUTS}.00`);
    });

    it('neither for holds, captures, batches and reversals, with a key or without', async () => {
      const [wallet, other] = [await direct.api.newWallet('1000.00'), await direct.api.newWallet()];
      const transfer = { type: 'transfer', from_wallet_id: wallet.id, to_wallet_id: other.id, amount: '1.00' };
      for (let round = 0; round < 20; round++) {
        const hold = expectStatus(201, await direct.api.hold(wallet.id, '1.00'));
        const debit = expectStatus(201, await direct.api.debit(wallet.id, '1.00'));
        cutter.cutsLeft = 1;
        const send = (i: number) => {
          const key = i < 4 ? undefined : `cut-${wallet.id}-${round}-${i}`;
          if (i % 4 === 0) return service.api.hold(wallet.id, '0.01', {}, key);
          if (i % 4 === 1) return service.api.capture(hold.id, { amount: '0.10' }, key);
          if (i % 4 === 2) return service.api.batch([transfer, transfer], { atomic: round % 2 === 0 }, key);
          return service.api.reverse(debit.id, { amount: '0.10' }, key);
        };
        const replies = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(send));
        for (const [i, reply] of replies.entries()) {
          const done: { status: number } = reply.status === 201 || i < 4 ? reply : await send(i);
          expect(done.status).toBe(201);
        }
      }
      expect(cutter.cuts).toBe(20);
      // A credit of 1,000, less 20 debits, 40 captures of 0.10, 80 transfers, plus 40 reversals of 0.10.
      expect(await direct.api.wallet(wallet.id)).toMatchObject({ balance: '900.00', held: '16.40' });
    }, 60_000);
  });
});
