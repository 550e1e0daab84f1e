import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ERRORS } from '../src/errors.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

describe('what comes in', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  it('is refused where an amount is not one, and nothing is written', async () => {
    const wallet = await service.api.newWallet('10.00');
    const amounts = [
      '1e3',
      '-0',
      '-1',
      '+1',
      'NaN',
      'Infinity',
      '0',
      '0.00',
      '0.001',
      '1'.repeat(30),
      '9223372036854775808',
      '92233720368547758.08',
      '10000000000000.00',
      '１２',
      '٣',
      '1,5',
      '',
      ' 1',
      null,
      true,
      [],
      {},
      ['1'],
      -1,
      0,
      0.001,
      1e21,
      1e-7,
    ];
    for (const amount of amounts) {
      for (const call of ['credits', 'debits']) {
        const { status, body } = await service.api.post<Problem>(`/v1/wallets/${wallet.id}/${call}`, { amount });
        expect([amount, status, body.errors?.[0]?.field]).toEqual([amount, 422, 'amount']);
      }
    }
    for (const raw of [
      '{"amount":1e999}',
      '{"amount":12345678901234567890}',
      '{"amount":NaN}',
      '{"amount":01}',
      '{"amount":-}',
    ]) {
      expect((await service.api.post(`/v1/wallets/${wallet.id}/credits`, raw)).status).toBeGreaterThanOrEqual(400);
    }
    // What JSON.parse would round, or take for another way to write it.
    for (const amount of ['99.999999999999999999', '1.00000000000000001', '1e1', '1E1', '0.1e+1', '100e-2']) {
      const field = async (path: string, raw: string) =>
        (await service.api.post<Problem>(path, raw)).body.errors?.map((error) => error.field);
      const leg = `{ "wallet_id": "${wallet.id}", "amount": -1 }, { "wallet_id": "${wallet.id}", "amount" :${amount}}`;
      expect(await field(`/v1/wallets/${wallet.id}/credits`, `{"amount":${amount}}`)).toEqual(['amount']);
      expect(await field(`/v1/wallets/${wallet.id}/credits`, `{"\\u0061mount":${amount}}`)).toEqual(['amount']);
      expect((await service.api.post(`/v1/wallets/${wallet.id}/credits`, `{"\\U0061mount":${amount}}`)).status).toBe(
        400,
      );
      expect(await field('/v1/transactions', `{"entries": [${leg}]}`)).toEqual(['entries.1.amount']);
      expect(await field(`/v1/wallets/${wallet.id}/debits`, `{"amount":1,"minimum_balance":${amount}}`)).toEqual([
        'minimum_balance',
      ]);
    }
    expect(await service.api.wallet(wallet.id)).toEqual(wallet);
  });

  it('keeps texts and metadata that look like amounts as they are', async () => {
    const wallet = await service.api.newWallet();
    const description = '{"amount": 1e3, "amount": 99.999999999999999999}';
    const metadata = { amount: 0.30000000000000004, minimum_balance: 1e-300 };
    const escaped = `{"amount": 1.5, "description": "\\u0022\\u0061mount\\u0022:\\\\u0061 \\u00e9", "metadata": {"\\u0061mount": 1e3}}`;
    expect((await service.api.post(`/v1/wallets/${wallet.id}/credits`, escaped)).body).toMatchObject(
      JSON.parse(escaped.replace('1.5', '"1.50"')),
    );
    expect((await service.api.credit(wallet.id, 1.5, { description, metadata })).body).toMatchObject({
      ...{ amount: '1.50', description, metadata },
    });
  });

  it('says of an amount that is too long what is wrong with it, and refuses numbers of metadata that would be rounded', async () => {
    const wallet = await service.api.newWallet();
    const refused = async (body: string) =>
      (await service.api.post<Problem>(`/v1/wallets/${wallet.id}/credits`, body)).body.errors![0]!.message;
    for (const long of [0.1 + 0.2, 33.333333, '"1.00011"', '-0.00001']) {
      expect(await refused(`{"amount": ${long}}`)).toMatch(/more decimals than any currency/);
    }
    for (const large of ['"1000000000000000.00"', 1e16]) {
      expect(await refused(`{"amount": ${large}}`)).toMatch(/more than 15 digits before the point/);
    }
    expect(await refused('{"amount": "01.00"}')).toMatch(/^must be a positive decimal number/);
    for (const id of ['12345678901234567890', '9007199254740993', '-9007199254740993']) {
      expect(await refused(`{"amount": 1, "metadata": {"id": ${id}}}`)).toMatch(
        /^has under "id" a number of more than 15/,
      );
    }
  });

  it('is refused where a route takes none, and so is a query', async () => {
    const wallet = await service.api.newWallet('10.00');
    const hold = expectStatus(
      201,
      await service.api.post<{ id: string }>(`/v1/wallets/${wallet.id}/holds`, { amount: '5.00' }),
    );
    const fields = async (path: string, body?: object) => {
      const reply = await service.api.post<Problem>(path, body);
      return [reply.status, reply.body.errors?.map(({ field }) => field)];
    };
    expect(await fields(`/v1/holds/${hold.id}/void`, { amount: '1.00', x: 1 })).toEqual([422, ['amount', 'x']]);
    expect(await fields(`/v1/holds/${hold.id}/void?dry=1`)).toEqual([422, ['dry']]);
    const opening = { user_id: wallet.user_id, currency: 'INR', label: 'dry' };
    expect(await fields('/v1/wallets?dry_run=true', opening)).toEqual([422, ['dry_run']]);
    expect((await service.api.wallet(wallet.id)).held).toBe('5.00');
    expect((await service.api.call('GET', '/health/live?probe=1')).status).toBe(200);
    expectStatus(201, await service.api.post(`/v1/holds/${hold.id}/void`, {}));
  });

  it('is refused with fields that nobody asked for', async () => {
    const wallet = await service.api.newWallet('10.00');
    for (const extra of [
      { actor: 'me' },
      { balance: '1' },
      { entries: [] },
      { type: 'credit' },
      { constructor: 1 },
      { toString: 1 },
      { prototype: 1 },
    ]) {
      const [field] = Object.keys(extra);
      expect((await service.api.debit(wallet.id, '1.00', extra)).body).toMatchObject({
        status: 422,
        errors: [{ field }],
      });
    }
    for (const name of ['constructor', 'toString', 'prototype']) {
      expect(
        (await service.api.debit(wallet.id, '1.00', { metadata: { plan: 'gold', [name]: 'x' } })).body,
      ).toMatchObject({
        status: 422,
        errors: [{ field: `metadata.${name}` }],
      });
    }
    expect(
      (await service.api.post(`/v1/wallets/${wallet.id}/debits`, '{"amount":"1","__proto__":{"x":1}}')).status,
    ).toBe(400);
  });

  it('is refused where it is too large, not JSON, or not an object', async () => {
    const wallet = await service.api.newWallet('10.00');
    const path = `/v1/wallets/${wallet.id}/debits`;
    const send = async (body: string, type = 'application/json') => {
      const reply = await service.api.call<Problem>('POST', path, body, { 'content-type': type });
      expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      return `${reply.status} ${reply.body.code}`;
    };
    expect(await send(JSON.stringify({ amount: '1', description: 'x'.repeat(70_000) }))).toBe('413 body_too_large');
    expect(await send('{"amount":"1"}', 'text/plain')).toBe('415 unsupported_media_type');
    expect(await send('amount=1', 'application/x-www-form-urlencoded')).toBe('415 unsupported_media_type');
    expect(await send('<a/>', 'text/xml')).toBe('415 unsupported_media_type');
    expect(await send('{"amount":')).toBe('400 bad_request');
    expect(await send('')).toBe('400 bad_request');
    const detail = async (body: string) => (await service.api.post<Problem>(path, body)).body.detail;
    expect(await detail('{"amount":')).toBe('The body is not valid JSON, or has a field named `__proto__`.');
    for (const deep of [
      '['.repeat(20_000) + ']'.repeat(20_000),
      `{"metadata":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_001)}`,
    ])
      expect(await send(deep)).toBe('422 validation_failed');
    for (const body of ['null', '[]', '"1"', '1', '[{"amount":"1"}]'])
      expect(await send(body)).toMatch(/^4\d\d (validation_failed|bad_request)$/);
  });

  it('gets an answer that says what is wrong, and no stack, SQL or driver text', async () => {
    for (const path of [
      '/v1/nothing',
      '/v1/wallets/%',
      '/v1/wallets/me',
      "/v1/wallets/'; DROP TABLE users",
      `/v1/wallets/${'x'.repeat(500)}`,
      '/v1/transactions?limit=%00',
    ]) {
      const { status, text } = await service.api.get(path.replaceAll(' ', '%20'));
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
      expect(text).not.toMatch(/at \w+ \(|node_modules|SELECT|pg_|typeorm/i);
      expect(JSON.parse(text)).toMatchObject({ type: expect.stringMatching(/^\/errors\//), status, retryable: false });
    }
  });

  it('leads from each `type` to a page that says cause, fix, and whether to repeat', async () => {
    const index = await service.api.get('/errors');
    for (const [code, { title, retryable }] of Object.entries(ERRORS)) {
      expect(index.text).toContain(`<a href="/errors/${code}">`);
      const { status, text, headers } = await service.api.get(`/errors/${code}`);
      expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(text).toContain(`<h1>${title}</h1>`);
      const parts = /<h2>Cause<\/h2><p>(.+)<\/p><h2>Fix<\/h2><p>(.+)<\/p>\s*<h2>Repeat\?<\/h2><p>(Yes|No):/s.exec(text);
      expect([code, parts?.[1]?.length, parts?.[2]?.length, parts?.[3]]).toEqual([
        ...[code, expect.any(Number), expect.any(Number), retryable ? 'Yes' : 'No'],
      ]);
    }
  });

  it('carries a request id: the caller’s where it is safe to print, else a new one', async () => {
    const echoed = await service.api.call('GET', '/health/live', undefined, { 'x-request-id': 'abc-1' });
    expect(echoed.headers.get('x-request-id')).toBe('abc-1');
    const replaced = await service.api.call<Problem & { request_id: string }>('GET', '/v1/none', undefined, {
      'x-request-id': 'a b\\"<',
    });
    expect(replaced.body.request_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(replaced.headers.get('x-request-id')).toBe(replaced.body.request_id);
  });

  it('may be Unicode in texts, to the letter', async () => {
    const wallet = await service.api.newWallet('10.00');
    const description = 'Žluťoučký kůň 🐴 ‘; DROP TABLE "x" \\ {1,2} NULL';
    const { body } = await service.api.debit(
      wallet.id,
      '1',
      { description, reference: '{"a","b"}', metadata: { 'klíč "x"': description } },
      'key "1" \\ {,}',
    );
    expect(body).toMatchObject({ description, reference: '{"a","b"}', metadata: { 'klíč "x"': description } });
    expect((await service.api.get(`/v1/transactions/${body.id}`)).body).toEqual(body);
  });
});
