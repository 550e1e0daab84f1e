/** Freezing and closing wallets, their limits, and asking first. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Page } from '../src/paging.js';
import type { LimitsBody, StatusChangeBody } from '../src/transactions/wallet-states.dto.js';
import { clockFunctions } from '../migrations/1764250000000-clock.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

const env = { LIMIT_TIME_ZONE: 'Asia/Kolkata', GROUP_ATTEMPTS_MAX: '50' };
let service: Service;
beforeAll(async () => void (service = await startService({ ...env, LOCKING: 'pessimistic' })));
afterEach(async () => expect(await service.database.problems()).toEqual([]));
afterAll(async () => {
  const found = await service.database.check({ LIMIT_TIME_ZONE: 'Asia/Kolkata' });
  await service.stop();
  expect(found).toEqual([]);
});
const api = () => service.api;
const balance = async (id: string) => (await api().wallet(id)).balance;

describe('a frozen wallet', () => {
  it('lets money in and nothing out, until it is unfrozen', async () => {
    const wallet = await api().newWallet('100.00');
    const hold = expectStatus(201, await api().hold(wallet.id, '10.00'));
    const change = expectStatus(201, await api().setStatus(wallet.id, 'freeze', { reason: 'card lost' }));
    expect(change).toMatchObject({ status: 'frozen', freeze_mode: 'debits', reason: 'card lost', actor: 'operator' });
    expect(await api().wallet(wallet.id)).toMatchObject({ status: 'frozen', freeze_mode: 'debits' });
    expectStatus(201, await api().credit(wallet.id, '1.00'));
    for (const refused of [api().debit(wallet.id, '1.00'), api().hold(wallet.id, '1.00'), api().capture(hold.id)]) {
      expect((await refused).body.code).toBe('wallet_frozen');
    }
    expectStatus(201, await api().void(hold.id));
    expectStatus(201, await api().setStatus(wallet.id, 'unfreeze', { reason: 'card found' }));
    expectStatus(201, await api().debit(wallet.id, '1.00'));
    expect((await api().setStatus(wallet.id, 'unfreeze')).body.code).toBe('wallet_not_frozen');
    const frozen = await api().get<Page<unknown>>(`/v1/wallets?user_id=${wallet.user_id}&status=frozen`);
    expect(frozen.body.data).toEqual([]);
    const list = await api().get<Page<StatusChangeBody>>(`/v1/wallets/${wallet.id}/status-changes`);
    expect(list.body.data.map(({ status, reason }) => [status, reason])).toEqual([
      ['active', 'card found'],
      ['frozen', 'card lost'],
    ]);
  });

  it('in mode `all` lets nothing move', async () => {
    const wallet = await api().newWallet('100.00');
    expectStatus(201, await api().setStatus(wallet.id, 'freeze', { mode: 'all' }));
    expect((await api().credit(wallet.id, '1.00')).body.code).toBe('wallet_frozen');
    expectStatus(201, await api().setStatus(wallet.id, 'freeze', { mode: 'debits' }));
    expectStatus(201, await api().credit(wallet.id, '1.00'));
    expect((await api().setStatus(wallet.id, 'freeze', { mode: 'credits' })).body.errors![0]!.field).toBe('mode');
    expect((await api().setStatus(wallet.id, 'freeze', { reason: '' })).body.errors![0]!.field).toBe('reason');
  });
});

describe('closing a wallet', () => {
  it('needs it empty, and is final', async () => {
    const wallet = await api().newWallet('100.00', { minimum_balance: '20' });
    expect((await api().setStatus(wallet.id, 'close')).body.code).toBe('wallet_not_empty');
    const hold = expectStatus(201, await api().hold(wallet.id, '10.00'));
    expect((await api().setStatus(wallet.id, 'close')).body.code).toBe('wallet_has_holds');
    expectStatus(201, await api().void(hold.id));
    const empty = await api().newWallet();
    expectStatus(201, await api().setStatus(empty.id, 'close'));
    expect((await api().credit(empty.id, '1.00')).body.code).toBe('wallet_closed');
    expect((await api().setStatus(empty.id, 'unfreeze')).body.code).toBe('wallet_closed');
    expect((await api().setStatus(empty.id, 'close')).body.code).toBe('wallet_closed');
  });

  it('sweeps the rest to another wallet on request, below the minimum balance too', async () => {
    const [wallet, heir] = [await api().newWallet('100.00', { minimum_balance: '20' }), await api().newWallet()];
    const extra = { sweep_to_wallet_id: heir.id, reason: 'moved on' };
    const change = expectStatus(201, await api().setStatus(wallet.id, 'close', extra, 'close-1'));
    expect(change.status).toBe('closed');
    expect((await api().get(`/v1/transactions/${change.transaction_id}`)).body).toMatchObject({
      ...{ type: 'transfer', amount: '100.00', reason: 'moved on' },
    });
    expect([await balance(wallet.id), await balance(heir.id)]).toEqual(['0.00', '100.00']);
    expect((await api().setStatus(wallet.id, 'close', extra, 'close-1')).body).toEqual(change);
  });

  it('refuses to sweep where the money cannot go', async () => {
    const wallet = await api().newWallet('100.00');
    const into = async (id: string) =>
      (await api().setStatus(wallet.id, 'close', { sweep_to_wallet_id: id })).body as Problem;
    expect((await into((await api().newWallet(undefined, { currency: 'USD' })).id)).code).toBe('currency_mismatch');
    expect((await into((await api().newWallet(undefined, { minimum_balance: '500' })).id)).code).toBe(
      'minimum_balance_unmet',
    );
    expect((await into(wallet.id)).errors![0]!.field).toBe('sweep_to_wallet_id');
    expect((await into('01890000-0000-7000-8000-000000000001')).code).toBe('wallet_not_found');
    expect(await api().wallet(wallet.id)).toMatchObject({ status: 'active', balance: '100.00' });
  });

  it('happens once, however many ask', async () => {
    const [wallet, heir] = [await api().newWallet('100.00'), await api().newWallet()];
    const replies = await Promise.all([
      ...Array.from({ length: 20 }, () => api().setStatus(wallet.id, 'close', { sweep_to_wallet_id: heir.id })),
      ...Array.from({ length: 20 }, () => api().debit(wallet.id, '1.00')),
    ]);
    expect(replies.slice(0, 20).filter(({ status }) => status === 201)).toHaveLength(1);
    const debits = replies.slice(20).filter(({ status }) => status === 201).length;
    expect(await balance(heir.id)).toBe(`${100 - debits}.00`);
  });
});

describe('limits', () => {
  const setLimits = (id: string, limits: object, headers = {}) =>
    api().call<LimitsBody & Problem>('PUT', `/v1/wallets/${id}/limits`, { reason: 'a test', ...limits }, headers);
  const limitsOf = async (id: string) => expectStatus(200, await api().get<LimitsBody>(`/v1/wallets/${id}/limits`));

  it('bound what leaves in a day and in a month, and tell what is left', async () => {
    const [wallet, other] = [await api().newWallet('1000.00'), await api().newWallet()];
    expectStatus(201, await api().debit(wallet.id, '30.00'));
    const set = expectStatus(200, await setLimits(wallet.id, { daily_total: '100.00', monthly_count: 4 }));
    expect(set.time_zone).toBe('Asia/Kolkata');
    expect(set.daily).toMatchObject({ total_max: '100.00', total_used: '30.00', total_left: '70.00', count_max: null });
    expect(set.monthly).toMatchObject({ total_max: null, count_max: 4, count_used: 1, count_left: 3 });
    expect(set.daily.resets_at).toMatch(/T18:30:00\.000Z$/);
    expect((await api().debit(wallet.id, '70.01')).body).toMatchObject({
      code: 'limit_exceeded',
      detail: '70.00 INR is left of the daily limit of 100.00 INR, 70.01 INR was asked for.',
    });
    expectStatus(201, await api().transfer(wallet.id, other.id, '70.00'));
    expectStatus(201, await api().credit(wallet.id, '70.00'));
    expect((await api().debit(wallet.id, '0.01')).body.code).toBe('limit_exceeded');
    expectStatus(200, await setLimits(wallet.id, { daily_total: '500.00', monthly_count: 3 }));
    const hold = expectStatus(201, await api().hold(wallet.id, '10.00'));
    expectStatus(201, await api().capture(hold.id));
    expect((await api().debit(wallet.id, '0.01')).body.detail).toBe('The monthly limit of 3 debits is used up.');
    expectStatus(200, await setLimits(wallet.id, {}));
    expectStatus(201, await api().debit(wallet.id, '900.00'));
    expect((await limitsOf(wallet.id)).daily).toMatchObject({ total_max: null, total_used: null });
  });

  it('begin anew with the day and the month', async () => {
    const wallet = await api().newWallet('1000.00');
    expectStatus(200, await setLimits(wallet.id, { daily_total: '100.00', monthly_total: '150.00' }));
    expectStatus(201, await api().debit(wallet.id, '100.00'));
    const rewind = (sql: string) =>
      service.database.query(`UPDATE wallet_limits SET ${sql} WHERE wallet_id = '${wallet.id}'`);
    await rewind(`day = day - 1`);
    expect((await limitsOf(wallet.id)).daily.total_left).toBe('100.00');
    expect((await api().debit(wallet.id, '50.01')).body.code).toBe('limit_exceeded'); // of the month
    expectStatus(201, await api().debit(wallet.id, '50.00'));
    await rewind(`month = month - 31, day = day - 31`);
    expectStatus(201, await api().debit(wallet.id, '100.00'));
    expect((await limitsOf(wallet.id)).monthly.total_used).toBe('100.00');
    expectStatus(200, await setLimits(wallet.id, {})); // what the test made of them is no history
  });

  it('begin with the first of two midnights, where clocks go back over it', async () => {
    // The next November that begins with a Sunday: day and month at once.
    const zone = { LIMIT_TIME_ZONE: 'America/Havana' };
    const havana = await startService(zone);
    const put = (id: string) =>
      havana.api.call<LimitsBody>('PUT', `/v1/wallets/${id}/limits`, { reason: 'a test', daily_total: '100.00' });
    const at = (time: string) =>
      havana.database.query(clockFunctions(`${(Date.parse(time) - Date.now()) / 1_000} seconds`));
    await at('2037-11-01T03:00:00Z');
    const [before, after] = [await havana.api.newWallet('1000.00'), await havana.api.newWallet('1000.00')];
    const { daily } = expectStatus(200, await put(before.id));
    expect(daily.resets_at).toBe('2037-11-01T04:00:00.000Z');
    await at('2037-11-01T04:30:00Z'); // half past midnight, for the first time
    for (const { id } of [before, after]) expectStatus(201, await havana.api.debit(id, '30.00'));
    await at('2037-11-01T05:30:00Z');
    const limits = expectStatus(200, await put(after.id));
    expect([limits.daily.total_used, limits.monthly.total_used]).toEqual(['30.00', '30.00']);
    expectStatus(201, await havana.api.debit(before.id, '30.00'));
    expect(await havana.database.check(zone)).toEqual([]);
    await havana.stop();
  });

  it.each(['pessimistic', 'optimistic'])(
    'are not passed by one unit by 200 racing debits (%s)',
    async (locking) => {
      const start = () => startService({ ...env, LOCKING: locking }, { database: service.database });
      const started = await Promise.all(locking === 'pessimistic' ? [start()] : [start(), start()]);
      const services = locking === 'pessimistic' ? [service, ...started] : started;
      const wallet = await api().newWallet('1000.00');
      expectStatus(200, await setLimits(wallet.id, { daily_total: '50.05', monthly_count: 100 }));
      const replies = await Promise.all(
        Array.from({ length: 200 }, (_, i) => services[i % 2]!.api.debit(wallet.id, '1.00')),
      );
      expect(replies.filter(({ status }) => status === 201)).toHaveLength(50);
      expect(replies.filter(({ body }) => body.code === 'limit_exceeded')).toHaveLength(150);
      expect(await balance(wallet.id)).toBe('950.00');
      await Promise.all(started.map((process) => process.stop()));
    },
    30_000,
  );

  it('are set by the version that the caller saw, and refuse what is no limit', async () => {
    const wallet = await api().newWallet('10.00');
    expect((await setLimits(wallet.id, { daily_count: 1 }, { 'if-match': '"1"' })).body.code).toBe(
      'precondition_failed',
    );
    expectStatus(200, await setLimits(wallet.id, { daily_count: 1 }, { 'if-match': `"${wallet.version}"` }));
    const field = async (limits: object) => (await setLimits(wallet.id, limits)).body.errors?.[0]?.field;
    expect(await field({ daily_count: 0 })).toBe('daily_count');
    expect(await field({ daily_total: '0' })).toBe('daily_total');
    expect(await field({ daily_total: '1.001' })).toBe('daily_total');
    expect(await field({ monthly_count: 1.5 })).toBe('monthly_count');
    expect(await field({ weekly_total: '1' })).toBe('weekly_total');
  });
});

describe('dry_run', () => {
  const ask = (path: string, body: object, key?: string) =>
    api().post<Record<string, unknown> & Problem>(`${path}?dry_run=true`, body, key);

  it('tells what every money call would do, and writes nothing', async () => {
    const [wallet, other] = [await api().newWallet('100.00'), await api().newWallet()];
    const debit = expectStatus(201, await api().debit(wallet.id, '10.00'));
    const hold = expectStatus(201, await api().hold(wallet.id, '20.00'));
    const before = await service.database.query(
      'SELECT (SELECT count(*) FROM idempotency_keys) AS keys, t.n FROM (SELECT count(*) AS n FROM transactions) t',
    );
    const versions = [(await api().wallet(wallet.id)).version, (await api().readHold(hold.id)).version];
    const of = `/v1/wallets/${wallet.id}`;
    const calls: Array<[string, object]> = [
      [`${of}/credits`, { amount: '5.00' }],
      [`${of}/debits`, { amount: '5.00' }],
      ['/v1/transfers', { from_wallet_id: wallet.id, to_wallet_id: other.id, amount: '5.00' }],
      ['/v1/transactions', { entries: [{ wallet_id: wallet.id, amount: '-5.00' }, { wallet_id: other.id, amount: '5.00' }] }], // prettier-ignore
      ['/v1/transactions/batch', { items: [{ type: 'debit', wallet_id: wallet.id, amount: '5.00' }] }],
      [`/v1/transactions/${debit.id}/reversals`, { reason: 'asking' }],
      [`${of}/holds`, { amount: '5.00' }],
      [`/v1/holds/${hold.id}/captures`, { amount: '5.00' }],
      [`/v1/holds/${hold.id}/void`, {}],
      [`${of}/freeze`, { reason: 'asking' }],
    ];
    for (const [path, body] of calls) {
      const reply = await ask(path, body, 'dry-key');
      // A hold that is there already keeps its id; what would be made has none.
      expect([path, reply.status, reply.body.id]).toEqual([path, 200, path.endsWith('/void') ? hold.id : undefined]);
    }
    expect((await ask(`${of}/debits`, { amount: '5.00' })).body).toMatchObject({ status: 'dry_run', amount: '5.00' });
    const after = await service.database.query(
      'SELECT (SELECT count(*) FROM idempotency_keys) AS keys, t.n FROM (SELECT count(*) AS n FROM transactions) t',
    );
    expect(after).toEqual(before);
    expect([(await api().wallet(wallet.id)).version, (await api().readHold(hold.id)).version]).toEqual(versions);
    expectStatus(201, await api().debit(wallet.id, '1.00', {}, 'dry-key')); // the key was not used up
  });

  it('tells the refusal, and disturbs no posting beside it', async () => {
    const wallet = await api().newWallet('10.00');
    expect((await ask(`/v1/wallets/${wallet.id}/debits`, { amount: '10.01' })).body.code).toBe('insufficient_funds');
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        i % 2 ? api().debit(wallet.id, '1.00') : ask(`/v1/wallets/${wallet.id}/debits`, { amount: '1.00' }),
      ),
    );
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(10);
    expect(await balance(wallet.id)).toBe('0.00');
    expect(
      (await api().post<Problem>(`/v1/wallets/${wallet.id}/debits?dry_run=1`, { amount: '1.00' })).body.errors![0]!
        .field,
    ).toBe('dry_run');
  });
});
