/** Undoing transactions: whole, in parts to the last minor unit, of any type, and never more than there was. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { apportion } from '../src/transactions/reversal.rules.js';
import type { ReversalsBody } from '../src/transactions/reversals.dto.js';

import { expectStatus } from './support/client.js';
import { startService, type Service } from './support/service.js';

describe('reversals', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService({ LOCKING: 'pessimistic' })));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(async () => {
    const found = await service.database.check();
    await service.stop();
    expect(found).toEqual([]);
  });
  const api = () => service.api;
  const balance = async (id: string) => (await api().wallet(id)).balance;
  const reversals = async (id: string) =>
    expectStatus(200, await api().get<ReversalsBody>(`/v1/transactions/${id}/reversals`));

  it('undo a debit, whole, with the reason kept', async () => {
    const wallet = await api().newWallet('100.00');
    const debit = expectStatus(201, await api().debit(wallet.id, '40.00'));
    const reversal = expectStatus(201, await api().reverse(debit.id, { reference: 'return-7' }));
    expect(reversal).toMatchObject({
      ...{ type: 'reversal', amount: '40.00', currency: 'INR', reverses_id: debit.id, reason: 'Goods returned' },
      reference: 'return-7',
    });
    expect(await balance(wallet.id)).toBe('100.00');
    expect((await api().get(`/v1/transactions/${reversal.id}`)).body).toEqual(reversal);
    expect((await api().reverse(debit.id)).body.code).toBe('reversal_exceeds_original');
    expect((await api().reverse(reversal.id)).body.code).toBe('not_reversible');
  });

  it('undo in parts that never exceed the original', async () => {
    const wallet = await api().newWallet('100.00');
    const debit = expectStatus(201, await api().debit(wallet.id, '10.00'));
    expectStatus(201, await api().reverse(debit.id, { amount: '3.33' }));
    expectStatus(201, await api().reverse(debit.id, { amount: '3.33' }));
    const refused = await api().reverse(debit.id, { amount: '3.35' });
    expect(refused.body).toMatchObject({ code: 'reversal_exceeds_original', status: 422 });
    expect(refused.body.detail).toContain('3.34 INR');
    expect(await reversals(debit.id)).toMatchObject({
      reversed: [{ currency: 'INR', amount: '6.66' }],
      reversible: [{ currency: 'INR', amount: '3.34' }],
      data: [{ amount: '3.33' }, { amount: '3.33' }],
    });
    expect(expectStatus(201, await api().reverse(debit.id)).amount).toBe('3.34');
    expect(await balance(wallet.id)).toBe('100.00');
  });

  it('undo transfers, captures and postings of many legs', async () => {
    const [a, b, fee] = [await api().newWallet('100.00'), await api().newWallet(), await api().newWallet()];
    const transfer = expectStatus(201, await api().transfer(a.id, b.id, '10.00'));
    expectStatus(201, await api().reverse(transfer.id));
    const hold = expectStatus(201, await api().hold(a.id, '10.00'));
    const capture = expectStatus(201, await api().capture(hold.id, { to_wallet_id: b.id }));
    expectStatus(201, await api().reverse(capture.id));
    const split = expectStatus(
      201,
      await api().journal([
        [a.id, '-10.00'],
        [b.id, '9.70'],
        [fee.id, '0.30'],
      ]),
    );
    const part = expectStatus(201, await api().reverse(split.id, { amount: '3.33' }));
    expect(part.entries.map(({ amount }) => amount)).toEqual(['3.33', '-3.23', '-0.10']);
    expectStatus(201, await api().reverse(split.id));
    expect(await Promise.all([a, b, fee].map(({ id }) => balance(id)))).toEqual(['100.00', '0.00', '0.00']);
  });

  it('undo an exchange in proportion, by an amount in either currency', async () => {
    const rupees = await api().newWallet('8000.00');
    const dollars = await api().newWallet(undefined, { currency: 'USD' });
    const house = await api().newWallet(undefined, { minimum_balance: '-100000' });
    const houseDollars = await api().newWallet('1000.00', { currency: 'USD' });
    const exchange = expectStatus(
      201,
      await api().journal([
        [rupees.id, '-8000.00'],
        [house.id, '8000.00'],
        [houseDollars.id, '-100.00'],
        [dollars.id, '100.00'],
      ]),
    );
    expect(exchange).toMatchObject({ amount: null, currency: null, type: 'journal' });
    expect(exchange.entries.map(({ currency }) => currency)).toEqual(['INR', 'INR', 'USD', 'USD']);
    expect((await api().reverse(exchange.id, { amount: '25.00' })).body.errors![0]!.field).toBe('currency');
    expect((await api().reverse(exchange.id, { amount: '25.00', currency: 'EUR' })).body.errors![0]!.field).toBe(
      'currency',
    );
    expect((await api().reverse(exchange.id, { currency: 'USD' })).body.errors![0]!.field).toBe('currency'); // not all of it
    const part = expectStatus(201, await api().reverse(exchange.id, { amount: '25.00', currency: 'USD' }));
    expect(part.entries.map(({ amount }) => amount)).toEqual(['2000.00', '-2000.00', '25.00', '-25.00']);
    expectStatus(201, await api().reverse(exchange.id));
    expect(await Promise.all([rupees, dollars].map(({ id }) => balance(id)))).toEqual(['8000.00', '0.00']);
  });

  it('give back of another currency what all parts so far come to, however small each is', async () => {
    const traveller = await api().newWallet('1.00');
    const yen = await api().newWallet(undefined, { currency: 'JPY', minimum_balance: '0' });
    const house = await api().newWallet();
    const houseYen = await api().newWallet('300', { currency: 'JPY', minimum_balance: '0' });
    const { id } = expectStatus(
      201,
      await api().journal([
        [traveller.id, '-1.00'],
        [house.id, '1.00'],
        [houseYen.id, '-300'],
        [yen.id, '300'],
      ]),
    );
    const balances = () => Promise.all([traveller, yen].map((wallet) => balance(wallet.id)));
    for (let i = 0; i < 100; i++) expectStatus(201, await api().reverse(id, { amount: '1', currency: 'JPY' }));
    expect(await balances()).toEqual(['0.33', '200']);
    // 0.34 of 1.00 are 102 of 300, and 100 are there.
    expectStatus(201, await api().reverse(id, { amount: '0.01', currency: 'INR' }));
    expect(await balances()).toEqual(['0.34', '198']);
    for (let i = 0; i < 66; i++) expectStatus(201, await api().reverse(id, { amount: '3', currency: 'JPY' }));
    expect(await balances()).toEqual(['1.00', '0']);
    expect((await api().reverse(id)).body.code).toBe('reversal_exceeds_original');
  });

  it('refuse to break the floor, unless an operator allows it; then nothing is paid until it is made good', async () => {
    const wallet = await api().newWallet();
    const credit = expectStatus(201, await api().credit(wallet.id, '100.00'));
    expectStatus(201, await api().debit(wallet.id, '80.00'));
    expect((await api().reverse(credit.id)).body.code).toBe('insufficient_funds');
    expect(await balance(wallet.id)).toBe('20.00');
    expectStatus(201, await api().reverse(credit.id, { on_shortfall: 'allow_negative' }));
    expect(await api().wallet(wallet.id)).toMatchObject({
      ...{ balance: '-80.00', shortfall: '80.00', minimum_balance: '0.00' },
    });
    expect((await api().debit(wallet.id, '1.00')).body.code).toBe('insufficient_funds');
    expectStatus(201, await api().credit(wallet.id, '50.00'));
    expect(await api().wallet(wallet.id)).toMatchObject({ balance: '-30.00', shortfall: '30.00' });
    expect((await api().debit(wallet.id, '0.01')).body.code).toBe('insufficient_funds');
    expectStatus(201, await api().credit(wallet.id, '40.00'));
    expect(await api().wallet(wallet.id)).toMatchObject({ balance: '10.00', shortfall: '0.00' });
    expect((await api().debit(wallet.id, '10.01')).body.code).toBe('insufficient_funds');
    expectStatus(201, await api().debit(wallet.id, '10.00'));
  });

  it('leave a shortfall of which an operator may take a part away, by a lower minimum balance', async () => {
    const wallet = await api().newWallet('100.00', { minimum_balance: '60.00' });
    const credit = expectStatus(201, await api().credit(wallet.id, '30.00'));
    expectStatus(201, await api().debit(wallet.id, '60.00'));
    expectStatus(201, await api().reverse(credit.id, { on_shortfall: 'allow_negative' }));
    const lower = async (minimum_balance: string) =>
      (await api().call<{ code?: string }>('PATCH', `/v1/wallets/${wallet.id}`, { minimum_balance, reason: 'Dispute' }))
        .body;
    const stands = { balance: '40.00', shortfall: '20.00', minimum_balance: '60.00' };
    expect(await api().wallet(wallet.id)).toMatchObject(stands);
    expect(await lower('60.01')).toMatchObject({ code: 'below_minimum_balance' });
    expect(await lower('60.00')).toMatchObject(stands);
    expect(await lower('50.00')).toMatchObject({ balance: '40.00', shortfall: '10.00', minimum_balance: '50.00' });
    expect((await api().debit(wallet.id, '0.01')).body.code).toBe('below_minimum_balance');
    expect(await lower('30.00')).toMatchObject({ shortfall: '0.00' });
    expectStatus(201, await api().debit(wallet.id, '10.00'));
  });

  it('answer a repeated key with the first reversal', async () => {
    const wallet = await api().newWallet('100.00');
    const debit = expectStatus(201, await api().debit(wallet.id, '40.00'));
    const first = await api().reverse(debit.id, { amount: '10.00' }, 'reverse-once');
    const second = await api().reverse(debit.id, { amount: '10.00' }, 'reverse-once');
    expect([second.status, second.text]).toEqual([201, first.text]);
    expect(await balance(wallet.id)).toBe('70.00');
    expect((await api().reverse(debit.id, { amount: '11.00' }, 'reverse-once')).body.code).toBe(
      'idempotency_key_reused',
    );
  });

  it('need a reason, and refuse fields that make no sense', async () => {
    const wallet = await api().newWallet('100.00');
    const debit = expectStatus(201, await api().debit(wallet.id, '40.00'));
    const field = async (body: Record<string, unknown>) =>
      (await api().reverse(debit.id, body)).body.errors?.[0]?.field;
    expect(await field({ reason: '' })).toBe('reason');
    expect(await field({ amount: '0' })).toBe('amount');
    expect(await field({ amount: '0.001' })).toBe('amount');
    expect(await field({ on_shortfall: 'maybe' })).toBe('on_shortfall');
    expect((await api().reverse('01890000-0000-7000-8000-000000000001')).body.code).toBe('transaction_not_found');
  });

  it.each(['pessimistic', 'optimistic'])(
    'R15: of 2 full reversals of 500 transactions each, one passes (%s)',
    async (locking) => {
      const start = () => startService({ LOCKING: locking }, { database: service.database });
      const started = await Promise.all(locking === 'pessimistic' ? [start()] : [start(), start()]);
      const services = locking === 'pessimistic' ? [service, ...started] : started;
      const wallets = await Promise.all(Array.from({ length: 25 }, () => api().newWallet('1000.00')));
      const debits = await Promise.all(
        Array.from({ length: 500 }, async (_, i) => expectStatus(201, await api().debit(wallets[i % 25]!.id, '1.00'))),
      );
      const replies = await Promise.all(
        debits.flatMap(({ id }) => services.map(({ api: caller }) => caller.reverse(id, { on_shortfall: 'refuse' }))),
      );
      expect(replies.filter(({ status }) => status === 201)).toHaveLength(500);
      expect(replies.filter(({ body }) => body.code === 'reversal_exceeds_original')).toHaveLength(500);
      expect(new Set(await Promise.all(wallets.map(({ id }) => balance(id))))).toEqual(new Set(['1000.00']));
      await Promise.all(started.map((process) => process.stop()));
    },
    60_000,
  );

  it('are shared out to the last minor unit, and never more than a leg has', () => {
    const weights = fc.array(fc.bigInt({ min: 0n, max: 10n ** 15n }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(weights, fc.bigInt({ min: 0n, max: 10n ** 6n }), (parts, share) => {
        const sum = parts.reduce((a, b) => a + b, 0n);
        const total = (sum * share) / 10n ** 6n;
        const shares = apportion(parts, total);
        expect(shares.reduce((a, b) => a + b, 0n)).toBe(total);
        shares.forEach((part, i) => {
          expect(part >= 0n && part <= parts[i]!).toBe(true);
          if (sum > 0n) {
            const off = part * sum - parts[i]! * total;
            expect(off < sum && off > -sum).toBe(true); // less than one unit from the exact share
          }
        });
      }),
    );
  });
});
