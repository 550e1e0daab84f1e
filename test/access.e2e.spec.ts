/** S1: every route, by every kind of caller. The matrix is made from the OpenAPI document, so a new route is in it. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Access } from '../src/auth/access.js';
import { ALL_SCOPES, type Scope } from '../src/auth/scopes.js';
import { expectStatus, type Reply } from './support/client.js';
import { insertKey } from './support/keys.js';
import { bearer, sameAs, signIn, startSecured } from './support/secured.js';
import type { Service } from './support/service.js';

interface Operation {
  'x-access': Access;
  security?: Array<Record<string, string[]>>;
  parameters?: Array<{ name: string; in: string }>;
}
interface Call {
  at: string;
  method: string;
  path: string;
  access: Access;
  mayDryRun: boolean;
}

const OWNER = '+919812300001';
const OTHER = '+919812300002';

describe('the access matrix', () => {
  let service: Service;
  let calls: Call[];
  let operator: string;
  let owner: { token: string; userId: string };
  let other: { token: string; userId: string };
  /** The owner's objects by the names of path parameters. */
  let objects: Record<string, string>;
  /** What any caller may name: nobody's. */
  const absent: Record<string, string> = {
    ...{ wallet_id: randomUUID(), user_id: randomUUID(), hold_id: randomUUID(), transaction_id: randomUUID() },
    schedule_id: randomUUID(),
    ...{ session_id: randomUUID(), key_id: randomUUID(), key: 'never-used', seq: '1', code: 'not_found' },
  };

  const as = <Body = never>(credential: string | undefined, method: string, path: string, body?: unknown) =>
    service.api.call<Body>(method, path, body, credential === undefined ? {} : bearer(credential));

  beforeAll(async () => {
    service = await startSecured({ REQUESTS_PER_MINUTE_KEY: '0' });
    operator = (await insertKey(service.database, { scopes: ALL_SCOPES })).secret;
    const post = async <Body>(path: string, body: unknown) =>
      expectStatus(201, await as<Body>(operator, 'POST', path, body));
    const person = async (phone_number: string) => {
      const { id } = await post<{ id: string }>('/v1/users', { phone_number });
      return { userId: id, token: (await signIn(service, phone_number)).access_token };
    };
    owner = await person(OWNER);
    other = await person(OTHER);
    const { id: wallet_id } = await post<{ id: string }>('/v1/wallets', {
      user_id: owner.userId,
      minimum_balance: '0',
    });
    const { id: transaction_id } = await post<{ id: string }>(`/v1/wallets/${wallet_id}/credits`, { amount: '50.00' });
    const { id: hold_id } = await post<{ id: string }>(`/v1/wallets/${wallet_id}/holds`, { amount: '10.00' });
    const to = await post<{ id: string }>('/v1/wallets', { label: 'the house', minimum_balance: '0' });
    const { id: schedule_id } = expectStatus(
      201,
      await as<{ id: string }>(owner.token, 'POST', '/v1/schedules', {
        ...{ from_wallet_id: wallet_id, to_wallet_id: to.id, amount: '1.00' },
        ...{ every: 'monthly', starts_at: new Date(Date.now() + 3_600_000).toISOString() },
      }),
    );
    objects = { ...absent, user_id: owner.userId, wallet_id, transaction_id, hold_id, schedule_id };
    const { body: document } = await as<{ paths: Record<string, Record<string, Operation>> }>(
      operator,
      'GET',
      '/docs-json',
    );
    calls = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        at: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path,
        access: operation['x-access'],
        mayDryRun: operation.parameters?.some(({ name }) => name === 'dry_run') ?? false,
      })),
    );
  });
  afterAll(() => service.stop());

  /** A call with the ids of some objects and nothing else: whoever is let in meets at worst the validation. */
  const send = ({ method, path, mayDryRun }: Call, credential: string | undefined, ids: Record<string, string>) => {
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => ids[name]!);
    return as<{ code: string }>(credential, method, `${filled}${mayDryRun ? '?dry_run=true' : ''}`);
  };
  const codes = async (which: Call[], credential: string | undefined, ids = objects) => {
    const answers: Record<string, string> = {};
    for (const call of which) {
      const { status, body } = await send(call, credential, ids);
      answers[call.at] = status < 400 ? 'let in' : `${status} ${body.code}`;
    }
    return answers;
  };
  const all = (which: Call[], answer: string) => Object.fromEntries(which.map(({ at }) => [at, answer]));
  const of = (kind: Access['kind']) => calls.filter(({ access }) => access.kind === kind);
  const scoped = () => of('scope') as Array<Call & { access: Extract<Access, { kind: 'scope' }> }>;
  const isRefused = (answer: string) => /^(401|403) /.test(answer);

  it('knows of every route who may call it', () => {
    expect(calls.filter(({ access }) => !access).map(({ at }) => at)).toEqual([]);
    expect(scoped().length).toBeGreaterThan(30);
    expect(new Set(scoped().map(({ access }) => access.scope))).toEqual(new Set(ALL_SCOPES));
  });

  it('lets nobody in but to the public routes', async () => {
    const closed = calls.filter(({ access }) => access.kind !== 'public');
    expect(await codes(closed, undefined)).toEqual(all(closed, '401 unauthenticated'));
    for (const [at, answer] of Object.entries(await codes(of('public'), undefined))) {
      // A sign-in with nothing in it is no sign-in.
      expect([at, isRefused(answer)]).toEqual([at, false]);
    }
  });

  it('lets an API key in with the one scope that a route needs, and not with all others', async () => {
    for (const scope of ALL_SCOPES) {
      const needing = scoped().filter(({ access }) => access.scope === scope);
      const only = (await insertKey(service.database, { scopes: [scope] })).secret;
      const others = ALL_SCOPES.filter((other): other is Scope => other !== scope);
      const without = (await insertKey(service.database, { scopes: others })).secret;
      expect(await codes(needing, without)).toEqual(all(needing, '403 insufficient_scope'));
      for (const [at, answer] of Object.entries(await codes(needing, only))) {
        expect([at, answer, isRefused(answer)]).toEqual([at, answer, false]);
      }
    }
    const persons = of('person');
    expect(await codes(persons, operator)).toEqual(all(persons, '403 forbidden'));
  });

  it('lets an operator into every route of servers and operators', async () => {
    for (const [at, answer] of Object.entries(await codes([...scoped(), ...of('anyone')], operator))) {
      expect([at, isRefused(answer)]).toEqual([at, false]);
    }
  });

  it('lets a person into nothing that is for servers and operators', async () => {
    const closed = scoped().filter(({ access }) => !access.own);
    expect(closed.length).toBeGreaterThan(15);
    expect(await codes(closed, owner.token)).toEqual(all(closed, '403 forbidden'));
  });

  it('lets a person have what is their own', async () => {
    const open = [...scoped().filter(({ access }) => access.own), ...of('anyone')];
    for (const [at, answer] of Object.entries(await codes(open, owner.token))) {
      // 404 only of what the test has not made: a receipt's entry, a used key.
      const isFine = !isRefused(answer) && (!answer.startsWith('404') || /idempotency_key_not_found/.test(answer));
      expect([at, answer, isFine]).toEqual([at, answer, true]);
    }
  });

  it('answers for another person’s object what it answers for none, to the letter', async () => {
    const own = scoped().filter(({ access }) => access.own && access.own !== 'self');
    expect(own.length).toBeGreaterThan(10);
    for (const call of own) {
      const theirs = await send(call, other.token, objects);
      const none = await send(call, other.token, absent);
      const ids = [objects, absent].flatMap((names) => Object.values(names).filter((id) => id.length === 36));
      expect([call.at, theirs.status]).toEqual([call.at, 404]);
      expect([call.at, sameAs(theirs, ...ids)]).toEqual([call.at, sameAs(none, ...ids)]);
    }
  });

  it.each<[string, string, (ids: Record<string, string>) => [string, unknown?]]>([
    ['a list of wallets', 'GET', ({ user_id }) => [`/v1/wallets?user_id=${user_id}`]],
    ['a list of transactions', 'GET', ({ wallet_id }) => [`/v1/transactions?wallet_id=${wallet_id}`]],
    ['a new wallet', 'POST', ({ user_id }) => ['/v1/wallets', { user_id }]],
    [
      'a payer',
      'POST',
      ({ wallet_id }) => [
        '/v1/transfers',
        { from_wallet_id: wallet_id, to_wallet_id: wallet_id?.replace(/^./, 'f'), amount: '1.00' },
      ],
    ],
  ])('answers for another person’s object in %s what it answers for none', async (_, method, request) => {
    const send = (ids: Record<string, string>): Promise<Reply> => as(other.token, method, ...request(ids));
    const ids = [objects, absent].flatMap(({ wallet_id, user_id }) => [wallet_id!, user_id!]);
    const theirs = await send(objects);
    expect(sameAs(theirs, ...ids)).toBe(sameAs(await send(absent), ...ids));
    expect(theirs.text).not.toContain('50.00');
  });
});
