/** What a person who signed in may do with their own money, and what they see of others. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ALL_SCOPES } from '../src/auth/scopes.js';
import type { ReversalsBody } from '../src/transactions/reversals.dto.js';
import type { TransactionBody } from '../src/transactions/transactions.dto.js';
import type { WalletBody } from '../src/wallets/wallets.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { insertKey } from './support/keys.js';
import { bearer, signIn, startSecured } from './support/secured.js';
import type { Service } from './support/service.js';

type Body = Record<string, unknown>;
interface Someone {
  userId: string;
  walletId: string;
  call<B = TransactionBody & Problem>(
    method: string,
    path: string,
    body?: Body,
    key?: string,
  ): ReturnType<typeof call<B>>;
}
let service: Service;
let server: string;

function call<B>(credential: string, method: string, path: string, body?: Body, key?: string) {
  const headers = { ...bearer(credential), ...(key === undefined ? {} : { 'idempotency-key': key }) };
  return service.api.call<B>(method, path, body, headers);
}

let people = 0;
/** A registered person with a wallet and 100.00 in it, signed in. */
async function someone(): Promise<Someone> {
  const phone_number = `+9198124${String(++people).padStart(5, '0')}`;
  const user = expectStatus(201, await call<{ id: string }>(server, 'POST', '/v1/users', { phone_number }));
  const opening = { user_id: user.id, minimum_balance: '10.00' };
  const wallet = expectStatus(201, await call<WalletBody>(server, 'POST', '/v1/wallets', opening));
  expectStatus(201, await call(server, 'POST', `/v1/wallets/${wallet.id}/credits`, { amount: '100.00' }));
  const { access_token } = await signIn(service, phone_number);
  return {
    userId: user.id,
    walletId: wallet.id,
    call: <B>(method: string, path: string, body?: Body, key?: string) =>
      call<B>(access_token, method, path, body, key),
  };
}

