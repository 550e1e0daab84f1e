import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import type { EntryBody } from '../src/statements/statements.dto.js';
import type { SummaryBody } from '../src/statements/summary.dto.js';
import type { WalletBody } from '../src/wallets/wallets.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

describe('wallets', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  const open = (body: object, key?: string) => service.api.post<WalletBody & Problem>('/v1/wallets', body, key);

  it('opens one wallet for each user, currency and label', async () => {
    const { id: user_id } = await service.api.newUser();
    const wallet = expectStatus(201, await open({ user_id }));
    expect(wallet).toMatchObject({
      user_id,
      currency: 'INR',
      label: 'main',
      status: 'active',
      balance: '0.00',
      held: '0.00',
    });
    expect(wallet).toMatchObject({ available: '0.00', minimum_balance: '100.00', entry_count: 0, version: 1 });
    const racing = await Promise.all(Array.from({ length: 20 }, () => open({ user_id })));
    expect(racing.every(({ status, body }) => status === 409 && body.code === 'wallet_exists')).toBe(true);
    expectStatus(201, await open({ user_id, currency: 'EUR' }));
    expectStatus(201, await open({ user_id, label: 'savings' }));
    const { data } = expectStatus(200, await service.api.get<{ data: WalletBody[] }>(`/v1/wallets?user_id=${user_id}`));
    expect(data.map(({ currency, label }) => `${currency} ${label}`)).toEqual(['INR savings', 'EUR main', 'INR main']);
  });

  it('opens wallets of the house, which need a label', async () => {
    expect((await open({})).body).toMatchObject({ status: 422, errors: [{ field: 'label' }] });
    const fees = expectStatus(201, await open({ label: 'fees', minimum_balance: 0 }));
    expect(fees).toMatchObject({ user_id: null, kind: 'customer' });
    const { body } = await open({ label: 'fees' });
    expect([body.code, body.detail]).toEqual(['wallet_exists', `There is a wallet "fees" in INR already: ${fees.id}.`]);
    expectStatus(201, await service.api.post(`/v1/wallets/${fees.id}/close`, { reason: 'moved' }));
    expect((await open({ label: 'fees' })).body.detail).toBe(
      `There is a wallet "fees" in INR: ${fees.id}, which is closed, and keeps its name.`,
    );
  });

  it('says what is wrong with a request', async () => {
    const { id: user_id } = await service.api.newUser();
    const cases: Array<[object, string]> = [
      [{ user_id: 'me' }, 'user_id'],
      [{ user_id, currency: 'XAU' }, 'currency'],
      [{ user_id, currency: 'inr' }, 'currency'],
      [{ user_id, label: '' }, 'label'],
      [{ user_id, label: 'a\u0000b' }, 'label'],
      [{ user_id, minimum_balance: '1e3' }, 'minimum_balance'],
      [{ user_id, minimum_balance: '0.001' }, 'minimum_balance'],
      [{ user_id, metadata: { deep: {} } }, 'metadata'],
      [{ user_id, metadata: { text: '\ud800' } }, 'metadata'],
      [{ user_id, metadata: [] }, 'metadata'],
      [{ user_id, balance: '1000.00' }, 'balance'],
    ];
    for (const [body, field] of cases) {
      expect((await open(body)).body).toMatchObject({ code: 'validation_failed', errors: [{ field }] });
    }
    expect((await open({ user_id: '0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90' })).body.code).toBe('user_not_found');
  });

  it('gives one key one wallet', async () => {
    const { id: user_id } = await service.api.newUser();
    const replies = await Promise.all(Array.from({ length: 30 }, () => open({ user_id }, 'open-1')));
    expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(replies[0]!.status).toBe(201);
    expect((await open({ user_id, label: 'other' }, 'open-1')).body.code).toBe('idempotency_key_reused');
  });

  it('gives one key one wallet also where somebody has changed the defaults meanwhile', async () => {
    const { id: user_id } = await service.api.newUser();
    const open = ({ api }: Service, extra: object = {}) =>
      api.post<WalletBody>('/v1/wallets', { user_id, ...extra }, 'by-default');
    const first = await open(service);
    const env = { DEFAULT_MINIMUM_BALANCE: '7', DEFAULT_CURRENCY: 'USD' };
    const other = await startService(env, { database: service.database });
    const second = await open(other);
    expect([second.status, second.text]).toEqual([201, first.text]);
    expect((await open(other, { minimum_balance: first.body.minimum_balance })).body).toMatchObject({
      code: 'idempotency_key_reused',
    });
    await other.stop();
  });

  it('changes label, floor and notes, guarded by the ETag', async () => {
    const wallet = await service.api.newWallet('100.00');
    const change = (body: object, etag = '*') =>
      service.api.call<WalletBody & Problem>('PATCH', `/v1/wallets/${wallet.id}`, body, { 'if-match': etag });
    expect((await change({ minimum_balance: '100.01' })).body.code).toBe('below_minimum_balance');
    const changed = await change(
      { minimum_balance: '100.00', label: 'rent', metadata: { a: 1 } },
      `"${wallet.version}"`,
    );
    expect(changed.body).toMatchObject({
      label: 'rent',
      minimum_balance: '100.00',
      metadata: { a: 1 },
      version: wallet.version + 1,
    });
    expect(changed.headers.get('etag')).toBe(`"${wallet.version + 1}"`);
    expect((await change({ label: 'x' }, `"${wallet.version}"`)).status).toBe(412);
    expectStatus(201, await open({ user_id: wallet.user_id, label: 'main' }));
    expect((await change({ label: 'main' })).body.code).toBe('wallet_exists');
    expect((await change({ status: 'closed' })).body).toMatchObject({ errors: [{ field: 'status' }] });
  });

  it('opens a wallet under a name that another is leaving', async () => {
    const wallet = await service.api.newWallet();
    // Whoever has tried to take a name waits before it looks who has it.
    await service.database.query(`
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END';
      CREATE TRIGGER wait AFTER INSERT ON wallet_names FOR EACH STATEMENT EXECUTE FUNCTION wait()`);
    try {
      const renaming = service.api.call('PATCH', `/v1/wallets/${wallet.id}`, { label: 'left' });
      await setTimeout(200);
      const opening = open({ user_id: wallet.user_id });
      expectStatus(200, await renaming);
      expect(expectStatus(201, await opening)).toMatchObject({ label: 'main' });
    } finally {
      await service.database.query('DROP FUNCTION wait CASCADE');
    }
  });

  it('changes a floor while debits race for the money above it', async () => {
    const wallet = await service.api.newWallet('100.00');
    const path = `/v1/wallets/${wallet.id}`;
    const calls = Array.from({ length: 60 }, (_, i) =>
      i % 6 === 0
        ? service.api.call('PATCH', path, { minimum_balance: String(i) })
        : service.api.debit(wallet.id, '2.00'),
    );
    await Promise.all(calls);
    const { balance, minimum_balance } = await service.api.wallet(wallet.id);
    expect(Number(balance)).toBeGreaterThanOrEqual(Number(minimum_balance));
  });

  it('shows the history with running balances, paged and filtered', async () => {
    const wallet = await service.api.newWallet('50.00');
    await service.api.debit(wallet.id, '20.00', { reference: 'rent', description: 'May' });
    await service.api.credit(wallet.id, '5.50');
    const entries = async (query = '') =>
      expectStatus(
        200,
        await service.api.get<{ data: EntryBody[]; next_cursor: string | null }>(
          `/v1/wallets/${wallet.id}/entries?${query}`,
        ),
      );
    expect((await entries()).data.map((e) => [e.seq, e.type, e.amount, e.balance_after])).toEqual([
      [3, 'credit', '5.50', '35.50'],
      [2, 'debit', '-20.00', '30.00'],
      [1, 'credit', '50.00', '50.00'],
    ]);
    expect((await entries('reference=rent')).data).toMatchObject([{ seq: 2, description: 'May' }]);
    expect((await entries('amount_min=5.50&amount_max=20')).data.map((e) => e.seq)).toEqual([3, 2]);
    const first = await entries('limit=2');
    expect((await entries(`limit=2&cursor=${first.next_cursor}`)).data.map((e) => e.seq)).toEqual([1]);
  });

  it('sums up a range of days: opening, plus credit, less debit, is closing', async () => {
    const wallet = await service.api.newWallet('50.00');
    await service.api.debit(wallet.id, '20.00');
    const summary = (query: string) =>
      service.api.get<SummaryBody & Problem>(`/v1/wallets/${wallet.id}/summary?${query}`);
    const today = new Date().toISOString().slice(0, 10);
    expect((await summary(`start_date=${today}&end_date=${today}`)).body).toMatchObject({
      opening_balance: '0.00',
      total_credit: '50.00',
      total_debit: '20.00',
      closing_balance: '30.00',
      entry_count: 2,
    });
    expect((await summary('start_date=2190-01-01')).body).toMatchObject({
      opening_balance: '30.00',
      total_debit: '0.00',
      closing_balance: '30.00',
    });
    expect((await summary('end_date=1999-12-31')).body).toMatchObject({
      opening_balance: '0.00',
      closing_balance: '0.00',
    });
    expect((await summary('start_date=2024-02-02&end_date=2024-02-01')).body).toMatchObject({
      errors: [{ field: 'end_date' }],
    });
    for (const wrong of ['start_date=2024-02-30', 'start_date=yesterday', 'end_date=2024-1-1'])
      expect((await summary(wrong)).status).toBe(422);
  });
});
