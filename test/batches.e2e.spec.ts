/** Postings of many legs, and batches of postings. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { expectStatus } from './support/client.js';
import { startService, type Service } from './support/service.js';

const NOWHERE = '01890000-0000-7000-8000-000000000001';

describe('many legs', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(async () => {
    const found = await service.database.check();
    await service.stop();
    expect(found).toEqual([]);
  });
  const api = () => service.api;
  const balance = async (id: string) => (await api().wallet(id)).balance;

  it('split a payment between any number of wallets, in the order given', async () => {
    const buyer = await api().newWallet('100.00');
    const sellers = await Promise.all(Array.from({ length: 50 }, () => api().newWallet()));
    const legs = sellers.map(({ id }, i): [string, string] => [id, `${i % 2 ? '1.50' : '0.50'}`]);
    const split = expectStatus(201, await api().journal([[buyer.id, '-50.00'], ...legs], { reference: 'order-9' }));
    expect(split).toMatchObject({ type: 'journal', amount: '50.00', currency: 'INR', reference: 'order-9' });
    expect(split.entries.map(({ wallet_id }) => wallet_id)).toEqual([buyer.id, ...sellers.map(({ id }) => id)]);
    expect((await api().get(`/v1/transactions/${split.id}`)).body).toEqual(split);
    expect(await balance(buyer.id)).toBe('50.00');
  });

  it('may touch a wallet more than once; the floor is held against the sum', async () => {
    const a = await api().newWallet('10.00');
    const b = await api().newWallet('10.00');
    const journal = expectStatus(
      201,
      await api().journal([
        [a.id, '-12.00'],
        [b.id, '12.00'],
        [a.id, '5.00'],
        [b.id, '-5.00'],
      ]),
    );
    expect(journal.entries.map(({ seq, balance_after }) => [seq, balance_after])).toEqual([
      ...[[2, '-2.00'], [2, '22.00'], [3, '3.00'], [3, '17.00']], // prettier-ignore
    ]);
    const listed = await api().get<{ data: unknown[] }>(`/v1/transactions?wallet_id=${a.id}&type=journal`);
    expect(listed.body.data).toHaveLength(1);
  });

  it('refuse legs that do not add up in each currency, too few of them, zero and strangers', async () => {
    const [a, b] = [await api().newWallet('10.00'), await api().newWallet(undefined, { currency: 'JPY' })];
    const refused = async (...legs: Array<[string, string]>) => {
      const { body } = await api().journal(legs);
      return body.errors?.[0]?.field ?? body.code;
    };
    expect(await refused([a.id, '-1.00'], [b.id, '1'])).toBe('entries');
    expect(await refused([a.id, '-1.00'])).toBe('entries');
    expect(await refused([a.id, '0'], [a.id, '0.00'])).toBe('entries.0.amount');
    expect(await refused([a.id, '-1.00'], [b.id, '1.5'])).toBe('entries.1.amount');
    expect(await refused([a.id, '-1.00'], ['x', '1.00'])).toBe('entries.1.wallet_id');
    expect(await refused([a.id, '-1.00'], [NOWHERE, '1.00'])).toBe('wallet_not_found');
    expect(await refused([a.id, '-10.01'], [(await api().newWallet()).id, '10.01'])).toBe('insufficient_funds');
    expect(await balance(a.id)).toBe('10.00');
  });

  it('answer a repeated key byte for byte, whatever the order of the legs', async () => {
    const [a, b, c] = [await api().newWallet('10.00'), await api().newWallet(), await api().newWallet()];
    const legs: Array<[string, string]> = [[b.id, '3.00'], [a.id, '-9.00'], [c.id, '6.00']]; // prettier-ignore
    const first = await api().journal(legs, { metadata: { zz: 1, a: 2 } }, 'legs-1');
    const second = await api().journal(legs, { metadata: { a: 2, zz: 1 } }, 'legs-1');
    expect([second.status, second.text]).toEqual([201, first.text]);
  });
});

describe('batches', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(async () => {
    const found = await service.database.check();
    await service.stop();
    expect(found).toEqual([]);
  });
  const api = () => service.api;
  const balance = async (id: string) => (await api().wallet(id)).balance;
  const transfer = (from: string, to: string, amount: string) => ({
    ...{ type: 'transfer', from_wallet_id: from, to_wallet_id: to, amount },
  });

  it('give each item an outcome of its own, each seeing those before it', async () => {
    const [a, b] = [await api().newWallet(), await api().newWallet()];
    const batch = expectStatus(
      201,
      await api().batch([
        { type: 'credit', wallet_id: a.id, amount: '100.00', reference: 'payday' },
        transfer(a.id, b.id, '100.01'),
        transfer(a.id, b.id, '60.00'),
        { type: 'debit', wallet_id: NOWHERE, amount: '1.00' },
        { type: 'debit', wallet_id: b.id, amount: '10.00', minimum_balance: '50.00' },
        { type: 'journal', entries: [{ wallet_id: a.id, amount: '-40.00' }, { wallet_id: b.id, amount: '40.00' }] }, // prettier-ignore
      ]),
    );
    expect(batch.items.map(({ status, error }) => error?.code ?? status)).toEqual([
      ...['posted', 'insufficient_funds', 'posted', 'wallet_not_found', 'posted', 'posted'],
    ]);
    expect(batch).toMatchObject({ atomic: false, posted: 4, refused: 2 });
    expect(batch.items[1]!.error).toMatchObject({ status: 422, type: '/errors/insufficient_funds', retryable: false });
    expect([await balance(a.id), await balance(b.id)]).toEqual(['0.00', '90.00']);
    const { transaction } = batch.items[0]!;
    expect((await api().get(`/v1/transactions/${transaction!.id}`)).body).toEqual(transaction);
  });

  it('have outcomes also where nothing can be posted at all', async () => {
    const items = [{ type: 'debit', wallet_id: NOWHERE, amount: '1.00' }];
    const batch = await api().batch(items, {}, 'nothing');
    expect(batch.body).toMatchObject({ posted: 0, refused: 1, items: [{ error: { code: 'wallet_not_found' } }] });
    expect((await api().batch(items, {}, 'nothing')).text).toBe(batch.text);
    expect((await api().batch(items, { atomic: true })).body.code).toBe('batch_refused');
  });

  it('marked atomic post all or nothing, and name every item in the way', async () => {
    const [a, b] = [await api().newWallet('10.00'), await api().newWallet()];
    const items = [transfer(a.id, b.id, '6.00'), transfer(a.id, b.id, '6.00'), transfer(a.id, NOWHERE, '1.00')];
    const refused = await api().batch(items, { atomic: true }, 'atomic-1');
    expect(refused.body).toMatchObject({ code: 'batch_refused', status: 422 });
    expect(refused.body.errors!.map(({ field, message }) => [field, message.split(':')[0]])).toEqual([
      ['items.1', 'insufficient_funds'],
      ['items.2', 'wallet_not_found'],
    ]);
    expect([await balance(a.id), await balance(b.id)]).toEqual(['10.00', '0.00']);
    expect((await api().wallet(a.id)).version).toBe(a.version);
    const replayed = await api().batch(items, { atomic: true }, 'atomic-1');
    expect(replayed.body.errors).toEqual(refused.body.errors);
    expect(replayed.headers.get('idempotency-replayed')).toBe('true');
    expectStatus(201, await api().batch(items.slice(0, 1), { atomic: true }));
    expect(await balance(b.id)).toBe('6.00');
  });

  it('disturb nobody in the same group when they are refused as a whole', async () => {
    const [a, b] = [await api().newWallet('100.00'), await api().newWallet()];
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        i % 2 === 0
          ? api().batch([transfer(a.id, b.id, '1.00'), transfer(b.id, a.id, '900.00')], { atomic: true })
          : api().transfer(a.id, b.id, '1.00'),
      ),
    );
    expect(replies.map(({ status }) => status)).toEqual(replies.map((_, i) => (i % 2 === 0 ? 422 : 201)));
    expect([await balance(a.id), await balance(b.id)]).toEqual(['80.00', '20.00']);
  });

  it('answer a repeated key with the outcomes of the first time', async () => {
    const [a, b] = [await api().newWallet('10.00'), await api().newWallet()];
    const items = [transfer(a.id, b.id, '6.00'), transfer(a.id, b.id, '6.00')];
    const key = randomUUID();
    const replies = await Promise.all(Array.from({ length: 20 }, () => api().batch(items, {}, key)));
    const later = await api().batch(items, {}, key);
    expect(new Set([...replies, later].map(({ text }) => text)).size).toBe(1);
    expect(later.headers.get('idempotency-replayed')).toBe('true');
    expect(await balance(b.id)).toBe('6.00');
    expect((await api().get<{ body: unknown }>(`/v1/idempotency-keys/${key}`)).body.body).toEqual(later.body);
    expect((await api().batch(items.slice(1), {}, key)).body.code).toBe('idempotency_key_reused');
  });

  it('take 1,000 items in one request, and not one more', async () => {
    const a = await api().newWallet();
    const items = Array.from({ length: 1_000 }, (_, i) => ({
      ...{ type: 'credit', wallet_id: a.id, amount: '0.01', description: 'x'.repeat(600 - 100), reference: `r-${i}` },
    }));
    const batch = expectStatus(201, await api().batch(items, { atomic: true }, 'thousand'));
    expect(batch.posted).toBe(1_000);
    expect(await balance(a.id)).toBe('10.00');
    expect((await api().batch([...items, items[0]!])).body.errors![0]!.field).toBe('items');
    const [{ n }] = await service.database.query(
      `SELECT count(DISTINCT xmin::text)::int AS n FROM entries WHERE wallet_id = '${a.id}'`,
    );
    expect(n).toBe(1); // one database transaction
  }, 30_000);

  it('refuse bodies with a mistake in any item, naming it, and write nothing', async () => {
    const a = await api().newWallet('10.00');
    const good = { type: 'debit', wallet_id: a.id, amount: '1.00' };
    const field = async (item: unknown) => (await api().batch([good, item as object] as never)).body.errors?.[0]?.field;
    expect(await field({ ...good, amount: '1.001' })).toBe('items.1.amount');
    expect(await field({ ...good, amount: '-1' })).toBe('items.1.amount');
    expect(await field({ ...good, type: 'gift' })).toMatch(/^items\.1\./);
    expect(await field({ ...good, type: 'toString' })).toMatch(/^items\.1\./);
    expect(await field({ ...good, surprise: 1 })).toBe('items.1.surprise');
    expect(await field({ ...good, toString: 1 })).toBe('items.1.toString');
    expect(await field('debit')).toBe('items');
    expect(await field(null)).toBe('items');
    expect((await api().batch([])).body.errors?.[0]?.field).toBe('items');
    expect(await balance(a.id)).toBe('10.00');
  });

  it('take bodies up to 1 MiB, and other calls up to 64 KiB', async () => {
    const a = await api().newWallet('10.00');
    const big = { type: 'debit', wallet_id: a.id, amount: '1.00', metadata: { note: 'x'.repeat(490) } };
    expect((await api().batch(Array.from({ length: 900 }, () => big))).status).toBe(201);
    const padded = JSON.stringify({ items: [big] }).padEnd(1024 * 1024 + 1);
    expect((await api().post('/v1/transactions/batch', padded)).status).toBe(413);
    expect((await api().post('/v1/transactions', JSON.stringify({}).padEnd(65 * 1024))).status).toBe(413);
  });
});
