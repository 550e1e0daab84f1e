/** S3: an answer has the fields that the OpenAPI document declares, all of them and no other. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectStatus, type Reply } from './support/client.js';
import { bearer, signIn, startSecured } from './support/secured.js';
import { insertKey } from './support/keys.js';
import { ALL_SCOPES } from '../src/auth/scopes.js';
import type { Service } from './support/service.js';

interface Schema {
  $ref?: string;
  type?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: unknown;
  allOf?: Schema[];
  oneOf?: Schema[];
}
interface Document {
  paths: Record<
    string,
    Record<string, { responses: Record<string, { content?: Record<string, { schema?: Schema }> }> }>
  >;
  components: { schemas: Record<string, Schema> };
}

describe('what is answered', () => {
  let service: Service;
  let document: Document;
  let operator: string;
  beforeAll(async () => {
    service = await startSecured();
    document = (await service.api.get<Document>('/docs-json')).body;
    operator = (await insertKey(service.database, { scopes: ALL_SCOPES })).secret;
  });
  afterAll(() => service.stop());

  /** Where a value and its schema differ in their fields. */
  function differences(schema: Schema, value: unknown, at: string): string[] {
    if (schema.$ref) return differences(document.components.schemas[schema.$ref.split('/').at(-1)!]!, value, at);
    if (schema.allOf) return schema.allOf.flatMap((part) => differences(part, value, at));
    if (Array.isArray(value)) return value.flatMap((item, i) => differences(schema.items ?? {}, item, `${at}[${i}]`));
    if (typeof value !== 'object' || value === null || schema.additionalProperties || schema.oneOf) return [];
    const { properties = {}, required = [] } = schema;
    return [
      ...Object.keys(value).flatMap((name) => (name in properties ? [] : [`${at}.${name} is not declared`])),
      ...required.flatMap((name) => (name in value ? [] : [`${at}.${name} is missing`])),
      ...Object.entries(value).flatMap(([name, own]) => differences(properties[name] ?? {}, own, `${at}.${name}`)),
    ];
  }

  /** Calls a route of the document. */
  async function call<Body = { id: string }>(
    credential: string,
    method: string,
    route: string,
    ids: object = {},
    body?: object,
  ) {
    const path = route.replace(/\{(\w+)\}/g, (_, name: string) => (ids as Record<string, string>)[name]!);
    const reply: Reply<Body> = await service.api.call<Body>(method, path, body, bearer(credential));
    const declared = document.paths[route.split('?')[0]!]![method.toLowerCase()]!.responses[reply.status];
    const forms = ['application/json', 'text/event-stream', 'application/problem+json'];
    const schema = forms.map((form) => declared?.content?.[form]?.schema).find((found) => found !== undefined);
    expect([method, route, reply.status, schema !== undefined]).toEqual([method, route, reply.status, true]);
    expect([method, route, differences(schema!, reply.body, '')]).toEqual([method, route, []]);
    return reply;
  }
  const done = async (...[method, route, ids, body]: [string, string, object?, object?]) => {
    const { status, body: answered, text } = await call(operator, method, route, ids, body);
    expect([method, route, status < 300 ? '' : text]).toEqual([method, route, '']);
    return answered;
  };

  it('is what is declared, for servers, operators and persons', async () => {
    const phone_number = '+919812377777';
    const user_id = (await done('POST', '/v1/users', {}, { phone_number, metadata: { plan: 'gold' } })).id;
    const open = (label: string) => done('POST', '/v1/wallets', {}, { user_id, label, minimum_balance: '0' });
    const [wallet_id, other] = [(await open('main')).id, (await open('other')).id];
    const transaction_id = (await done('POST', '/v1/wallets/{wallet_id}/credits', { wallet_id }, { amount: '50.00' }))
      .id;
    await done('POST', '/v1/wallets/{wallet_id}/debits', { wallet_id }, { amount: '5.00' });
    await done('POST', '/v1/transfers', {}, { from_wallet_id: wallet_id, to_wallet_id: other, amount: '1.00' });
    await done(
      'POST',
      '/v1/transactions',
      {},
      {
        entries: [
          { wallet_id, amount: '-1.00' },
          { wallet_id: other, amount: '1.00' },
        ],
      },
    );
    await done(
      'POST',
      '/v1/transactions/batch',
      {},
      {
        items: [
          { type: 'debit', wallet_id, amount: '1.00' },
          { type: 'debit', wallet_id, amount: '999.00' },
        ],
      },
    );
    await done(
      'POST',
      '/v1/transactions/{transaction_id}/reversals',
      { transaction_id },
      { reason: 'x', amount: '1.00' },
    );
    const hold_id = (await done('POST', '/v1/wallets/{wallet_id}/holds', { wallet_id }, { amount: '9.00' })).id;
    await done('PATCH', '/v1/holds/{hold_id}', { hold_id }, { amount: '8.00' });
    await done('POST', '/v1/holds/{hold_id}/captures', { hold_id }, { amount: '1.00' });
    await done('POST', '/v1/wallets/{wallet_id}/freeze', { wallet_id }, { reason: 'x', mode: 'debits' });
    await done('POST', '/v1/wallets/{wallet_id}/unfreeze', { wallet_id }, { reason: 'x' });
    await done('PUT', '/v1/wallets/{wallet_id}/limits', { wallet_id }, { daily_total: '500.00', reason: 'x' });
    const starts_at = new Date(Date.now() + 3_600_000).toISOString();
    const schedule = { from_wallet_id: wallet_id, to_wallet_id: other, amount: '1.00', every: 'daily', starts_at };
    const schedule_id = (await done('POST', '/v1/schedules', {}, schedule)).id;
    for (const verb of ['pause', 'resume', 'cancel'])
      await done('POST', `/v1/schedules/{schedule_id}/${verb}`, { schedule_id });
    const key_id = (await done('POST', '/v1/api-keys', {}, { name: 'x', role: 'reader', reason: 'x' })).id;
    await done('POST', '/v1/api-keys/{key_id}/rotate', { key_id }, { reason: 'x' });

    const ids = { user_id, wallet_id, transaction_id, hold_id, schedule_id, key_id, seq: '1' };
    const reads = Object.entries(document.paths).flatMap(([path, { get }]) =>
      get && /^\/(v1|health|version|\.well)/.test(path) ? [path] : [],
    );
    expect(reads.length).toBeGreaterThan(25);
    const { access_token } = await signIn(service, phone_number);
    let answeredToPerson = 0;
    for (const path of reads) {
      const wanted = path === '/v1/transactions' ? `${path}?wallet_id=${wallet_id}` : path;
      const key = { key: 'never-used', ...ids };
      await call(operator, 'GET', wanted, key); // whatever the status: the body is declared
      if ((await call(access_token, 'GET', wanted, key)).status === 200) answeredToPerson++;
    }
    expect(answeredToPerson).toBeGreaterThan(15);
    expectStatus(200, await call(access_token, 'POST', '/v1/auth/logout'));
  });
});