describe('a person', () => {
  let payer: Someone;
  let payee: Someone;
  beforeAll(async () => {
    service = await startSecured();
    server = (await insertKey(service.database, { scopes: ALL_SCOPES })).secret;
    [payer, payee] = [await someone(), await someone()];
  });
  afterAll(async () => {
    expect(await service.database.problems()).toEqual([]);
    await service.stop();
  });

  it('debits their own wallet, as themself', async () => {
    const { body } = await payer.call('POST', `/v1/wallets/${payer.walletId}/debits`, { amount: '5.00' });
    expect(body).toMatchObject({ type: 'debit', amount: '5.00', actor: `user:${payer.userId}` });
    expect(body.entries.map(({ wallet_id }) => wallet_id)).toEqual([payer.walletId]);
  });

  it('transfers to another wallet, and sees of it neither balance nor history', async () => {
    const transfer = { from_wallet_id: payer.walletId, to_wallet_id: payee.walletId, amount: '7.00' };
    const { body: posted } = await payer.call('POST', '/v1/transfers', transfer, 'lunch');
    const [own, theirs] = posted.entries;
    expect(own).toMatchObject({ wallet_id: payer.walletId, amount: '-7.00', balance_after: expect.any(String) });
    expect(theirs).toEqual({
      wallet_id: payee.walletId,
      amount: '7.00',
      currency: 'INR',
      seq: null,
      balance_after: null,
    });
    // However it is read again.
    const { body: read } = await payer.call('GET', `/v1/transactions/${posted.id}`);
    const { body: list } = await payer.call<{ data: unknown[] }>('GET', `/v1/transactions?wallet_id=${payer.walletId}`);
    const { body: kept } = await payer.call<{ body: unknown }>('GET', '/v1/idempotency-keys/lunch');
    const { body: repeated, headers } = await payer.call('POST', '/v1/transfers', transfer, 'lunch');
    expect([read, list.data[0], kept.body, repeated]).toEqual([posted, posted, posted, posted]);
    expect(headers.get('idempotency-replayed')).toBe('true');
    // The payee sees the other half.
    const { body: seen } = await payee.call('GET', `/v1/transactions/${posted.id}`);
    expect(seen.entries.map(({ seq }) => seq === null)).toEqual([true, false]);
  });

  it('sees of a split what came to them, and not who else had a part', async () => {
    const house = expectStatus(
      201,
      await call<WalletBody>(server, 'POST', '/v1/wallets', { label: 'fees', minimum_balance: '0' }),
    );
    const entries = [
      { wallet_id: payer.walletId, amount: '-10.00' },
      { wallet_id: payee.walletId, amount: '9.00' },
      { wallet_id: house.id, amount: '1.00' },
    ];
    const split = expectStatus(201, await call<TransactionBody>(server, 'POST', '/v1/transactions', { entries }));
    const { body } = await payee.call('GET', `/v1/transactions/${split.id}`);
    expect((await service.api.call('POST', '/v1/wallets?dry_run=true', {})).status).toBe(401); // before any field is looked at
    expect([body.amount, body.entries.map(({ amount }) => amount)]).toEqual(['9.00', ['9.00']]);
    expect((await payer.call('GET', `/v1/transactions/${split.id}`)).body.amount).toBe('10.00');
    // Nor by asking for amounts until one is met.
    const listed = async (query: string) => {
      const path = `/v1/transactions?wallet_id=${payee.walletId}&type=journal&currency=INR&${query}`;
      return (await payee.call<{ data: TransactionBody[] }>('GET', path)).body.data.map(({ id }) => id);
    };
    expect(await listed('amount_min=9.01')).toEqual([]);
    expect(await listed('amount_min=9.00&amount_max=9.00')).toEqual([split.id]);
    // Of several wallets of their own the amount that is shown is that of all.
    const second = { user_id: payee.userId, label: 'second', minimum_balance: '0' };
    const { id: other } = expectStatus(201, await call<WalletBody>(server, 'POST', '/v1/wallets', second));
    expectStatus(201, await call(server, 'POST', `/v1/wallets/${payer.walletId}/credits`, { amount: '10.00' }));
    const shared = [
      entries[0]!,
      { ...entries[1]!, amount: '5.00' },
      { wallet_id: other, amount: '3.00' },
      { ...entries[2]!, amount: '2.00' },
    ];
    const both = expectStatus(
      201,
      await call<TransactionBody>(server, 'POST', '/v1/transactions', { entries: shared }),
    );
    expect((await payee.call('GET', `/v1/transactions/${both.id}`)).body.amount).toBe('8.00');
    expect(await listed('amount_max=7.99')).toEqual([]);
    expect(await listed('amount_max=8.00')).toEqual([both.id]);
    const reversal = { reason: 'Wrong price', amount: '1.00' };
    expectStatus(201, await call(server, 'POST', `/v1/transactions/${split.id}/reversals`, reversal));
    const { body: reversals } = await payee.call<ReversalsBody>('GET', `/v1/transactions/${split.id}/reversals`);
    expect(reversals.data.map(({ entries }) => entries.map(({ wallet_id }) => wallet_id))).toEqual([[payee.walletId]]);
    expect(reversals).toMatchObject({ reversed: [{ amount: '0.90' }], reversible: [{ amount: '8.10' }] });
  });

  it.each<[string, () => [string, string, Body?], number, string]>([
    [
      'credit their own wallet',
      () => ['POST', `/v1/wallets/${payer.walletId}/credits`, { amount: '1.00' }],
      403,
      'forbidden',
    ],
    [
      'debit another’s wallet',
      () => ['POST', `/v1/wallets/${payee.walletId}/debits`, { amount: '1.00' }],
      404,
      'wallet_not_found',
    ],
    [
      'pay from another’s wallet',
      () => ['POST', '/v1/transfers', { from_wallet_id: payee.walletId, to_wallet_id: payer.walletId, amount: '1.00' }],
      404,
      'wallet_not_found',
    ],
    [
      'take by a journal',
      () => [
        'POST',
        '/v1/transactions',
        {
          entries: [
            { wallet_id: payee.walletId, amount: '-1.00' },
            { wallet_id: payer.walletId, amount: '1.00' },
          ],
        },
      ],
      403,
      'forbidden',
    ],
    [
      'take by a batch',
      () => [
        'POST',
        '/v1/transactions/batch',
        { items: [{ type: 'credit', wallet_id: payer.walletId, amount: '1.00' }] },
      ],
      403,
      'forbidden',
    ],
    [
      'reverse what they paid',
      () => ['POST', `/v1/transactions/${payer.walletId}/reversals`, { reason: 'I want it back' }],
      403,
      'forbidden',
    ],
    [
      'date a debit back',
      () => ['POST', `/v1/wallets/${payer.walletId}/debits`, { amount: '1.00', effective_at: '2020-01-01T00:00:00Z' }],
      422,
      'validation_failed',
    ],
    [
      'date a transfer back',
      () => [
        'POST',
        '/v1/transfers',
        {
          from_wallet_id: payer.walletId,
          to_wallet_id: payee.walletId,
          amount: '1.00',
          effective_at: '2020-01-01T00:00:00Z',
        },
      ],
      422,
      'validation_failed',
    ],
    [
      'lower their minimum balance',
      () => ['PATCH', `/v1/wallets/${payer.walletId}`, { minimum_balance: '-1000.00' }],
      403,
      'forbidden',
    ],
    [
      'lower it by a debit',
      () => ['POST', `/v1/wallets/${payer.walletId}/debits`, { amount: '1.00', minimum_balance: '-1000.00' }],
      403,
      'minimum_balance_not_lowered',
    ],
    [
      'lower it by a debit with a reason',
      () => [
        'POST',
        `/v1/wallets/${payer.walletId}/debits`,
        { amount: '1.00', minimum_balance: '0.00', reason: 'I may' },
      ],
      403,
      'minimum_balance_not_lowered',
    ],
    [
      'go below their minimum balance',
      () => ['POST', `/v1/wallets/${payer.walletId}/debits`, { amount: '75.00' }],
      422,
      'below_minimum_balance',
    ],
    [
      'open a wallet with a credit line',
      () => ['POST', '/v1/wallets', { label: 'credit', minimum_balance: '-1000.00' }],
      422,
      'validation_failed',
    ],
    [
      'open a wallet for another',
      () => ['POST', '/v1/wallets', { user_id: payee.userId, label: 'trap' }],
      404,
      'user_not_found',
    ],
    [
      'open a wallet with notes of the house',
      () => ['POST', '/v1/wallets', { label: 'vip', metadata: { plan: 'gold' } }],
      422,
      'validation_failed',
    ],
    [
      'open a wallet with a balance',
      () => ['POST', '/v1/wallets', { label: 'rich', balance: '1000.00' }],
      422,
      'validation_failed',
    ],
    [
      'freeze another’s wallet',
      () => ['POST', `/v1/wallets/${payee.walletId}/freeze`, { reason: 'spite', mode: 'all' }],
      403,
      'forbidden',
    ],
    [
      'change their phone number',
      () => ['PATCH', `/v1/users/${payer.userId}`, { phone_number: '+919812499999' }],
      403,
      'forbidden',
    ],
    ['list users', () => ['GET', '/v1/users'], 403, 'forbidden'],
    ['list all transactions', () => ['GET', '/v1/transactions'], 422, 'validation_failed'],
    ['read the audit log', () => ['GET', '/v1/audit-log'], 403, 'forbidden'],
    [
      'make an API key',
      () => ['POST', '/v1/api-keys', { name: 'mine', role: 'operator', reason: 'why not' }],
      403,
      'forbidden',
    ],
  ])('may not %s', async (_, request, status, code) => {
    const { status: answered, body } = await payer.call(...request());
    expect([answered, body.code]).toEqual([status, code]);
  });

  it('opens wallets of their own, on the house’s terms, and lists theirs alone', async () => {
    const { body } = await payer.call<WalletBody>('POST', '/v1/wallets', { label: 'savings' });
    expect(body).toMatchObject({ user_id: payer.userId, label: 'savings', minimum_balance: '100.00' });
    const { body: list } = await payer.call<{ data: WalletBody[] }>('GET', '/v1/wallets?include_system=true');
    expect(new Set(list.data.map(({ id }) => id))).toEqual(new Set([body.id, payer.walletId]));
    const more = Array.from({ length: 99 }, (_, i) => payer.call('POST', '/v1/wallets', { label: `more ${i}` }));
    const statuses = (await Promise.all(more)).map(({ status }) => status);
    expect([statuses.filter((status) => status === 201).length, Math.max(...statuses)]).toEqual([98, 409]);
    expect((await payer.call('POST', '/v1/wallets', { label: 'one more' })).body.code).toBe('too_many_wallets');
  });

  it('may be stricter with themself than the house is', async () => {
    const debit = { amount: '1.00', minimum_balance: '99.00' };
    const { body } = await payer.call('POST', `/v1/wallets/${payer.walletId}/debits`, debit);
    expect(body.code).toBe('below_minimum_balance');
  });

  it('shares no idempotency key with anybody else', async () => {
    const debit = (who: Someone) =>
      who.call('POST', `/v1/wallets/${who.walletId}/debits`, { amount: '0.01' }, 'the-same');
    const [first, second] = [await debit(payer), await debit(payee)];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body.id).not.toBe(first.body.id);
    const { body: mine } = await payer.call<{ body: TransactionBody }>('GET', '/v1/idempotency-keys/the-same');
    expect(mine.body.id).toBe(first.body.id);
  });
});
