/** Requests as they should not be: what is not understood is refused with the field's name, not guessed at. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

type Page = { data: Array<{ id: string }>; next_cursor: string | null };
const NO_OBJECT = { field: 'body', message: 'must be a JSON object' };

describe('a request', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  const errorsOf = async (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
    (await service.api.call<Problem>(method, path, body, headers)).body.errors;

  /** A POST with these very bytes. */
  const sendBytes = (path: string, bytes: Buffer, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; body: Problem }>((resolve, reject) => {
      const type = { 'content-type': 'application/json', 'content-length': bytes.length };
      request(service.api.url + path, { method: 'POST', headers: { ...type, ...headers } }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) as Problem }));
      })
        .on('error', reject)
        .end(bytes);
    });

  it('is refused where its body is not UTF-8, compressed or of another charset: nothing is kept that nobody sent', async () => {
    const { id } = await service.api.newWallet();
    const path = `/v1/wallets/${id}/credits`;
    const latin1 = Buffer.from('{"amount":"1.00","reference":"café"}', 'latin1');
    const utf8 = Buffer.from('{"amount":"1.00","reference":"café �"}');
    const said = async (bytes: Buffer, headers?: Record<string, string>) => {
      const { status, body } = await sendBytes(path, bytes, headers);
      return `${status} ${body.detail}`;
    };
    expect(await said(latin1)).toBe('400 The body is not UTF-8.');
    const charset = (name: string) => ({ 'content-type': `application/json; charset=${name}` });
    expect(await said(latin1, charset('iso-8859-1'))).toBe('415 JSON is UTF-8: send no other charset.');
    expect(await said(utf8, { 'content-encoding': 'gzip' })).toBe(
      '415 The body is compressed: send it without `Content-Encoding`.',
    );
    for (const name of ['utf-8', 'UTF-8', '"utf-8"']) {
      expect((await sendBytes(path, utf8, charset(name))).body).toMatchObject({ reference: 'café �' });
    }
    expect((await service.api.wallet(id)).balance).toBe('3.00');
  });

  it('is refused where its query has an escape of nothing', async () => {
    for (const query of ['reference=caf%E9', 'reference=%', 'reference=%zz']) {
      expect((await service.api.get<Problem>(`/v1/transactions?${query}`)).body.code).toBe('bad_request');
    }
    expect((await service.api.get('/v1/transactions?reference=100%25')).status).toBe(200);
  });

  it('is refused where its body is no object, on every kind of route', async () => {
    const { id } = await service.api.newWallet('10.00');
    const hold = expectStatus(201, await service.api.hold(id, '5.00'));
    for (const body of ['null', '[]', '"x"', '0']) {
      for (const [method, path] of [
        ['POST', `/v1/wallets/${id}/credits`],
        ['POST', '/v1/transactions/batch'],
        ['POST', `/v1/holds/${hold.id}/captures`],
        ['POST', `/v1/holds/${hold.id}/void`],
        ['PATCH', `/v1/wallets/${id}`],
      ] as const) {
        expect([path, body, await errorsOf(method, path, body)]).toEqual([path, body, [NO_OBJECT]]);
      }
    }
    expect((await service.api.readHold(hold.id)).remaining).toBe('5.00');
  });

  it('hears of whole numbers that they are to be whole, and of a missing one that it is', async () => {
    const { id } = await service.api.newWallet();
    const whole = 'must be a whole number';
    for (const [path, field] of [
      ['/v1/users?limit=abc', 'limit'],
      ['/v1/users?limit=1&limit=2', 'limit'],
      ['/v1/events?limit=1.5', 'limit'],
      [`/v1/wallets/${id}/entries/abc/receipt`, 'seq'],
    ] as const) {
      expect([path, await errorsOf('GET', path)]).toEqual([path, [{ field, message: whole }]]);
    }
    expect(await errorsOf('GET', '/v1/users?limit=0')).toEqual([{ field: 'limit', message: 'must be at least 1' }]);
    expect(await errorsOf('GET', '/v1/users?limit=101')).toEqual([{ field: 'limit', message: 'must be at most 100' }]);
    const key = { name: 'x', scopes: ['users:read'], reason: 'a test', requests_per_minute: '5' };
    expect(await errorsOf('POST', '/v1/api-keys', key)).toEqual([{ field: 'requests_per_minute', message: whole }]);
  });

  it('hears of an item of an unknown type nothing but that, and of a thousand mistakes the first', async () => {
    const item = { type: 'crdit', wallet_id: 'x', amount: '1.00' };
    const message = 'must be one of credit, debit, transfer, journal';
    expect(await errorsOf('POST', '/v1/transactions/batch', { items: [item] })).toEqual([
      { field: 'items.0.type', message },
    ]);
    const { body, text } = await service.api.post<Problem>('/v1/transactions/batch', {
      items: Array(1_000).fill(item),
    });
    expect(body.errors).toHaveLength(50);
    expect(body.detail).toMatch(/^items\.0\.type must be one of .*; and 950 more$/);
    expect(text.length).toBeLessThan(10_000);
  });

  it('counts characters, not halves of them, and names a reserved name', async () => {
    const { id } = await service.api.newWallet();
    expect((await service.api.credit(id, '1.00', { description: '💶'.repeat(500) })).status).toBe(201);
    expect((await service.api.credit(id, '1.00', { description: '💶'.repeat(501) })).body.errors).toEqual([
      { field: 'description', message: 'must have at most 500 characters' },
    ]);
    const metadata = async (value: object) => (await service.api.credit(id, '1.00', { metadata: value })).body.errors;
    expect(await metadata({ toString: 'x' })).toEqual([
      { field: 'metadata.toString', message: 'is a reserved name: choose another' },
    ]);
    expect(await metadata({ a: null })).toEqual([
      { field: 'metadata', message: 'has under "a" a value that must be a text, a number, true or false' },
    ]);
  });

  it('is refused where it names a condition that nothing would be held against', async () => {
    const user = await service.api.newUser();
    for (const [path, body] of [
      ['/v1/users', { phone_number: '+919876501234' }],
      ['/v1/wallets', { user_id: user.id, minimum_balance: '0' }],
      [`/v1/users/${user.id}/sessions/end`, { reason: 'a test' }],
    ] as const) {
      expect(await errorsOf('POST', path, body, { 'if-match': '"7"' })).toEqual([
        { field: 'If-Match', message: 'is not for this call: leave it out' },
      ]);
    }
    expect((await service.api.get<Page>(`/v1/wallets?user_id=${user.id}`)).body.data).toEqual([]);
  });

  it('goes on in the list that its cursor is of, and in no other', async () => {
    const [a, b] = [await service.api.newWallet('1.00'), await service.api.newWallet('1.00')];
    for (const { id } of [a, b]) expectStatus(201, await service.api.credit(id, '1.00'));
    const cursorOf = async (path: string) => {
      const { next_cursor } = expectStatus(200, await service.api.get<Page>(`${path}limit=1`));
      return next_cursor!;
    };
    const lists = [
      ...['/v1/users?', '/v1/wallets?', '/v1/transactions?', '/v1/transactions?created_from=2020-01-01T00:00:00Z&'],
      ...['/v1/transactions?effective_from=2020-01-01T00:00:00Z&', `/v1/transactions?wallet_id=${a.id}&`],
      ...[`/v1/wallets/${a.id}/entries?`, `/v1/wallets/${b.id}/entries?`],
    ];
    const cursors = await Promise.all(lists.map(cursorOf));
    for (const [i, list] of lists.entries()) {
      const statuses = await Promise.all(
        cursors.map(async (cursor) => (await service.api.get(`${list}limit=1&cursor=${cursor}`)).status),
      );
      expect([list, statuses]).toEqual([list, cursors.map((_, j) => (i === j ? 200 : 422))]);
    }
  });
});
