/** Money where two things meet: holds that end while others wait, a database that goes away twice, limits that are changed back. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { EventBody } from '../src/events/events.dto.js';
import type { LimitsBody } from '../src/transactions/wallet-states.dto.js';
import type { TransactionBody } from '../src/transactions/transactions.dto.js';
import { expectStatus, type Problem, type WalletClient } from './support/client.js';
import { CommitCutter } from './support/proxy.js';
import { DAY_MS, Schedules } from './support/schedules.js';
import { startService, type Service } from './support/service.js';

/** Three rounds of 2,000 release them: what waits is passed over twice, and in the other lane then. With 3,000 it never gets there. */
const HOLDS = 5_000;

describe('holds that expire', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService({ HOLD_SWEEP_SECONDS: '86400' })));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  /** As many holds of 1.00 as there are ids, and the time when they are over. */
  const holdAll = async (api: WalletClient, walletIds: string[], seconds: number) => {
    const expires_at = new Date(Date.now() + seconds * 1_000).toISOString();
    const left = [...walletIds];
    const worker = async () => {
      for (let id = left.pop(); id !== undefined; id = left.pop()) {
        expectStatus(201, await api.hold(id, '1.00', { expires_at }));
      }
    };
    await Promise.all(Array.from({ length: 256 }, worker));
    return () => delay(Date.parse(expires_at) - Date.now() + 100);
  };

  it(`keep nobody waiting: postings go on while ${HOLDS} of one wallet are released, and after`, async () => {
    const { id } = await service.api.newWallet('100000.00');
    const over = await holdAll(service.api, Array<string>(HOLDS).fill(id), 15);
    await over();
    const debits = [];
    for (let n = 0; n < 10; n++, await delay(50)) debits.push(service.api.debit(id, '1.00'));
    expect((await Promise.all(debits)).map(({ status }) => status)).toEqual(Array(10).fill(201));
    expect(await service.api.wallet(id)).toMatchObject({ balance: '99990.00', held: '0.00' });
  }, 120_000);

  it('count no more in what events and streams say, also of a change that releases none', async () => {
    const { id } = await service.api.newWallet('100.00');
    const over = await holdAll(service.api, [id], 1.5);
    await over();
    expectStatus(200, await service.api.call('PATCH', `/v1/wallets/${id}`, { metadata: { a: '1' } }));
    const limits = { daily_total: '500.00', reason: 'a test' };
    expectStatus(200, await service.api.call('PUT', `/v1/wallets/${id}/limits`, limits));
    const { data } = expectStatus(200, await service.api.get<{ data: EventBody[] }>(`/v1/events?wallet_id=${id}`));
    const told = data.filter(({ type }) => /^wallet\.(changed|limits_changed)$/.test(type));
    expect(told.map(({ wallets }) => [wallets[0]!.held, wallets[0]!.available])).toEqual([
      ['0.00', '100.00'],
      ['0.00', '100.00'],
    ]);
    expect((await service.api.get<{ available: string }>(`/v1/wallets/${id}/stream`)).body.available).toBe('100.00');
  });

  it('are all written down in one round, of however many wallets', async () => {
    const { database } = service;
    const other = await startService({ TEST_CLOCK: 'on', HOLD_SWEEP_SECONDS: '86400' }, { database });
    const ids: string[] = [];
    const opener = async () => {
      while (ids.length < 550) ids.push((await other.api.newWallet('1.00')).id);
    };
    await Promise.all(Array.from({ length: 16 }, opener));
    await holdAll(other.api, ids, 3_600);
    // Setting the clock begins a round.
    await new Schedules(other).putClock(Date.now() + 7_200_000);
    const active = `SELECT count(*)::int AS n FROM holds WHERE status = 'active'`;
    for (const until = Date.now() + 20_000; (await database.query(active))[0].n > 0; await delay(50)) {
      expect(Date.now()).toBeLessThan(until);
    }
    await other.stop();
  }, 60_000);
});

