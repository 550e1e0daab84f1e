/** Reads that must stay fast on a large ledger, held against plain recomputations; and the ledger that the bench grows. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { growLedger, growthOf } from '../bench/grow-ledger.js';
import type { TransactionBody } from '../src/transactions/transactions.dto.js';
import { cursorAt } from '../src/paging.js';
import { expectStatus } from './support/client.js';
import { fillWallet } from '../bench/many-entries.js';
import { startService, TestDatabase, type Service } from './support/service.js';

describe('a large ledger', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterAll(() => service.stop());

  it('finds many instants at once as it finds each: empty wallets, equal times, before and after everything', async () => {
    const ids: string[] = [];
    for (const count of [0, 1, 2, 5, 700]) {
      const { id } = await service.api.newWallet();
      await fillWallet(service.database, id, count);
      ids.push(id);
    }
    // Three in a row share a posting time.
    await service.database.query(
      `UPDATE entries SET created_at = to_timestamp(1700000000 + seq / 3 * 100) WHERE wallet_id = ANY ($1::uuid[])`,
      [ids],
    );
    const differences = await service.database.query(
      `WITH asked AS (
         SELECT array_agg(instant ORDER BY random()) AS instants FROM (
           SELECT to_timestamp(1700000000 + i * 50) + shift * interval '1 microsecond' AS instant
             FROM generate_series(-2, 480) i, generate_series(-1, 1) shift
           UNION ALL SELECT unnest('{-infinity,infinity,infinity,2023-11-14}'::timestamptz[])) x)
       SELECT w.id, found.instant, found.seq FROM asked, unnest($1::uuid[]) AS w (id),
              unnest(asked.instants, entries_before_each(w.id, asked.instants)) AS found (instant, seq)
        WHERE found.seq IS DISTINCT FROM
              (SELECT count(*) FROM entries WHERE wallet_id = w.id AND created_at < found.instant)`,
      [ids],
    );
    expect(differences).toEqual([]);
    const [{ counted }] = await service.database.query(
      `SELECT sum(seq)::int AS counted FROM unnest(entries_before_each($1, '{infinity,2023-11-14 22:13:20Z,-infinity}')) AS seq`,
      [ids[4]],
    );
    expect(counted).toBe(700);
  });

  it('lists the whole ledger within posting and effective times, page by page, equal times included', async () => {
    const wallet = await service.api.newWallet('1000.00');
    for (let i = 1; i <= 12; i++) {
      const effective = i % 4 === 0 ? { effective_at: `2020-01-${10 + i}T00:00:00Z` } : {};
      expectStatus(201, await service.api.debit(wallet.id, i, effective));
    }
    // Four share each posting time.
    await service.database.query('ALTER TABLE transactions DISABLE TRIGGER USER');
    await service.database.query(
      `UPDATE transactions SET created_at = x.at, effective_at = CASE WHEN amount % 400 = 0 THEN effective_at ELSE x.at END
         FROM (SELECT t.id, timestamptz '2020-01-01Z' + (t.amount / 100 - 1) / 4 * interval '10 days' AS at
                 FROM transactions t JOIN entries e ON e.transaction_id = t.id
                WHERE e.wallet_id = $1 AND t.type = 'debit') x
        WHERE transactions.id = x.id`,
      [wallet.id],
    );
    const list = async (query: string, limit: number) => {
      const found: TransactionBody[] = [];
      for (let cursor: string | null = ''; cursor !== null;) {
        const path: string = `/v1/transactions?${query}&limit=${limit}${cursor && `&cursor=${cursor}`}`;
        const page = expectStatus(200, await service.api.get<{ data: TransactionBody[]; next_cursor: string }>(path));
        found.push(...page.data);
        cursor = page.next_cursor;
      }
      const time = query.includes('effective') ? 'effective_at' : 'created_at';
      const places = found.map((transaction) => `${transaction[time]} ${transaction.id}`);
      expect(places).toEqual(places.toSorted().reverse());
      return found.map(({ amount }) => Number(amount)).sort((a, b) => a - b);
    };
    for (const limit of [1, 3, 100]) {
      const until = 'created_before=2021-01-01T00:00:00Z';
      expect(await list(until, limit)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
      expect(await list(`created_from=2020-01-11T00:00:00Z&${until}&type=debit`, limit)).toEqual([5, 6, 7, 8, 9, 10, 11, 12]); // prettier-ignore
      expect(await list('created_from=2020-01-01T00:00:00Z&created_before=2020-01-11T00:00:00Z', limit)).toEqual([1, 2, 3, 4]); // prettier-ignore
      const effective = 'effective_from=2020-01-11T00:00:00Z&effective_before=2020-01-21T00:00:00Z';
      expect(await list(effective, limit)).toEqual([4, 5, 6, 7, 8]);
      expect(await list(`${effective}&created_before=2020-01-11T00:00:00Z`, limit)).toEqual([4]);
    }
    const forged = cursorAt('transactions/created_at', '99999999999999999_0199a3c2-a0d4-7b61-9f0e-3c8d1e5b7a44');
    const query = `created_from=2020-01-01T00:00:00Z&cursor=${forged}`;
    expect((await service.api.get(`/v1/transactions?${query}`)).status).toBe(422);
  });

  it('is paged by effective time also before 1970, and within times of any offset', async () => {
    const wallet = await service.api.newWallet();
    for (const year of [1950, 1960, 1969]) {
      const effective = { effective_at: `${year}-12-31T23:59:59.5Z` };
      expectStatus(201, await service.api.credit(wallet.id, year, effective));
    }
    const list = (path: string, query: string) =>
      service.api.get<{ data: TransactionBody[]; next_cursor: string }>(`${path}?${query.replaceAll('+', '%2B')}`);
    const times = 'effective_from=1951-01-01T23:58:59.5+23:59&effective_before=1970-01-01T00:00:00Z&limit=1';
    const first = expectStatus(200, await list('/v1/transactions', times));
    const second = expectStatus(200, await list('/v1/transactions', `${times}&cursor=${first.next_cursor}`));
    expect([first, second].map(({ data }) => data[0]!.amount)).toEqual(['1969.00', '1960.00']);
    const third = expectStatus(200, await list('/v1/transactions', `${times}&cursor=${second.next_cursor}`));
    expect(third).toMatchObject({ data: [{ amount: '1950.00' }], next_cursor: null });
    const own = `/v1/wallets/${wallet.id}/entries`;
    const later = expectStatus(200, await list(own, 'effective_from=1960-12-31T00:00:59.501-23:59'));
    expect(later.data.map(({ amount }) => amount)).toEqual(['1969.00']);
    expect(expectStatus(200, await list(own, 'created_before=1999-12-31T23:59:59+16:00')).data).toEqual([]);
  });

  it('is grown by the bench so that all laws hold', async () => {
    const database = await TestDatabase.create();
    try {
      await growLedger(database.url, growthOf(5_000), () => undefined);
      expect(await database.check()).toEqual([]);
      const [counts] = await database.query(
        `SELECT (SELECT count(*)::int FROM entries) AS entries, (SELECT count(*)::int FROM idempotency_keys) AS keys,
                (SELECT count(*)::int FROM pg_trigger WHERE tgenabled <> 'O') AS triggers_off,
                (SELECT count(*)::int FROM pg_indexes WHERE tablename IN ('entries', 'transactions')) AS indexes`,
      );
      expect(counts).toEqual({ entries: 5_000, keys: 2_500, triggers_off: 0, indexes: 11 });
    } finally {
      await database.drop();
    }
  });
});
