/** What one caller, or one moment, must not do to others: hold them up, have them refused falsely, or told what is not so. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { HoldBody } from '../src/transactions/holds.dto.js';
import { afterwards } from '../src/transactions/posting.service.js';
import { expectStatus } from './support/client.js';
import { startService, TestDatabase, type Service } from './support/service.js';

describe('the money path keeps its neighbours apart', () => {
  let service: Service;
  const isSound = async (database: TestDatabase) =>
    expect([await database.problems(), await database.check()]).toEqual([[], []]);
  beforeAll(async () => {
    service = await startService({ TEST_CLOCK: 'on' });
  });
  afterAll(async () => {
    await isSound(service.database);
    await service.stop();
  });

  /** Puts the clock so many times eight days ahead, a day longer than holds are kept. */
  const pass = async ({ api }: Service, times = 1) =>
    expectStatus(200, await api.call('PUT', '/v1/test-clock', { ahead_seconds: times * 8 * 86_400 }));

  it('releases thousands of expired holds a part at a time', async () => {
    const { api, database: own } = service;
    const wallet = await api.newWallet('100.00');
    const neighbour = await api.newWallet('100.00');
    const holds = Array.from({ length: 2_500 }, () =>
      api.post<HoldBody>(`/v1/wallets/${wallet.id}/holds`, { amount: '0.01' }),
    );
    for (const hold of await Promise.all(holds)) expectStatus(201, hold);
    await pass(service);
    const largest = `SELECT max(n)::int AS n FROM (SELECT count(*) AS n FROM hold_changes WHERE action = 'expired' GROUP BY created_at) c`;
    // All of it is free by its time; nobody is refused for what is not written down yet.
    const [all, dry, beside] = await Promise.all([
      api.debit(wallet.id, '100.00'),
      api.post(`/v1/wallets/${wallet.id}/debits?dry_run=true`, { amount: '0.01' }),
      api.debit(neighbour.id, '1.00'),
    ]);
    expect([all.status, beside.status]).toEqual([201, 201]);
    expect([200, 422]).toContain(dry.status); // before or after it
    expect((await own.query(largest))[0].n).toBe(2_000);
    expect(await own.query(`SELECT FROM holds WHERE wallet_id = '${wallet.id}' AND status = 'active'`)).toEqual([]);
  }, 60_000);

  it('takes journals of many legs for the work that they are', async () => {
    const { api, database: own } = service;
    const payer = await api.newWallet('1000.00');
    const payees = await Promise.all(Array.from({ length: 100 }, () => api.newWallet()));
    const legs: Array<[string, string]> = Array.from({ length: 499 }, (_, i) => [payees[i % 100]!.id, '0.01']);
    const journals = Array.from({ length: 12 }, () => api.journal([[payer.id, '-4.99'], ...legs]));
    expect((await Promise.all(journals)).map(({ status }) => status)).toEqual(Array(12).fill(201));
    const [{ n }] = await own.query(
      'SELECT max(n)::int AS n FROM (SELECT count(*) AS n FROM entries GROUP BY created_at) c',
    );
    expect(n).toBeLessThanOrEqual(8 * 500 + 500);
  }, 60_000);

  it('without locks refuses nothing that only looked so between two reads', async () => {
    const database = await TestDatabase.create();
    const start = () => startService({ LOCKING: 'optimistic', TEST_CLOCK: 'on' }, { database });
    const [one, other] = await Promise.all([start(), start()]);
    try {
      const wallet = await one.api.newWallet('100.00');
      const refused: string[] = [];
      for (let round = 0; round < 14; round++) {
        // All of it is set aside and free again a moment later; each of these finds 100.00 or waits for its turn.
        const hold = { amount: '100.00' };
        expectStatus(201, await one.api.post<HoldBody>(`/v1/wallets/${wallet.id}/holds`, hold));
        await pass(one, round + 1);
        const debits = await Promise.all(
          Array.from({ length: 8 }, (_, i) => (i % 2 ? one : other).api.debit(wallet.id, '0.01')),
        );
        refused.push(...debits.filter(({ status }) => status === 422).map(({ body }) => body.detail));
        expectStatus(201, await one.api.credit(wallet.id, '0.08'));
      }
      expect(refused).toEqual([]);
      await isSound(database);
    } finally {
      await Promise.all([one.stop(), other.stop()]);
      await database.drop();
    }
  }, 120_000);

  it('has time go on in each wallet where the clock was set back, also past a change of its settings', async () => {
    const { api, database: own } = service;
    const [wallet, payee] = [await api.newWallet('100.00'), await api.newWallet()];
    await own.query(`
      ALTER TABLE entries DISABLE TRIGGER USER; ALTER TABLE transactions DISABLE TRIGGER USER;
      UPDATE wallets SET updated_at = updated_at + interval '1 minute' WHERE id = '${wallet.id}'`);
    await own.query('ALTER TABLE entries ENABLE TRIGGER USER; ALTER TABLE transactions ENABLE TRIGGER USER');
    const stamp = async () =>
      (await own.query(`SELECT updated_at FROM wallets WHERE id = '${wallet.id}'`))[0].updated_at;
    const before = (await stamp()) as Date;
    expectStatus(200, await api.call('PATCH', `/v1/wallets/${wallet.id}`, { label: 'renamed' }));
    expectStatus(
      200,
      await api.call('PUT', `/v1/wallets/${wallet.id}/limits`, { daily_total: '50.00', reason: 'asked' }),
    );
    expect(await stamp()).toEqual(before);
    const moved = expectStatus(201, await api.transfer(wallet.id, payee.id, '1.00'));
    expect(moved.created_at >= before.toISOString()).toBe(true);
  });

  it('lets no minimum balance come between a hold and its capture', async () => {
    const { api } = service;
    const [wallet, payee] = [await api.newWallet(undefined, { minimum_balance: '-500.00' }), await api.newWallet()];
    const hold = expectStatus(201, await api.post<HoldBody>(`/v1/wallets/${wallet.id}/holds`, { amount: '100.00' }));
    const raised = await api.call('PATCH', `/v1/wallets/${wallet.id}`, { minimum_balance: '100.00' });
    expect([raised.status, (raised.body as { code: string }).code]).toEqual([422, 'below_minimum_balance']);
    expectStatus(201, await api.post(`/v1/holds/${hold.id}/captures`, { to_wallet_id: payee.id }));
  });

  it('does not say that nothing was written where only reading it again failed', async () => {
    const fault = Object.assign(new Error('Connection terminated unexpectedly'), { name: 'QueryFailedError' });
    await expect(afterwards(Promise.reject(fault))).rejects.toMatchObject({ code: 'outcome_unknown' });
    await expect(afterwards(Promise.reject(new TypeError('a bug')))).rejects.toThrow('a bug');
    expect(await afterwards(Promise.resolve(1))).toBe(1);
  });
});