describe('what is asked twice', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());
  const outcome = (key: string, query = '') => service.api.get<Problem>(`/v1/idempotency-keys/${key}${query}`);

  it('is of unknown outcome where the database goes away after a COMMIT that it did not answer', async () => {
    const cutter = await CommitCutter.start(service.database.url, 'after');
    const { database } = service;
    const cut = await startService({ DATABASE_URL: cutter.url, SHUTDOWN_GRACE_MS: '0' }, { database, quiet: true });
    try {
      cutter.goesAway = true;
      cutter.cutsLeft = 1;
      const made = await cut.api.post<Problem>('/v1/users', { phone_number: '+919876512345' }, 'twice-1');
      expect([cutter.cuts, made.status, made.body.code]).toEqual([1, 503, 'outcome_unknown']);
      cutter.goesAway = false;
      for (const until = Date.now() + 5_000; (await outcome('twice-1')).status !== 200; await delay(20)) {
        expect(Date.now()).toBeLessThan(until);
      }
      const again = await cut.api.post('/v1/users', { phone_number: '+919876512345' }, 'twice-1');
      expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 'true']);
    } finally {
      cutter.goesAway = false;
      await cut.stop();
      await cutter.stop();
    }
  });

  it('may be corrected under its key where an id named nothing', async () => {
    const user = await service.api.newUser();
    const open = (user_id: string) => service.api.post<Problem>('/v1/wallets', { user_id }, 'corrected-1');
    expect((await open(user.id.replace(/.{4}$/, '0000'))).body.code).toBe('user_not_found');
    expect((await outcome('corrected-1')).status).toBe(404);
    expect((await open(user.id)).status).toBe(201);
    expect((await open(user.id)).headers.get('idempotency-replayed')).toBe('true');
  });

  it('shows limits as they can be sent back, under the ETag of the wallet', async () => {
    const { id } = await service.api.newWallet('10.00');
    const path = `/v1/wallets/${id}/limits`;
    const set = (body: object, headers = {}) =>
      service.api.call<LimitsBody & Problem>('PUT', path, { reason: 'a test', ...body }, headers);
    const first = await set({ daily_total: '50.00', monthly_count: 7 });
    const read = await service.api.get<LimitsBody>(path);
    expect([first.headers.get('etag'), read.headers.get('etag')]).toEqual([`"${read.body.version}"`, first.headers.get('etag')]); // prettier-ignore
    const { daily, monthly } = read.body;
    const same = { daily_total: daily.total_max, daily_count: daily.count_max, monthly_total: monthly.total_max };
    const second = await set({ ...same, monthly_count: monthly.count_max }, { 'if-match': read.headers.get('etag')! });
    expect(expectStatus(200, second)).toEqual({ ...read.body, version: read.body.version + 1 });
    expect((await set({}, { 'if-match': read.headers.get('etag')! })).body.code).toBe('precondition_failed');
  });

  it('counts for a limit by the day on which the wallet was free, not when somebody began to wait for it', async () => {
    const clocked = await startService({ TEST_CLOCK: 'on', DATABASE_LOCK_TIMEOUT_MS: '20000' });
    const { database } = clocked;
    const { id } = await clocked.api.newWallet('1000.00');
    const midnight = (Math.floor(Date.now() / DAY_MS) + 2) * DAY_MS;
    await new Schedules(clocked).putClock(midnight - 4_000);
    const path = `/v1/wallets/${id}/limits`;
    const [debit, limits] = await database.locking(id, async () => {
      const debiting = clocked.api.debit(id, '60.00');
      await database.locksAwaited(1);
      const setting = clocked.api.call('PUT', path, { daily_total: '100.00', reason: 'a test' });
      await database.locksAwaited(2);
      expect(await new Schedules(clocked).now()).toBeLessThan(midnight);
      while ((await new Schedules(clocked).now()) < midnight + 500) await delay(50);
      return [debiting, setting] as const;
    });
    expect([(await debit).status, (await limits).status]).toEqual([201, 200]);
    expect((await clocked.api.get<LimitsBody>(path)).body.daily.total_used).toBe('60.00');
    expect((await clocked.api.debit(id, '60.00')).body.code).toBe('limit_exceeded');
    expect(await database.check()).toEqual([]);
    await clocked.stop();
  }, 60_000);

  it('pages the reversals of a transaction, and sums up all of them on each page', async () => {
    const { id } = await service.api.newWallet('100.00');
    const debit = expectStatus(201, await service.api.debit(id, '50.00'));
    const made: string[] = [];
    for (let n = 1; n <= 5; n++) {
      made.push(expectStatus(201, await service.api.reverse(debit.id, { amount: `${n}.00` })).id);
    }
    type Page = { data: TransactionBody[]; next_cursor: string | null; reversed: object; reversible: object };
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const path: string = `/v1/transactions/${debit.id}/reversals?limit=2${cursor && `&cursor=${cursor}`}`;
      const page: Page = expectStatus(200, await service.api.get<Page>(path));
      expect([page.reversed, page.reversible]).toEqual([
        [{ currency: 'INR', amount: '15.00' }],
        [{ currency: 'INR', amount: '35.00' }],
      ]);
      seen.push(...page.data.map((reversal) => reversal.id));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(made);
  });

  it('goes on under other defaults of the database', async () => {
    const { database } = service;
    const set = (what: string) => database.query(`ALTER DATABASE ${database.name} ${what}`);
    await set(`SET bytea_output = 'escape'`);
    await set(`SET datestyle = 'SQL, DMY'`);
    await set(`SET default_transaction_isolation = 'repeatable read'`);
    const other = await startService({}, { database });
    const { id } = await other.api.newWallet('10.00');
    const change = (n: number) => other.api.call('PATCH', `/v1/wallets/${id}`, { metadata: { n } });
    const replies = await Promise.all([...Array(20).keys()].map(change));
    expect(replies.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expectStatus(201, await other.api.debit(id, '1.00'));
    await other.stop();
    expect(await database.check()).toEqual([]);
    await set('RESET ALL');
  });
});
