import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LEFTOVERS } from '../src/auth/auth.sweeper.js';
import type { SessionBody, SessionsEndedBody } from '../src/auth/sessions.dto.js';
import type { TokensBody } from '../src/auth/sign-in.dto.js';
import { expectStatus } from './support/client.js';
import { startService, TestDatabase, type Service } from './support/service.js';
import { as, Gateway, refresh, signIn, statusOf } from './support/sign-in.js';

let gateway: Gateway;
let folder: string;
let database: TestDatabase;
let service: Service;
let second: Service;
beforeAll(async () => {
  gateway = await Gateway.start();
  folder = await mkdtemp(path.join(tmpdir(), 'asper-auth-'));
  await chmod(folder, 0o755); // PostgreSQL's account must be able to enter it
  database = await TestDatabase.create();
  const env = gateway.env({ AUTH_SECRET: '', DATA_DIR: folder });
  [service, second] = await Promise.all([
    startService(env, { database, quiet: true }),
    startService(env, { database, quiet: true }),
  ]);
});
afterEach(async () => expect(await service.database.problems()).toEqual([]));
afterAll(async () => {
  await Promise.all([service.stop(), second.stop()]);
  await database.drop();
  await gateway.stop();
  await rm(folder, { recursive: true });
});

const newSession = async () => signIn(service, gateway, (await service.api.newUser()).phone_number);
const again = ({ phone_number }: { phone_number: string }, agent = 'Phone/1.0') =>
  signIn(service, gateway, phone_number, { 'user-agent': agent });
const codeOf = async (token: string, at = service) => (await refresh(at, token)).body.code;
const endOf = async ({ session_id }: TokensBody): Promise<string | null> =>
  (await service.database.query('SELECT end_reason FROM sessions WHERE id = $1', [session_id]))[0].end_reason;
/** As if everything of a session had happened that much earlier. */
const age = async ({ session_id }: TokensBody, interval: string) => {
  await service.database.query(`UPDATE refresh_tokens SET used_at = used_at - $2::interval WHERE session_id = $1`, [
    session_id,
    interval,
  ]);
  await service.database.query(`UPDATE sessions SET last_used_at = last_used_at - $2::interval WHERE id = $1`, [
    session_id,
    interval,
  ]);
};

