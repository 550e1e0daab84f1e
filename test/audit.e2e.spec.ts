import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { AuditEntryBody } from '../src/audit/audit.dto.js';
import type { WalletBody } from '../src/wallets/wallets.dto.js';
import { fingerprintOf } from '../src/idempotency/idempotency.service.js';
import { expectStatus, type Problem, type Reply } from './support/client.js';
import { startService, type Service } from './support/service.js';

let service: Service;
// Some tests make the database refuse what the service writes; what it says about that is no news.
beforeAll(async () => void (service = await startService({}, { quiet: true })));
afterEach(async () => expect(await service.database.problems()).toEqual([]));
afterAll(() => service.stop());

const api = () => service.api;
const actsOn = (id: string) => api().actsOn(id);
const actionsOn = async (id: string) => (await actsOn(id)).map(({ action }) => action);
const codeOf = async (reply: Promise<Reply<unknown>>) => ((await reply).body as Partial<Problem>).code;
const patch = (path: string, body: object, etag = '*') =>
  api().call<WalletBody & Problem>('PATCH', `/v1/${path}`, body, { 'if-match': etag });
const limit = (id: string, limits: object, etag = '*') =>
  api().call<Problem>('PUT', `/v1/wallets/${id}/limits`, limits, { 'if-match': etag });
const money = async () => expectStatus(201, await api().credit((await api().newWallet()).id, '100.00'));
/** A wallet with 100.00 and a minimum balance of 50.00. */
const floored = () => api().newWallet('100.00', { minimum_balance: '50.00' });

