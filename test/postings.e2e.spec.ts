import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { TransactionBody } from '../src/transactions/transactions.dto.js';
import { expectStatus } from './support/client.js';
import { startService, type Service } from './support/service.js';

const DOLLARS = { currency: 'USD', minimum_balance: '0' };

describe('postings', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(async () => {
    const found = await service.database.check();
    await service.stop();
    expect(found).toEqual([]);
  });

  const count = async () => Number((await service.database.query('SELECT count(*) AS n FROM transactions'))[0].n);

  it('credits and debits a wallet in double entry', async () => {
    const wallet = await service.api.newWallet();
    const credit = expectStatus(201, await service.api.credit(wallet.id, '500.00'));
    expect(credit.entries.map((e) => e.amount)).toEqual(['-500.00', '500.00']);
    const order = { description: 'Order 1042', reference: 'order-1042', metadata: { plan: 'gold', n: 1.5, vip: true } };
    const debit = expectStatus(201, await service.api.debit(wallet.id, 150, order));
    expect(debit).toMatchObject({
      type: 'debit',
      status: 'posted',
      amount: '150.00',
      currency: 'INR',
      actor: 'operator',
      ...order,
    });
    expect(debit.entries[0]).toEqual({
      wallet_id: wallet.id,
      seq: 2,
      amount: '-150.00',
      currency: 'INR',
      balance_after: '350.00',
    });
    expect((await service.api.wallet(wallet.id)).balance).toBe('350.00');
    expect(expectStatus(200, await service.api.get<TransactionBody>(`/v1/transactions/${debit.id}`))).toEqual(debit);
  });

  it('transfers between wallets of one currency, and of no two', async () => {
    const [a, b, yen] = [
      await service.api.newWallet('100.00'),
      await service.api.newWallet(),
      await service.api.newWallet(undefined, { currency: 'JPY' }),
    ];
    const transfer = expectStatus(201, await service.api.transfer(a.id, b.id, '99.99'));
    expect(transfer.entries).toEqual([
      { wallet_id: a.id, seq: 2, amount: '-99.99', currency: 'INR', balance_after: '0.01' },
      { wallet_id: b.id, seq: 1, amount: '99.99', currency: 'INR', balance_after: '99.99' },
    ]);
    expect((await service.api.transfer(a.id, yen.id, '0.01')).body).toMatchObject({
      status: 422,
      code: 'currency_mismatch',
    });
    expect((await service.api.transfer(a.id, a.id, '0.01')).body).toMatchObject({
      code: 'validation_failed',
      errors: [{ field: 'to_wallet_id' }],
    });
  });

  it('refuses a debit over the available balance and writes nothing', async () => {
    const wallet = await service.api.newWallet('20.00');
    const before = await count();
    const { status, body } = await service.api.debit(wallet.id, '150.00');
    expect([status, body.code]).toEqual([422, 'insufficient_funds']);
    expect(body.detail).toBe('20.00 INR is available, 150.00 INR was asked for.');
    expect(await count()).toBe(before);
    expect(await service.api.wallet(wallet.id)).toEqual(wallet);
  });

  it('holds the minimum balance: the first credit must reach it, no debit may go under it', async () => {
    const wallet = await service.api.newWallet(undefined, { minimum_balance: '100' });
    expect((await service.api.credit(wallet.id, '99.99')).body).toMatchObject({ code: 'minimum_balance_unmet' });
    expectStatus(201, await service.api.credit(wallet.id, '100.00'));
    expect((await service.api.debit(wallet.id, '0.01')).body).toMatchObject({ code: 'below_minimum_balance' });
  });

  it('takes a higher floor as a check of that debit, and lets an operator lower the wallet’s own', async () => {
    const wallet = await service.api.newWallet('1000', { minimum_balance: '100' });
    expect((await service.api.debit(wallet.id, 600, { minimum_balance: 500 })).body).toMatchObject({
      code: 'below_minimum_balance',
    });
    expectStatus(201, await service.api.debit(wallet.id, 600, { minimum_balance: 300 }));
    expect((await service.api.wallet(wallet.id)).minimum_balance).toBe('100.00');
    expectStatus(201, await service.api.debit(wallet.id, 390, { minimum_balance: 0, reason: 'a test' }));
    expect(await service.api.wallet(wallet.id)).toMatchObject({ balance: '10.00', minimum_balance: '0.00' });
  });

  it('gives a credit line where the minimum balance is negative', async () => {
    const wallet = await service.api.newWallet(undefined, { minimum_balance: '-50.00' });
    expectStatus(201, await service.api.debit(wallet.id, '50.00'));
    expect(await service.api.wallet(wallet.id)).toMatchObject({ balance: '-50.00', available: '-50.00' });
    expect((await service.api.debit(wallet.id, '0.01')).body).toMatchObject({ code: 'insufficient_funds' });
  });

  it('counts in the decimals of each currency', async () => {
    for (const [currency, amount, tooFine] of [
      ['JPY', '150', '1.5'],
      ['KWD', '1.234', '1.2345'],
      ['CLF', '0.0001', '0.00001'],
    ] as const) {
      const wallet = await service.api.newWallet(amount, { currency });
      expect(wallet).toMatchObject({ balance: amount, currency });
      expect((await service.api.credit(wallet.id, tooFine)).body).toMatchObject({
        code: 'validation_failed',
        errors: [{ field: 'amount' }],
      });
    }
  });

  it('honours If-Match: only if nothing changed since I looked', async () => {
    const wallet = await service.api.newWallet('100.00');
    const path = `/v1/wallets/${wallet.id}/debits`;
    const send = (etag: string) =>
      service.api.call<TransactionBody>('POST', path, { amount: '10.00' }, { 'if-match': etag });
    const etag = (await service.api.get(`/v1/wallets/${wallet.id}`)).headers.get('etag')!;
    const statuses = (await Promise.all([send(etag), send(etag), send(etag)])).map((reply) => reply.status);
    expect(statuses.sort()).toEqual([201, 412, 412]);
    expect((await send('three')).status).toBe(422);
  });

  it('keeps the business date apart from the posting time', async () => {
    const wallet = await service.api.newWallet();
    const { body } = await service.api.credit(wallet.id, 1, { effective_at: '1993-01-01T01:00:00+01:00' });
    expect(body.effective_at).toBe('1993-01-01T00:00:00.000Z');
    expect(Date.parse(body.created_at)).toBeGreaterThan(Date.now() - 60_000);
  });

  it('answers 404 for wallets and transactions that are not there, and does not move system wallets', async () => {
    const wallet = await service.api.newWallet('1.00');
    const nobody = '0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90';
    for (const reply of [await service.api.debit(nobody, 1), await service.api.transfer(wallet.id, nobody, 1)]) {
      expect([reply.status, reply.body.code]).toEqual([404, 'wallet_not_found']);
    }
    expect((await service.api.get(`/v1/transactions/${nobody}`)).status).toBe(404);
    const { entries } = expectStatus(201, await service.api.debit(wallet.id, 1));
    const outside = entries.find((entry) => entry.wallet_id !== wallet.id)!.wallet_id;
    expect((await service.api.credit(outside, 1)).body).toMatchObject({ status: 409, code: 'system_wallet' });
  });

  it('commits requests that arrive together as a group, each with its own outcome', async () => {
    const [rich, poor] = [await service.api.newWallet('1000.00'), await service.api.newWallet('5.00')];
    const [outside] = await service.database.query(`SELECT id FROM wallets WHERE kind = 'external'`);
    // The first group waits for the wallet that all need; whatever comes meanwhile is the next.
    const sent = await service.database.locking(outside!.id, async () => {
      const debits = Array.from({ length: 100 }, (_, i) => service.api.debit(i % 2 ? rich.id : poor.id, '1.00'));
      for (let underWay = 0; underWay < 100; await delay(50)) {
        const { text } = await service.api.call('GET', '/metrics');
        underWay = Number(/^asper_http_requests_in_flight (\d+)/m.exec(text)![1]);
      }
      return debits;
    });
    const replies = await Promise.all(sent);
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(55);
    const [groups] = await service.database.query(
      'SELECT count(DISTINCT created_at)::int AS n FROM (SELECT created_at FROM transactions ORDER BY 1 DESC LIMIT 55) t',
    );
    expect(groups!.n).toBeLessThanOrEqual(3);
    expect((await service.api.wallet(poor.id)).balance).toBe('0.00');
  });

  it('lists transactions by wallet, type, reference, amount, time and metadata, in stable pages', async () => {
    const wallet = await service.api.newWallet('1000.00');
    for (let i = 1; i <= 5; i++) {
      await service.api.debit(wallet.id, i, { reference: `list-${i % 2}`, metadata: { list: wallet.id, i } });
    }
    const list = async (query: string) => {
      const page = expectStatus(
        200,
        await service.api.get<{ data: TransactionBody[]; next_cursor: string | null }>(`/v1/transactions?${query}`),
      );
      return { amounts: page.data.map(({ amount }) => amount), cursor: page.next_cursor };
    };
    const mine = `wallet_id=${wallet.id}`;
    expect((await list(`${mine}&type=debit`)).amounts).toEqual(['5.00', '4.00', '3.00', '2.00', '1.00']);
    expect((await list(`reference=list-0&${mine}`)).amounts).toEqual(['4.00', '2.00']);
    expect((await list(`${mine}&currency=INR&amount_min=3&amount_max=4.00`)).amounts).toEqual(['4.00', '3.00']);
    expect((await list(`metadata=${encodeURIComponent(JSON.stringify({ list: wallet.id, i: 2 }))}`)).amounts).toEqual([
      '2.00',
    ]);
    expect((await list(`${mine}&created_from=2200-01-01T00:00:00Z`.replace('2200', '2199'))).amounts).toEqual([]);
    const first = await list(`${mine}&limit=2`);
    await service.api.debit(wallet.id, 9);
    const second = await list(`${mine}&limit=2&cursor=${first.cursor}`);
    expect([...first.amounts, ...second.amounts]).toEqual(['5.00', '4.00', '3.00', '2.00']);
    const all = await list(`${mine}&limit=100`);
    expect(all).toMatchObject({ cursor: null });
    const wrong = [
      'cursor=nonsense',
      'limit=101',
      'limit=0',
      'amount_min=1',
      'metadata=[]',
      'metadata={',
      'type=theft',
      'unknown=1',
    ];
    for (const query of wrong) expect((await service.api.get(`/v1/transactions?${query}`)).status).toBe(422);
  });

  it('lists by currency also what has several, by what it moved in that one', async () => {
    const [rupees, dollars] = [await service.api.newWallet('100.00'), await service.api.newWallet(undefined, DOLLARS)];
    const [house, houseDollars] = [await service.api.newWallet(), await service.api.newWallet('2.00', DOLLARS)];
    const exchange = expectStatus(
      201,
      await service.api.journal([
        [rupees.id, '-80.00'],
        [house.id, '80.00'],
        [houseDollars.id, '-1.00'],
        [dollars.id, '1.00'],
      ]),
    );
    const isListed = async (query: string) => {
      const path = `/v1/transactions?type=journal&${query}`;
      const { data } = expectStatus(200, await service.api.get<{ data: TransactionBody[] }>(path));
      return data.some(({ id }) => id === exchange.id);
    };
    for (const query of ['currency=USD', `wallet_id=${rupees.id}&currency=INR`, 'currency=INR&amount_min=80.00'])
      expect([query, await isListed(query)]).toEqual([query, true]);
    for (const query of ['currency=EUR', 'currency=INR&amount_max=79.99', 'currency=USD&amount_min=1.01'])
      expect([query, await isListed(query)]).toEqual([query, false]);
  });

  it('go on when the versions of a wallet, which are integers, are used up', async () => {
    const wallet = await service.api.newWallet('10.00');
    const last = { 'if-match': '"2000000000"' };
    await service.database.query('UPDATE wallets SET version = 1999999999 WHERE id = $1', [wallet.id]);
    for (const version of [2_000_000_000, 1, 2]) {
      expectStatus(201, await service.api.debit(wallet.id, '1.00'));
      expect((await service.api.wallet(wallet.id)).version).toBe(version);
    }
    const stale = await service.api.call<{ code: string; detail: string }>(
      'POST',
      `/v1/wallets/${wallet.id}/debits`,
      { amount: 1 },
      last,
    );
    expect(stale.body.code).toBe('precondition_failed');
    expect(stale.body.detail).toMatch(/^Wallet \S+ is at version \d+, not \d+\.$/);
  });
});