describe('refresh tokens', () => {
  it('rotate at each use, and are kept as a hash only', async () => {
    let tokens = await newSession();
    const seen = new Set([tokens.refresh_token]);
    for (let n = 0; n < 5; n++) {
      const reply = await refresh(n % 2 ? service : second, tokens.refresh_token);
      expect([reply.status, reply.headers.get('cache-control')]).toEqual([201, 'no-store']);
      expect(reply.body).toMatchObject({ session_id: tokens.session_id, user_id: tokens.user_id });
      tokens = reply.body;
      seen.add(tokens.refresh_token);
      expect(await statusOf(service, tokens.access_token)).toBe(200);
    }
    expect(seen.size).toBe(6);
    const rows = await service.database.query('SELECT hash, successor_salt FROM refresh_tokens WHERE session_id = $1', [
      tokens.session_id,
    ]);
    const hashes = [...seen].map((token) => createHash('sha256').update(token).digest('hex')).sort();
    expect(rows.map(({ hash }: { hash: Buffer }) => hash.toString('hex')).sort()).toEqual(hashes);
  });

  it('give the same successor to 100 at once, in two processes', async () => {
    const { refresh_token, session_id } = await newSession();
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, n) => refresh(n % 2 ? service : second, refresh_token)),
    );
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(replies.map(({ body }) => body.refresh_token)).size).toBe(1);
    expect(replies[0]!.body.refresh_token).not.toBe(refresh_token);
    expect(await service.database.query('SELECT FROM refresh_tokens WHERE session_id = $1', [session_id])).toHaveLength(
      2,
    );
    expect((await refresh(service, replies[0]!.body.refresh_token)).status).toBe(201);
  });

  it('give the same successor again for ten seconds, to whom the answer was lost', async () => {
    const tokens = await newSession();
    const first = expectStatus(201, await refresh(service, tokens.refresh_token));
    await age(tokens, '8 seconds');
    const repeated = expectStatus(201, await refresh(second, tokens.refresh_token));
    expect(repeated.refresh_token).toBe(first.refresh_token);
    expect(await endOf(tokens)).toBeNull();
  });

  it.each([
    { when: 'after ten seconds', later: (tokens: TokensBody) => age(tokens, '11 seconds') },
    {
      when: 'when the successor is in use',
      later: async (_: TokensBody, successor: TokensBody) => {
        expectStatus(201, await refresh(service, successor.refresh_token));
      },
    },
  ])('end the session when one comes again $when, for the thief and the owner', async ({ later }) => {
    const tokens = await newSession();
    const successor = expectStatus(201, await refresh(service, tokens.refresh_token));
    await later(tokens, successor);
    expect(await statusOf(service, successor.access_token)).toBe(200);
    expect(await codeOf(tokens.refresh_token)).toBe('refresh_token_refused');
    expect(await endOf(tokens)).toBe('token_reused');
    expect(await codeOf(successor.refresh_token)).toBe('refresh_token_refused');
    expect(await statusOf(service, successor.access_token)).toBe(401);
    expect(await statusOf(service, tokens.access_token)).toBe(401);
  });

  it('end the session of one that comes late also where the clock of the server was set back in between', async () => {
    const tokens = await newSession();
    expectStatus(201, await refresh(service, tokens.refresh_token));
    await age(tokens, '-1 hour');
    expect(await codeOf(tokens.refresh_token)).toBe('refresh_token_refused');
    expect(await endOf(tokens)).toBe('token_reused');
  });

  it('are refused where they are unknown, of a session that idled or is past its days, or of a suspended user', async () => {
    for (const token of ['asper_rt_', `asper_rt_${'A'.repeat(43)}`, 'x']) {
      expect(await codeOf(token)).toBe('refresh_token_refused');
    }
    const idle = await newSession();
    await age(idle, '30 days');
    const past = await newSession();
    await service.database.query('UPDATE sessions SET expires_at = now() WHERE id = $1', [past.session_id]);
    const suspended = await newSession();
    await service.database.query(`UPDATE users SET status = 'suspended' WHERE id = $1`, [suspended.user_id]);
    for (const { refresh_token } of [idle, past, suspended]) {
      expect(await codeOf(refresh_token)).toBe('refresh_token_refused');
    }
    const almost = await newSession();
    await age(almost, '29 days');
    expect((await refresh(service, almost.refresh_token)).status).toBe(201);
  });

  it('last as long as the session at most, however often it is renewed', async () => {
    const tokens = await newSession();
    const days = (until: string) => (Date.parse(until) - Date.now()) / 86_400_000;
    expect(days(tokens.refresh_expires_at)).toBeCloseTo(30, 2);
    await service.database.query(`UPDATE sessions SET expires_at = now() + interval '2 days' WHERE id = $1`, [
      tokens.session_id,
    ]);
    const renewed = expectStatus(201, await refresh(service, tokens.refresh_token));
    expect(days(renewed.refresh_expires_at)).toBeCloseTo(2, 2);
  });
});