describe('the audit log has a row for each act', () => {
  it('of freezing, unfreezing and closing: who, what, why, when and from where', async () => {
    const [wallet, heir] = [await api().newWallet('10.00'), await api().newWallet()];
    const path = `/v1/wallets/${wallet.id}/freeze`;
    const headers = { 'x-request-id': 'the-request-1' };
    const frozen = expectStatus(
      201,
      await api().call<{ id: string; created_at: string }>(
        'POST',
        path,
        { reason: 'Wrote: "\\o/" {,}', mode: 'all' },
        headers,
      ),
    );
    const unfrozen = expectStatus(201, await api().setStatus(wallet.id, 'unfreeze', { reason: 'it was nothing' }));
    const closed = expectStatus(201, await api().setStatus(wallet.id, 'close', { sweep_to_wallet_id: heir.id }));
    const about = { actor: 'operator', object_type: 'wallet', object_id: wallet.id, address: '127.0.0.1' };
    expect(await actsOn(wallet.id)).toEqual([
      {
        ...{
          ...about,
          id: expect.any(String),
          action: 'wallet.closed',
          reason: 'a test',
          request_id: expect.any(String),
        },
        details: { status_change_id: closed.id, sweep_transaction_id: closed.transaction_id },
        created_at: closed.created_at,
      },
      {
        ...{ ...about, id: expect.any(String), action: 'wallet.unfrozen', request_id: expect.any(String) },
        ...{ reason: 'it was nothing', details: { status_change_id: unfrozen.id }, created_at: unfrozen.created_at },
      },
      {
        ...{ ...about, id: expect.any(String), action: 'wallet.frozen', reason: 'Wrote: "\\o/" {,}' },
        ...{ request_id: 'the-request-1', details: { status_change_id: frozen.id, mode: 'all' } },
        created_at: frozen.created_at,
      },
    ]);
  });

  it('of reversing, whole, in part and under the floor', async () => {
    const [whole, part] = [await money(), await money()];
    expectStatus(201, await api().debit(part.entries.find(({ amount }) => amount === '100.00')!.wallet_id, '90.00'));
    const reversal = expectStatus(201, await api().reverse(whole.id));
    const extra = { amount: '20.00', on_shortfall: 'allow_negative', reason: 'chargeback' };
    const partial = expectStatus(201, await api().reverse(part.id, extra));
    expect(await actsOn(whole.id)).toMatchObject([
      {
        ...{ action: 'transaction.reversed', object_type: 'transaction', reason: 'Goods returned' },
        ...{ details: { reversal_id: reversal.id }, created_at: reversal.created_at },
      },
    ]);
    const [{ details, reason }] = (await actsOn(part.id)) as [AuditEntryBody];
    expect([reason, details]).toEqual([
      'chargeback',
      { reversal_id: partial.id, amount: '20.00', currency: 'INR', on_shortfall: 'allow_negative' },
    ]);
  });

  it('of lowering a minimum balance: by a debit, an item of a batch, the original call, or as a change', async () => {
    const wallet = await floored();
    const lower = (minimum_balance: string) => ({ minimum_balance, reason: `to ${minimum_balance}` });
    expectStatus(201, await api().debit(wallet.id, '1.00', lower('40')));
    const item = { type: 'debit', wallet_id: wallet.id, amount: '1.00' };
    const batch = expectStatus(
      201,
      await api().batch([{ ...item, ...lower('30') }, item, { ...item, ...lower('20') }]),
    );
    expect(batch.posted).toBe(3);
    const classic = { wallet_id: wallet.id, amount: 1, minimum_balance: 10 };
    expectStatus(200, await api().post('/wallet/debit', classic));
    expectStatus(200, await patch(`wallets/${wallet.id}`, lower('-5')));
    expect((await api().wallet(wallet.id)).minimum_balance).toBe('-5.00');
    const acts = (await actsOn(wallet.id)).map(({ action, reason, details }) => ({ action, reason, details }));
    const act = (reason: string, from: string, to: string) => ({
      ...{ action: 'wallet.floor_lowered', reason, details: { from, to, currency: 'INR' } },
    });
    expect(acts).toEqual([
      act('to -5', '10.00', '-5.00'),
      act('the original call', '20.00', '10.00'),
      act('to 20', '30.00', '20.00'),
      act('to 30', '40.00', '30.00'),
      act('to 40', '50.00', '40.00'),
    ]);
  });

  it('of setting limits and taking them away', async () => {
    const wallet = await api().newWallet();
    expectStatus(200, await limit(wallet.id, { daily_total: '100', monthly_count: 4, reason: 'new customer' }));
    expectStatus(200, await limit(wallet.id, { reason: 'known customer' }));
    const none = { daily_total: null, daily_count: null, monthly_total: null, monthly_count: null, currency: 'INR' };
    expect(await actsOn(wallet.id)).toMatchObject([
      { action: 'wallet.limited', reason: 'known customer', details: none },
      {
        action: 'wallet.limited',
        reason: 'new customer',
        details: { ...none, daily_total: '100.00', monthly_count: 4 },
      },
    ]);
  });

  it('of suspending a user, which ends all sessions of that user and no others, and of activating', async () => {
    const [user, other] = [await api().newUser(), await api().newUser()];
    const begin = (userId: string, end: string | null) =>
      service.database.query(
        `INSERT INTO sessions (id, user_id, expires_at, ended_at, end_reason)
         VALUES ($1, $2, now() + interval '1 day', CASE WHEN $3::text IS NOT NULL THEN now() END, $3)`,
        [randomUUID(), userId, end],
      );
    for (const end of [null, null, 'logout']) await begin(user.id, end);
    await begin(other.id, null);
    const suspend = { status: 'suspended', reason: 'lost their phone' };
    expectStatus(200, await patch(`users/${user.id}`, suspend));
    expectStatus(200, await patch(`users/${user.id}`, { ...suspend, metadata: { a: 1 } })); // no change of status: no act
    expectStatus(200, await patch(`users/${user.id}`, { status: 'active', reason: 'found it' }));
    expect(await actsOn(user.id)).toMatchObject([
      { action: 'user.activated', object_type: 'user', reason: 'found it', details: null },
      { action: 'user.suspended', object_type: 'user', reason: 'lost their phone', details: { sessions_ended: 2 } },
    ]);
    const ends = await service.database.query(
      `SELECT user_id = $1 AS own, end_reason, count(*)::int FROM sessions WHERE user_id = ANY($2)
        GROUP BY 1, 2 ORDER BY 1 DESC, 2`,
      [user.id, [user.id, other.id]],
    );
    expect(ends).toEqual([
      { own: true, end_reason: 'logout', count: 1 },
      { own: true, end_reason: 'user_suspended', count: 2 },
      { own: false, end_reason: null, count: 1 },
    ]);
  });
});

