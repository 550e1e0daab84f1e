/** Events: one for all that happens, none for what does not, readable in an order from which nothing is ever missing. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { eventId, placeOf } from '../src/events/event-id.js';
import type { EventBody, EventPageBody } from '../src/events/events.dto.js';
import { bank } from './scenarios/bank.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

describe('events', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService();
  });
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  const page = (query: Record<string, string | number>) =>
    service.api.get<EventPageBody & Problem>(`/v1/events?${new URLSearchParams(query as Record<string, string>)}`);
  /** All events, page by page, and where they end. */
  async function read(query: Record<string, string | number> = {}): Promise<{ events: EventBody[]; lastId: string }> {
    const events: EventBody[] = [];
    let after: Record<string, string> = {};
    for (;;) {
      const { data, last_id, has_more } = expectStatus(200, await page({ limit: 100, ...query, ...after }));
      events.push(...data);
      if (last_id !== null) after = { after: last_id };
      if (!has_more) return { events, lastId: last_id! };
    }
  }
  const since = async (lastId: string) => (await read({ after: lastId })).events;
  const namesOf = (events: EventBody[]) => events.map(({ type }) => type);

  it('tell of all that happens to money, with the answer of the API and where the wallets stood', async () => {
    const { api } = service;
    await api.newWallet();
    const before = (await read()).lastId;
    const user = await api.newUser();
    const opened = expectStatus(
      201,
      await api.post<{ id: string }>('/v1/wallets', { user_id: user.id, minimum_balance: 0 }),
    );
    const other = await api.newWallet();
    const credit = expectStatus(201, await api.credit(opened.id, '100.00'));
    const transfer = expectStatus(
      201,
      await api.transfer(opened.id, other.id, '30.00', { metadata: { b: 1, a: 'x' } }),
    );
    const hold = expectStatus(201, await api.hold(opened.id, '20.00'));
    const capture = expectStatus(201, await api.capture(hold.id, { amount: '5.00' }));
    const voided = expectStatus(201, await api.void(hold.id));
    const frozen = expectStatus(201, await api.setStatus(opened.id, 'freeze'));

    const events = await since(before);
    const told = events.filter(({ wallets }) => wallets.some(({ wallet_id }) => wallet_id === opened.id));
    expect(told.map(({ type, data }) => [type, data])).toEqual([
      ['wallet.opened', opened],
      ['transaction.posted', credit],
      ['transaction.posted', transfer],
      ['hold.created', hold],
      ['transaction.posted', capture],
      ['hold.captured', expect.objectContaining({ id: hold.id, captured: '5.00', status: 'active' })],
      ['hold.voided', voided],
      ['wallet.frozen', frozen],
    ]);
    expect(told.map(({ wallets }) => wallets.find(({ wallet_id }) => wallet_id === opened.id)!.available)).toEqual([
      '0.00',
      '100.00',
      '70.00',
      '50.00',
      '50.00',
      '50.00',
      '65.00',
      '65.00',
    ]);
    expect(told[2]!.wallets).toEqual([
      { wallet_id: opened.id, version: 3, currency: 'INR', balance: '70.00', held: '0.00', available: '70.00' },
      { wallet_id: other.id, version: 2, currency: 'INR', balance: '30.00', held: '0.00', available: '30.00' },
    ]);
    expect(events.find(({ type }) => type === 'user.registered')!.data).toEqual(user);
    expect(told.at(-1)!.timestamp).toBe(frozen.created_at);
  });

  it('tell of changes of users and wallets, and not of changes that change nothing', async () => {
    const { api } = service;
    const wallet = await api.newWallet('10.00');
    const { lastId } = await read();
    const change = (path: string, body: object) => api.call<Problem>('PATCH', path, body);
    expectStatus(200, await change(`/v1/wallets/${wallet.id}`, { label: 'holiday' }));
    expectStatus(200, await change(`/v1/wallets/${wallet.id}`, {}));
    expectStatus(200, await change(`/v1/users/${wallet.user_id}`, { metadata: { vip: true } }));
    expectStatus(200, await change(`/v1/users/${wallet.user_id}`, { status: 'suspended', reason: 'fraud' }));
    expectStatus(
      200,
      await api.call('PUT', `/v1/wallets/${wallet.id}/limits`, { daily_count: 3, reason: 'asked for' }),
    );
    expect(namesOf(await since(lastId))).toEqual([
      'wallet.changed',
      'user.changed',
      'user.changed',
      'wallet.limits_changed',
    ]);
  });

  it('are not there for what was refused, tried out, or repeated', async () => {
    const { api } = service;
    const [a, b] = [await api.newWallet('10.00'), await api.newWallet('10.00')];
    const { lastId } = await read();
    expectStatus(422, await api.debit(a.id, '11.00'));
    expectStatus(200, await api.post(`/v1/wallets/${a.id}/debits?dry_run=true`, { amount: '1.00' }));
    const items = [
      { type: 'debit', wallet_id: a.id, amount: '1.00' },
      { type: 'debit', wallet_id: b.id, amount: '99.00' },
    ];
    expectStatus(422, await api.batch(items, { atomic: true }));
    expectStatus(409, await api.setStatus(a.id, 'unfreeze'));
    for (let i = 0; i < 3; i++) expectStatus(201, await api.debit(a.id, '2.00', {}, 'once'));
    expectStatus(201, await api.batch(items, { atomic: false }));
    expect(namesOf(await since(lastId))).toEqual(['transaction.posted', 'transaction.posted']);
  });

  it('can be narrowed to a wallet, a type or a kind', async () => {
    const { api } = service;
    const wallet = await api.newWallet('100.00');
    const hold = expectStatus(201, await api.hold(wallet.id, '10.00'));
    expectStatus(201, await api.void(hold.id));
    for (let i = 0; i < 5; i++) expectStatus(201, await api.debit(wallet.id, '1.00'));
    const own = await read({ wallet_id: wallet.id });
    expect(namesOf(own.events)).toEqual([
      ...['wallet.opened', 'transaction.posted', 'hold.created', 'hold.voided'],
      ...Array.from({ length: 5 }, () => 'transaction.posted'),
    ]);
    const small = await read({ wallet_id: wallet.id, limit: 2 });
    expect(small.events).toEqual(own.events);
    expect(namesOf((await read({ wallet_id: wallet.id, type: 'hold.*' })).events)).toEqual([
      'hold.created',
      'hold.voided',
    ]);
    expect(new Set(namesOf((await read({ type: 'wallet.opened' })).events))).toEqual(new Set(['wallet.opened']));
    const all = await read({ limit: 7 });
    expect(all.events.filter(({ wallets }) => wallets.some(({ wallet_id }) => wallet_id === wallet.id))).toEqual(
      own.events,
    );
    expect((await page({ type: 'hold' })).status).toBe(422);
    expect((await page({ wallet_id: '01890000-0000-7000-8000-00000000dead' })).body.code).toBe('wallet_not_found');
  });

  it('are never passed over when they are committed late', async () => {
    const slow = new pg.Client({ connectionString: service.database.url });
    await slow.connect();
    const { lastId } = await read();
    const wallet = await service.api.newWallet('10.00');
    try {
      await slow.query('BEGIN');
      await slow.query(`
        WITH batch AS (INSERT INTO outbox_batches (created_at) VALUES (now()) RETURNING id)
        INSERT INTO outbox (batch, ordinal, place, subject_id, type, object_id, body)
        SELECT id, 0, 0, gen_random_uuid(), 'user.changed', gen_random_uuid(), '{"late": true}' FROM batch`);
      expectStatus(201, await service.api.debit(wallet.id, '1.00'));
      const early = await read({ after: lastId });
      expect(namesOf(early.events).at(-1)).toBe('transaction.posted');
      await slow.query('COMMIT');
      const late = await since(early.lastId);
      expect(late.map(({ data }) => data)).toEqual([{ late: true }]);
      expect(await since(lastId)).toEqual([...early.events, ...late]);
    } finally {
      await slow.end();
    }
  });

  it('come to a reader once each, in the order of every wallet, while two processes post', async () => {
    const other = await startService({}, { database: service.database });
    try {
      const { lastId } = await read();
      let isDone = false;
      const posting = bank([service, other], { clients: 32, wallets: 8, transfersEach: 30 }).finally(
        () => (isDone = true),
      );
      const seen: EventBody[] = [];
      for (let after = lastId, wasDone = false; !wasDone;) {
        wasDone = isDone;
        const found = await read({ after });
        seen.push(...found.events);
        after = found.lastId;
      }
      expect((await posting).findings).toEqual([]);
      expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
      expect(seen).toEqual(await since(lastId));
      const versions = new Map<string, number>();
      for (const { wallet_id, version } of seen.flatMap(({ wallets }) => wallets)) {
        expect(version).toBeGreaterThan(versions.get(wallet_id) ?? 0);
        versions.set(wallet_id, version);
      }
      const [{ n }] = await service.database.query(`SELECT count(*)::int AS n FROM transactions`);
      expect((await read({ type: 'transaction.posted' })).events).toHaveLength(n);
    } finally {
      await other.stop();
    }
  });

  it('tell of a wallet that falls under its threshold, once for each crossing', async () => {
    const { api } = service;
    const wallet = await api.newWallet('100.00', { low_balance_threshold: '50.00' });
    const crossings = async () => (await read({ wallet_id: wallet.id, type: 'wallet.below_threshold' })).events;
    expectStatus(201, await api.debit(wallet.id, '50.00'));
    expect(await crossings()).toEqual([]);
    expectStatus(201, await api.debit(wallet.id, '0.50'));
    expectStatus(201, await api.debit(wallet.id, '0.50'));
    expect((await crossings()).map(({ data }) => data)).toEqual([
      { wallet_id: wallet.id, currency: 'INR', threshold: '50.00', available: '49.50' },
    ]);
    expectStatus(201, await api.credit(wallet.id, '1.00'));
    expectStatus(201, await api.hold(wallet.id, '10.00'));
    expect(await crossings()).toHaveLength(2);
    const off = await api.call<Problem>('PATCH', `/v1/wallets/${wallet.id}`, { low_balance_threshold: null });
    expect(expectStatus(200, off)).toMatchObject({ low_balance_threshold: null });
    expectStatus(201, await api.credit(wallet.id, '20.00'));
    expectStatus(201, await api.debit(wallet.id, '20.00'));
    expect(await crossings()).toHaveLength(2);
  });

  it('of a type that comes once in 11,000 of a wallet are found in two pages, neither of which reads on for ever', async () => {
    const { api } = service;
    const wallet = await api.newWallet('1000.00', { low_balance_threshold: '890.01' });
    const items = Array.from({ length: 1_000 }, () => ({ type: 'debit', wallet_id: wallet.id, amount: '0.01' }));
    for (let n = 0; n < 11; n++) expectStatus(201, await api.post('/v1/transactions/batch', { atomic: true, items }));
    const query = { wallet_id: wallet.id, type: 'wallet.below_threshold' };
    const first = expectStatus(200, await page(query));
    expect(first).toMatchObject({ data: [], has_more: true });
    const second = expectStatus(200, await page({ ...query, after: first.last_id! }));
    expect(second.data.map(({ type }) => type)).toEqual(['wallet.below_threshold']);
    expect(second.has_more).toBe(false);
  });

  it('say so where they are no longer kept, and where there never was one', async () => {
    const { events } = await read();
    const gone = eventId({ batch: placeOf(events[0]!.id)!.batch - 1n, ordinal: 0 }, new Date());
    const [expired, never, odd] = [
      await page({ after: gone }),
      await page({ after: eventId({ batch: 999_999_999n, ordinal: 0 }, new Date()) }),
      await page({ after: '0199a3c2-a0d4-7b61-9f0e-3c8d1e5b7a44' }),
    ];
    expect([expired.status, expired.body.code]).toEqual([410, 'events_expired']);
    expect([never.status, odd.status]).toEqual([422, 422]);
  });

  it('have ids that tell where they stand', () => {
    const createdAt = new Date('2026-01-31T09:30:00.123Z');
    for (const batch of [0n, 1n, 12_345n, 2n ** 42n - 1n])
      for (const ordinal of [0, 1, 4_711, 2 ** 20 - 1]) {
        const id = eventId({ batch, ordinal }, createdAt);
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(placeOf(id)).toEqual({ batch, ordinal });
        expect(parseInt(id.slice(0, 13).replace('-', ''), 16)).toBe(createdAt.getTime());
      }
  });
});
