/** S8: API keys, from the first to the revoked one. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiKeyBody, SecretBody } from '../src/auth/api-keys.dto.js';
import { newSecret } from '../src/auth/api-key.secret.js';
import type { AuditEntryBody } from '../src/audit/audit.dto.js';
import { expectStatus, type Problem, type Reply } from './support/client.js';
import { ImportBench } from './support/import-bench.js';
import { bearer, startSecured } from './support/secured.js';
import type { Service } from './support/service.js';

const NOWHERE = 'postgres://nobody@127.0.0.1:1/nothing';

describe('API keys', () => {
  let service: Service;
  let other: Service | undefined;
  let operator: string;
  beforeAll(async () => {
    service = await startSecured();
    const { code, stdout } = await asper('create', '--name', 'alice', '--role', 'operator');
    expect(code).toBe(0);
    operator = stdout.trim();
  });
  afterAll(async () => {
    await other?.stop();
    expect(await service.database.problems()).toEqual([]);
    await service.stop();
  });

  const asper = (...args: string[]) => ImportBench.run(['keys', ...args], { DATABASE_URL: service.database.url });
  /** A second process; whoever needs it first starts it. */
  const startOther = async () => (other ??= await startSecured({}, { database: service.database }));
  const call = <Body = SecretBody & Problem>(
    credential: string,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    at: Service = service,
  ) => at.api.call<Body>(method, path, body, { ...bearer(credential), ...headers });
  const make = async (options: object = {}, maker = operator) =>
    expectStatus(
      201,
      await call(maker, 'POST', '/v1/api-keys', { name: 'a server', role: 'server', reason: 'test', ...options }),
    );
  /** What a key that may read wallets meets. */
  const read = (secret: string, at = service) => call(secret, 'GET', '/v1/wallets', undefined, {}, at);
  const answer = ({ status, body }: Reply<Problem>) => (status < 400 ? status : `${status} ${body.code}`);

  it('begin with one from the command line, which alone shows its secret', async () => {
    const { stdout, stderr } = await asper(
      'create',
      '--name',
      'till',
      '--scopes',
      'wallets:read,transactions:write',
      '--json',
    );
    const key = JSON.parse(stdout) as SecretBody;
    expect(key).toMatchObject({
      name: 'till',
      scopes: ['wallets:read', 'transactions:write'],
      secret: expect.stringMatching(/^asper_key_/),
    });
    expect(key.created_by).toMatch(/^cli:/);
    expect(stderr).not.toContain(key.secret!);
    expect(answer(await read(key.secret!))).toBe(200);
    expect((await asper('list')).stdout).toMatch(new RegExp(`${key.id}  good .*till`));
    expect((await asper('revoke', key.id)).code).toBe(2); // no reason
    expect((await asper('revoke', key.id, '--reason', 'lost')).code).toBe(0);
    expect((await asper('list')).stdout).toMatch(new RegExp(`${key.id}  revoked .*till`));
    expect((await asper('rotate', key.id)).stderr).toMatch(/is revoked/);
  });

  it.each([
    [['create'], /--name/],
    [['create', '--name', 'x', '--scopes', 'wallets:fly'], /scopes must have nothing but scopes out of/],
    [['create', '--name', 'x', '--role', 'king'], /role must be/],
    [
      ['create', '--name', 'x', '--role', 'server', '--allow', '10.0.0.0/33'],
      /allowed_addresses must have nothing but addresses/,
    ],
    [['create', '--name', 'x', '--role', 'server', '--expires-in', 'soon'], /--expires-in must be a time/],
    [['revoke', 'nothing', '--reason', 'x'], /UUID|uuid/],
  ])('refuse the command %p, before a database is looked for', async (args, message) => {
    const { code, stdout, stderr } = await ImportBench.run(['keys', ...args], { DATABASE_URL: NOWHERE });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
  });

  it('refuse the command that gives a key nothing to do', async () => {
    const { code, stdout, stderr } = await asper('create', '--name', 'x');
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining('scopes or role is needed')]);
  });

  it('are shown once: not to a read, not to a repeat, not to whoever has the database', async () => {
    const body = { name: 'once', role: 'reader', reason: 'test' };
    const first = await call(operator, 'POST', '/v1/api-keys', body, { 'idempotency-key': 'once' });
    const again = await call(operator, 'POST', '/v1/api-keys', body, { 'idempotency-key': 'once' });
    const { secret, ...shown } = expectStatus(201, first);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.body).toEqual({ ...shown, secret: null });
    expect((await call(operator, 'GET', `/v1/api-keys/${shown.id}`)).body).toEqual(shown);
    const { text } = await call(operator, 'GET', '/v1/api-keys?limit=100');
    expect(text).not.toContain(secret!);
    const tables = await service.database.query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`);
    for (const { tablename } of tables) {
      const [row] = await service.database.query(
        `SELECT coalesce(string_agg(t::text, ' '), '') AS dump FROM ${tablename} t`,
      );
      expect([tablename, row.dump.includes(secret)]).toEqual([tablename, false]);
    }
    expect(service.said()).not.toContain(secret!);
  });

  it('may do what their scopes say', async () => {
    const reader = await make({ role: undefined, scopes: ['users:read'] });
    expect(answer(await call(reader.secret!, 'GET', '/v1/users'))).toBe(200);
    expect(answer(await read(reader.secret!))).toBe('403 insufficient_scope');
    const asHeader = await service.api.call('GET', '/v1/users', undefined, { 'x-api-key': reader.secret! });
    expect(asHeader.status).toBe(200);
    const both = { 'x-api-key': reader.secret!, ...bearer(reader.secret!) };
    expect(answer(await service.api.call('GET', '/v1/users', undefined, both))).toBe('401 unauthenticated');
  });

  it('give away no more than their maker has', async () => {
    const maker = await make({ role: undefined, scopes: ['keys:admin', 'users:read'] });
    expect((await make({ role: undefined, scopes: ['users:read'] }, maker.secret!)).created_by).toBe(`key:${maker.id}`);
    for (const wanted of [{ role: 'operator' }, { scopes: ['wallets:admin'] }]) {
      const refused = await call(maker.secret!, 'POST', '/v1/api-keys', { name: 'more', reason: 'more', ...wanted });
      expect(answer(refused)).toBe('403 insufficient_scope');
    }
    // Nor by a new secret of a key that may more.
    const mighty = await make({ role: 'operator' });
    const stolen = await call(maker.secret!, 'POST', `/v1/api-keys/${mighty.id}/rotate`, { reason: 'mine now' });
    expect(answer(stolen)).toBe('403 insufficient_scope');
    expect(answer(await read(mighty.secret!))).toBe(200);
  });

  it('that are bound in time, place and number make none that are less so', async () => {
    const expires_at = new Date(Date.now() + 60_000).toISOString();
    const bound = { scopes: ['keys:admin', 'users:read'], role: undefined, expires_at };
    const maker = await make({ ...bound, allowed_addresses: ['127.0.0.0/8', '::1'], requests_per_minute: 100 });
    const free = await make({ role: undefined, scopes: ['users:read'] });
    const scopes = ['users:read'];
    const within = { scopes, expires_at, allowed_addresses: ['127.0.0.1', '127.1.0.0/16'], requests_per_minute: 100 };
    for (const wanted of [
      { ...within, expires_at: undefined },
      { ...within, expires_at: new Date(Date.now() + 120_000).toISOString() },
      { ...within, allowed_addresses: undefined },
      { ...within, allowed_addresses: ['127.0.0.1', '10.0.0.1'] },
      { ...within, allowed_addresses: ['126.0.0.0/7'] },
      { ...within, allowed_addresses: ['::/64'] },
      { ...within, requests_per_minute: undefined },
      { ...within, requests_per_minute: 101 },
    ]) {
      const refused = await call(maker.secret!, 'POST', '/v1/api-keys', { name: 'more', reason: 'more', ...wanted });
      expect(answer(refused)).toBe('403 insufficient_scope');
    }
    await make({ ...within, role: undefined }, maker.secret!);
    const stolen = await call(maker.secret!, 'POST', `/v1/api-keys/${free.id}/rotate`, { reason: 'mine now' });
    expect(answer(stolen)).toBe('403 insufficient_scope');
  });

  it('end when they expire', async () => {
    const key = await make({ expires_at: new Date(Date.now() + 1_500).toISOString() });
    expect(answer(await read(key.secret!))).toBe(200);
    await delay(1_600);
    expect(answer(await read(key.secret!))).toBe('401 unauthenticated');
    const past = { name: 'late', role: 'reader', reason: 'x', expires_at: '2020-01-01T00:00:00Z' };
    expect(answer(await call(operator, 'POST', '/v1/api-keys', past))).toBe('422 validation_failed');
  });

  it('are good from their addresses alone', async () => {
    const here = await make({ allowed_addresses: ['10.0.0.0/8', '127.0.0.0/8'] });
    const elsewhere = await make({ allowed_addresses: ['10.0.0.0/8', '::1'] });
    expect(answer(await read(here.secret!))).toBe(200);
    expect(answer(await read(elsewhere.secret!))).toBe('403 address_not_allowed');
    const forged = { 'x-forwarded-for': '10.0.0.1', forwarded: 'for=10.0.0.1' };
    expect(answer(await call(elsewhere.secret!, 'GET', '/v1/wallets', undefined, forged))).toBe(
      '403 address_not_allowed',
    );
  });

  it('get a new secret while the old one is still good, and stay the same caller', async () => {
    const key = await make();
    const user = { phone_number: '+919812355555' };
    const posted = await call<{ id: string }>(key.secret!, 'POST', '/v1/users', user, { 'idempotency-key': 'mine' });
    const rotated = expectStatus(
      201,
      await call(
        operator,
        'POST',
        `/v1/api-keys/${key.id}/rotate`,
        { overlap_seconds: 2, reason: 'yearly' },
        { 'if-match': '"1"' },
      ),
    );
    expect(rotated).toMatchObject({ id: key.id, version: 2 });
    expect([answer(await read(key.secret!)), answer(await read(rotated.secret!))]).toEqual([200, 200]);
    const repeated = await call<{ id: string }>(rotated.secret!, 'POST', '/v1/users', user, {
      'idempotency-key': 'mine',
    });
    expect([repeated.headers.get('idempotency-replayed'), repeated.body.id]).toEqual(['true', posted.body.id]);
    await delay(2_100);
    expect([answer(await read(key.secret!)), answer(await read(rotated.secret!))]).toEqual([
      '401 unauthenticated',
      200,
    ]);
    const stale = await call(operator, 'POST', `/v1/api-keys/${key.id}/rotate`, { reason: 'x' }, { 'if-match': '"1"' });
    expect(answer(stale)).toBe('412 precondition_failed');
  });

  it('are revoked at once where it is done, and everywhere within five seconds', async () => {
    const second = await startOther();
    const key = await make();
    expect([answer(await read(key.secret!)), answer(await read(key.secret!, second))]).toEqual([200, 200]);
    expectStatus(201, await call(operator, 'POST', `/v1/api-keys/${key.id}/revoke`, { reason: 'leaked' }));
    const revokedAt = Date.now();
    expect(answer(await read(key.secret!))).toBe('401 unauthenticated');
    // In use all the while there: a good answer is remembered until the process looks again.
    while (answer(await read(key.secret!, second)) === 200) {
      expect(Date.now() - revokedAt).toBeLessThan(5_000);
      await delay(20);
    }
    expect(answer(await read(key.secret!, second))).toBe('401 unauthenticated');
    const again = await call(operator, 'POST', `/v1/api-keys/${key.id}/revoke`, { reason: 'leaked' });
    expect(answer(again)).toBe('409 api_key_ended');
  });

  it('tell when they were last used, after a while or when the service stops', async () => {
    const second = await startOther();
    const key = await make();
    await read(key.secret!, second);
    await second.stop();
    other = undefined;
    const { last_used_at, version } = (await call<ApiKeyBody>(operator, 'GET', `/v1/api-keys/${key.id}`)).body;
    expect(Date.now() - Date.parse(last_used_at!)).toBeLessThan(70_000);
    expect(version).toBe(1);
  });

  it('stand in the audit log with who made, renewed and revoked them, and why', async () => {
    const key = await make({ reason: 'For the checkout' });
    await call(operator, 'POST', `/v1/api-keys/${key.id}/rotate`, { reason: 'New laptop' });
    await call(operator, 'POST', `/v1/api-keys/${key.id}/revoke`, { reason: 'Not needed' });
    const { body } = await call<{ data: AuditEntryBody[] }>(operator, 'GET', `/v1/audit-log?object_id=${key.id}`);
    expect(body.data.map(({ action, reason }) => [action, reason])).toEqual([
      ['api_key.revoked', 'Not needed'],
      ['api_key.rotated', 'New laptop'],
      ['api_key.created', 'For the checkout'],
    ]);
    expect(new Set(body.data.map(({ actor }) => actor)).size).toBe(1);
    const without = await call(operator, 'POST', `/v1/api-keys/${key.id}/revoke`, {});
    expect(answer(without)).toBe('422 validation_failed');
  });

  it.each([
    ['another prefix', () => newSecret().replace('asper_key_', 'other_key_')],
    ['one that was never made', newSecret],
    ['a mistyped one', () => operator.replace(/.$/, (last) => (last === '0' ? '1' : '0'))],
    ['half of one', () => operator.slice(0, 30)],
  ])('are refused: %s', async (_, secret) => {
    expect(answer(await read(secret()))).toBe('401 unauthenticated');
  });
});