describe('the audit log has no row', () => {
  it('where the reason is missing, or given for nothing', async () => {
    const [wallet, user] = [await floored(), await api().newUser()];
    const field = async (reply: Promise<Reply<unknown>>) => {
      const { status, body } = await reply;
      return [status, (body as Problem).errors?.[0]];
    };
    const missing = (message: string) => [422, { field: 'reason', message }];
    const path = `wallets/${wallet.id}`;
    expect(await field(patch(path, { minimum_balance: '1' }))).toEqual(
      missing('is needed to lower the minimum balance'),
    );
    const only = missing('is only for lowering the minimum balance');
    expect(await field(patch(path, { minimum_balance: '60', reason: 'why' }))).toEqual(only);
    expect(await field(patch(path, { label: 'rent', reason: 'why' }))).toEqual(only);
    expect(await field(api().debit(wallet.id, '1.00', { reason: 'why' }))).toEqual(only);
    expect(await field(patch(`users/${user.id}`, { status: 'suspended' }))).toEqual(
      missing('is needed to change the status'),
    );
    expect(await field(patch(`users/${user.id}`, { reason: 'why' }))).toEqual(
      missing('is only for changing the status or the phone number'),
    );
    for (const reason of [undefined, '', 'x'.repeat(501)]) {
      for (const reply of [
        api().setStatus(wallet.id, 'freeze', { reason }),
        api().setStatus(wallet.id, 'close', { reason }),
        api().reverse((await money()).id, { reason }),
        limit(wallet.id, { reason }),
      ]) {
        expect(await field(reply)).toMatchObject([422, { field: 'reason' }]);
      }
    }
    expect([...(await actsOn(wallet.id)), ...(await actsOn(user.id))]).toEqual([]);
  });

  it('where a debit names a lower minimum balance without saying why; nothing moves', async () => {
    const wallet = await floored();
    const refused = await api().debit(wallet.id, '1.00', { minimum_balance: '49.99' }, 'lower-1');
    expect([refused.status, refused.body.code]).toEqual([403, 'minimum_balance_not_lowered']);
    const again = await api().debit(wallet.id, '1.00', { minimum_balance: '49.99' }, 'lower-1');
    expect([again.text.replace(/"request_id":"[^"]+"/, ''), again.headers.get('idempotency-replayed')]).toEqual([
      refused.text.replace(/"request_id":"[^"]+"/, ''),
      'true',
    ]);
    const reasoned = { minimum_balance: '49.99', reason: 'agreed' };
    expect(await codeOf(api().debit(wallet.id, '1.00', reasoned, 'lower-1'))).toBe('idempotency_key_reused');
    const path = `/v1/wallets/${wallet.id}/debits?dry_run=true`;
    expect(await codeOf(api().post(path, { amount: '1.00', minimum_balance: '1' }))).toBe(
      'minimum_balance_not_lowered',
    );
    const item = { type: 'debit', wallet_id: wallet.id, amount: '1.00', minimum_balance: '1' };
    const batch = expectStatus(201, await api().batch([item, { ...item, minimum_balance: '50' }]));
    expect(batch.items.map(({ error }) => error?.code)).toEqual(['minimum_balance_not_lowered', undefined]);
    expect(await api().wallet(wallet.id)).toMatchObject({ balance: '99.00', minimum_balance: '50.00' });
    expect(await actsOn(wallet.id)).toEqual([]);
  });

  it('and a reason is a part of the request, of which those without one know nothing', async () => {
    const wallet = await floored();
    expectStatus(201, await api().debit(wallet.id, '1.00', { minimum_balance: '50' }, 'print-1'));
    expectStatus(201, await api().debit(wallet.id, '1.00', { minimum_balance: '50', reason: 'why' }, 'print-2'));
    const classic = { wallet_id: wallet.id, amount: 1, minimum_balance: 50 };
    expectStatus(200, await api().post('/wallet/debit', classic, 'print-3'));
    const keys = await service.database.query(
      `SELECT encode(fingerprint, 'hex') AS hex FROM idempotency_keys WHERE key LIKE 'print-%' ORDER BY key`,
    );
    const print = (own: unknown[]) => ({ hex: fingerprintOf(['debit', own, 100n, null, null, null, null]) });
    const without = print([wallet.id, 5_000n]);
    expect(keys).toEqual([without, print([wallet.id, 5_000n, 'why']), without]);
  });

  it('where the act was refused', async () => {
    const [wallet, user, credit] = [await floored(), await api().newUser(), await money()];
    const stale = '"1000"';
    const freeze = api().call<Problem>(
      'POST',
      `/v1/wallets/${wallet.id}/freeze`,
      { reason: 'why' },
      { 'if-match': stale },
    );
    const lower = { minimum_balance: '1', reason: 'why' };
    const codes = [
      freeze,
      patch(`wallets/${wallet.id}`, lower, stale),
      limit(wallet.id, { daily_count: 1, reason: 'why' }, stale),
      patch(`users/${user.id}`, { status: 'suspended', reason: 'why' }, stale),
    ].map(codeOf);
    expect(await Promise.all(codes)).toEqual(Array(4).fill('precondition_failed'));
    expect(await codeOf(api().setStatus(wallet.id, 'unfreeze'))).toBe('wallet_not_frozen');
    expect(await codeOf(api().setStatus(wallet.id, 'close'))).toBe('wallet_not_empty');
    expect(await codeOf(api().debit(wallet.id, '100.01', lower))).toBe('insufficient_funds');
    expect(await codeOf(api().reverse(credit.id, { amount: '100.01' }))).toBe('reversal_exceeds_original');
    expect(await actsOn(wallet.id)).toEqual([]);
    expect(await actsOn(user.id)).toEqual([]);
    expect(await actsOn(credit.id)).toEqual([]);
  });

  it('where the act was only asked for', async () => {
    const [wallet, credit] = [await floored(), await money()];
    const lower = { amount: '1.00', minimum_balance: '1', reason: 'why' };
    const calls: Array<[string, object]> = [
      [`wallets/${wallet.id}/freeze`, { reason: 'why' }],
      [`wallets/${wallet.id}/debits`, lower],
      [`transactions/${credit.id}/reversals`, { reason: 'why' }],
      ['transactions/batch', { items: [{ type: 'debit', wallet_id: wallet.id, ...lower }] }],
    ];
    for (const [path, body] of calls) expectStatus(200, await api().post(`/v1/${path}?dry_run=true`, body));
    expect([...(await actsOn(wallet.id)), ...(await actsOn(credit.id))]).toEqual([]);
    expect((await api().wallet(wallet.id)).minimum_balance).toBe('50.00');
  });

  it('where the request was a repeat, at once or later', async () => {
    const [frozen, lowered, credit] = [await api().newWallet(), await floored(), await money()];
    const lower = { minimum_balance: '1', reason: 'why' };
    const item = { type: 'debit', wallet_id: lowered.id, amount: '1.00', minimum_balance: '0', reason: 'why' };
    const requests: Array<() => Promise<Reply<unknown>>> = [
      () => api().setStatus(frozen.id, 'freeze', {}, 'repeat-1'),
      () => api().debit(lowered.id, '1.00', lower, 'repeat-2'),
      () => api().reverse(credit.id, {}, 'repeat-3'),
      () => api().batch([item], {}, 'repeat-4'),
    ];
    for (const send of requests) {
      const replies: Reply<unknown>[] = await Promise.all(Array.from({ length: 10 }, send));
      replies.push(await send());
      expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
      expect(replies[0]!.status).toBe(201);
    }
    expectStatus(200, await patch(`wallets/${lowered.id}`, { minimum_balance: '0', reason: 'why' }));
    expect(await actionsOn(frozen.id)).toEqual(['wallet.frozen']);
    expect(await actionsOn(lowered.id)).toEqual(['wallet.floor_lowered', 'wallet.floor_lowered']);
    expect(await actionsOn(credit.id)).toEqual(['transaction.reversed']);
  });

  it('where the transaction of the act was rolled back', async () => {
    const [wallet, other, user] = [await floored(), await api().newWallet(), await api().newUser()];
    const lower = { minimum_balance: '1', reason: 'why' };
    const item = { type: 'debit', wallet_id: wallet.id, amount: '1.00' };
    const batch = api().batch(
      [
        { ...item, ...lower },
        { ...item, amount: '1000.00' },
      ],
      { atomic: true },
    );
    expect(await codeOf(batch)).toBe('batch_refused');
    const second = expectStatus(
      201,
      await api().post<WalletBody>('/v1/wallets', { user_id: wallet.user_id, label: 'rent' }),
    );
    expect(await codeOf(patch(`wallets/${wallet.id}`, { ...lower, label: second.label }))).toBe('wallet_exists');
    await service.database.refusing('wallet_status_changes', `NEW.reason = 'fail'`, async () => {
      expect(await codeOf(api().setStatus(other.id, 'freeze', { reason: 'fail' }))).toBe('internal_error');
    });
    for (const { id } of [wallet, other, user]) expect(await actsOn(id)).toEqual([]);
    expect((await api().wallet(other.id)).status).toBe('active');
    expect((await api().wallet(wallet.id)).minimum_balance).toBe('50.00');
  });
});