describe('sessions', () => {
  const list = async (token: string) =>
    expectStatus(200, await as<{ data: SessionBody[] }>(service, token, 'GET', '/v1/auth/sessions')).data;
  const end = (token: string, method: string, path: string, at = service) =>
    as<SessionsEndedBody>(at, token, method, `/v1/auth/${path}`);

  it('are listed to their person, newest first, and ended one by one', async () => {
    const user = await service.api.newUser();
    const phone = await again(user, 'Phone/1.0');
    const laptop = await again(user, `Laptop/${'x'.repeat(300)}`);
    await newSession();
    expect(
      (await list(phone.access_token)).map(({ id, is_current, user_agent }) => [id, is_current, user_agent]),
    ).toEqual([
      [laptop.session_id, false, `Laptop/${'x'.repeat(193)}`],
      [phone.session_id, true, 'Phone/1.0'],
    ]);
    const page = await as<{ data: SessionBody[]; next_cursor: string }>(
      service,
      phone.access_token,
      'GET',
      '/v1/auth/sessions?limit=1',
    );
    expect([page.body.data[0]!.id, page.body.next_cursor]).toEqual([laptop.session_id, expect.any(String)]);
    expect(await statusOf(service, laptop.access_token)).toBe(200);
    const ended = await end(phone.access_token, 'DELETE', `sessions/${laptop.session_id}`);
    expect([ended.status, ended.body]).toEqual([200, { ended_sessions: 1 }]);
    expect([await statusOf(service, laptop.access_token), await codeOf(laptop.refresh_token)]).toEqual([
      ...[401, 'refresh_token_refused'],
    ]);
    expect((await list(phone.access_token)).map(({ id }) => id)).toEqual([phone.session_id]);
  });

  it('of somebody else are like those that do not exist', async () => {
    const [mine, theirs] = [await newSession(), await newSession()];
    const replies = [
      await end(mine.access_token, 'DELETE', `sessions/${theirs.session_id}`),
      await end(mine.access_token, 'DELETE', 'sessions/0199a3c2-8d02-7a5c-8b30-4f1e0d9c8b21'),
    ];
    const looks = replies.map(({ status, body }) => [status, body.code, body.detail.replace(/[0-9a-f-]{36}/, '…')]);
    expect(looks).toEqual([looks[1], [404, 'session_not_found', 'There is no session ….']]);
    expect(await statusOf(service, theirs.access_token)).toBe(200);
  });

  it('end at logout: here at once, in another process within five seconds', async () => {
    const [tokens, other] = [await newSession(), await newSession()];
    // Twice: the second one makes it ask what has ended, so that it has just asked when the session ends.
    for (let n = 0; n < 2; n++) expect(await statusOf(second, tokens.access_token)).toBe(200);
    expect((await end(tokens.access_token, 'POST', 'logout')).body).toEqual({ ended_sessions: 1 });
    expect(await statusOf(service, tokens.access_token)).toBe(401);
    const endedAt = performance.now();
    while ((await statusOf(second, tokens.access_token)) === 200) {
      expect(performance.now() - endedAt).toBeLessThan(5_000);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    console.info(`another process refused it after ${Math.round(performance.now() - endedAt)} ms`);
    expect(await codeOf(tokens.refresh_token, second)).toBe('refresh_token_refused');
    expect([await endOf(tokens), await statusOf(second, other.access_token)]).toEqual(['logout', 200]);
  });

  it('let nobody in after their days, however long the access token says and though it is known', async () => {
    const tokens = await newSession();
    await service.database.query(`UPDATE sessions SET expires_at = now() + interval '1500 ms' WHERE id = $1`, [
      tokens.session_id,
    ]);
    expect(await statusOf(service, tokens.access_token)).toBe(200);
    await delay(1_600);
    expect(await statusOf(service, tokens.access_token)).toBe(401);
  });

  it('end on every device at once', async () => {
    const user = await service.api.newUser();
    const devices = [await again(user), await again(user), await again(user)];
    const bystander = await newSession();
    expect((await end(devices[0]!.access_token, 'POST', 'logout-everywhere')).body).toEqual({ ended_sessions: 3 });
    for (const device of devices) {
      expect([await statusOf(service, device.access_token), await codeOf(device.refresh_token)]).toEqual([
        ...[401, 'refresh_token_refused'],
      ]);
    }
    expect(await statusOf(service, bystander.access_token)).toBe(200);
  });

  it('end where the user gets another phone number, which is written down', async () => {
    const user = await service.api.newUser();
    const device = await again(user);
    const change = (body: object) => service.api.call('PATCH', `/v1/users/${user.id}`, body);
    expectStatus(200, await change({ phone_number: user.phone_number, metadata: { a: 1 } }));
    expect(await service.api.actsOn(user.id)).toEqual([]);
    const phone_number = `${user.phone_number.slice(0, 3)}70${user.phone_number.slice(5)}`;
    expectStatus(200, await change({ phone_number, reason: 'a new SIM' }));
    expect([await statusOf(service, device.access_token), await codeOf(device.refresh_token)]).toEqual([
      ...[401, 'refresh_token_refused'],
    ]);
    expect(await service.api.actsOn(user.id)).toMatchObject([
      { action: 'user.phone_number_changed', reason: 'a new SIM', details: { sessions_ended: 1 } },
    ]);
  });

  it('are ended by an operator, who says why, and it is written down', async () => {
    const user = await service.api.newUser();
    const devices = [await again(user), await again(user)];
    const path = `/v1/users/${user.id}/sessions/end`;
    const body = { reason: 'The phone was stolen' };
    const reply = await service.api.post<SessionsEndedBody>(path, body, `end-${user.id}`);
    expect([reply.status, reply.body]).toEqual([201, { ended_sessions: 2 }]);
    const replayed = await service.api.post<SessionsEndedBody>(path, body, `end-${user.id}`);
    expect([replayed.text, replayed.headers.get('idempotency-replayed')]).toEqual([reply.text, 'true']);
    for (const { access_token } of devices) expect(await statusOf(service, access_token)).toBe(401);
    const written = await service.database.query(
      'SELECT actor, action, object_type, reason, details FROM audit_log WHERE object_id = $1',
      [user.id],
    );
    expect(written).toEqual([
      {
        actor: 'operator',
        action: 'sessions.ended',
        object_type: 'user',
        reason: body.reason,
        details: { sessions: 2 },
      },
    ]);
    const nobody = await service.api.post<{ code: string }>(path.replace(user.id, devices[0]!.session_id), body);
    expect(nobody.body.code).toBe('user_not_found');
    expect((await service.api.post(path, {})).status).toBe(422);
    const asPerson = await as(service, (await again(user)).access_token, 'POST', path, body);
    expect([asPerson.status, asPerson.body.code]).toEqual([403, 'forbidden']);
  });

  it('and codes leave nothing behind in the end', async () => {
    const [kept, old] = [await newSession(), await newSession()];
    await refresh(service, old.refresh_token);
    await service.database.query(
      `UPDATE sessions SET ended_at = now() - interval '31 days', end_reason = 'logout' WHERE id = $1`,
      [old.session_id],
    );
    const ids = await service.database.query('SELECT id FROM one_time_codes ORDER BY id');
    await service.database.query(`UPDATE one_time_codes SET expires_at = now() - interval '25 hours' WHERE id = $1`, [
      ids[0].id,
    ]);
    for (const statement of LEFTOVERS) await service.database.query(statement);
    expect(await service.database.query('SELECT id FROM one_time_codes ORDER BY id')).toEqual(ids.slice(1));
    const left = async (table: string, column: string) =>
      service.database.query(`SELECT DISTINCT ${column} AS id FROM ${table} WHERE ${column} = ANY($1)`, [
        [kept.session_id, old.session_id],
      ]);
    expect(await left('sessions', 'id')).toEqual([{ id: kept.session_id }]);
    expect(await left('refresh_tokens', 'session_id')).toEqual([{ id: kept.session_id }]);
    expect((await refresh(service, kept.refresh_token)).status).toBe(201);
  });

  it('need no AUTH_SECRET outside production: one is kept in the data folder', async () => {
    const { access_token } = await newSession();
    expect(await statusOf(second, access_token)).toBe(200);
    expect(Buffer.from(await readFile(path.join(folder, 'auth.key'), 'utf8'), 'base64')).toHaveLength(32);
  });
});