describe('an act', () => {
  it('does not happen without its row', async () => {
    const [wallet, user, credit] = [await floored(), await api().newUser(), await money()];
    const [{ count }] = (await service.database.query('SELECT count(*) FROM transactions')) as [{ count: string }];
    const reason = 'fail';
    await service.database.refusing('audit_log', `NEW.reason = '${reason}'`, async () => {
      const replies = await Promise.all([
        api().setStatus(wallet.id, 'freeze', { reason }),
        api().debit(wallet.id, '1.00', { minimum_balance: '1', reason }),
        api().reverse(credit.id, { reason }),
        patch(`wallets/${wallet.id}`, { minimum_balance: '1', reason }),
        limit(wallet.id, { daily_count: 1, reason }),
        patch(`users/${user.id}`, { status: 'suspended', reason }),
      ]);
      expect(replies.map((reply) => reply.status)).toEqual(Array(6).fill(500));
    });
    expect(await api().wallet(wallet.id)).toEqual(wallet);
    expect(expectStatus(200, await api().get(`/v1/users/${user.id}`))).toEqual(user);
    expect(await service.database.query('SELECT count(*) FROM transactions')).toEqual([{ count }]);
    expect(await service.database.query(`SELECT FROM wallet_limits WHERE wallet_id = '${wallet.id}'`)).toEqual([]);
  });
});
