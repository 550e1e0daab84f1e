import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { hash } from 'node:crypto';
import { maskPhoneNumber } from '../src/auth/mask.js';
import { expectStatus } from './support/client.js';
import { startService, type Service } from './support/service.js';
import { askForCode, as, Gateway, signIn, statusOf, tryCode, wrongOf } from './support/sign-in.js';

const NOBODY = '+14155559999';

const METRICS_TOKEN = 'a-token-of-the-metrics-only';

describe('one-time codes', () => {
  let gateway: Gateway;
  let service: Service;
  let said = '';
  beforeAll(async () => {
    gateway = await Gateway.start();
    service = await startService(gateway.env({ LOG_LEVEL: 'debug', METRICS_TOKEN }), { quiet: true });
    service.process.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString()));
  });
  afterEach(async () => {
    gateway.answer = (response) => response.end();
    expect([gateway.badSignatures, await service.database.problems()]).toEqual([0, []]);
  });
  afterAll(async () => {
    await service.stop();
    await gateway.stop();
  });

  /** A user, a code that they asked for, and what the gateway was told. */
  async function asked() {
    const user = await service.api.newUser();
    const { id, expires_at } = expectStatus(201, await askForCode(service, user.phone_number));
    return { user, expires_at, ...(await gateway.message(id)) };
  }

  /** 100 tries that truly meet: the row is locked until five of them wait for it. */
  async function atOnce(id: string, codeOf: (n: number) => string) {
    const locked = 'SELECT FROM one_time_codes WHERE id = $1 FOR UPDATE';
    const send = async () => {
      const replies = Array.from({ length: 100 }, (_, n) => tryCode(service, id, codeOf(n)));
      await service.database.locksAwaited(5);
      return { replies };
    };
    const { replies } = await service.database.holding(locked, send, [id]);
    return Promise.all(replies);
  }

  it('sends six digits, signed, and trades them for a session', async () => {
    const { user, id, code, phoneNumber, expiresAt, expires_at } = await asked();
    expect([phoneNumber, code, expiresAt]).toEqual([user.phone_number, expect.stringMatching(/^\d{6}$/), expires_at]);
    const reply = await tryCode(service, id, code, { 'user-agent': 'Phone/1.0' });
    expect([reply.status, reply.headers.get('cache-control')]).toEqual([201, 'no-store']);
    expect(reply.body).toMatchObject({ token_type: 'Bearer', expires_in: 600, user_id: user.id });
    expect(reply.body.refresh_token).toMatch(/^asper_rt_[\w-]{43}$/);
    const { data } = expectStatus(
      200,
      await as<{ data: unknown[] }>(service, reply.body.access_token, 'GET', '/v1/auth/sessions'),
    );
    expect(data).toEqual([
      expect.objectContaining({
        ...{ id: reply.body.session_id, user_agent: 'Phone/1.0', address: '127.0.0.1', is_current: true },
        expires_at: expect.any(String),
      }),
    ]);
  });

  it('is good once, also for 100 who send the right code at once', async () => {
    const { user, id, code } = await asked();
    const replies = await atOnce(id, () => code);
    const [{ tries }] = await service.database.query('SELECT tries FROM one_time_codes WHERE id = $1', [id]);
    expect([2, 3, 4, 5]).toContain(tries); // or they were not at once
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(1);
    const refused = replies.filter(({ status }) => status === 401).map(({ body }) => `${body.code} ${body.detail}`);
    expect([refused.length, new Set(refused).size]).toEqual([99, 1]);
    const sessions = await service.database.query('SELECT FROM sessions WHERE user_id = $1', [user.id]);
    expect(sessions).toHaveLength(1);
    expect((await tryCode(service, id, code)).body.code).toBe('code_refused');
  });

  it('takes five tries, also of 100 at once, and then not even the right code', async () => {
    const { id, code } = await asked();
    const replies = await atOnce(id, (n) => wrongOf(code, n + 1));
    expect(new Set(replies.map(({ status, body }) => `${status} ${body.code}`))).toEqual(new Set(['401 code_refused']));
    expect(await service.database.query('SELECT tries FROM one_time_codes WHERE id = $1', [id])).toEqual([
      { tries: 5 },
    ]);
    expect((await tryCode(service, id, code)).body.code).toBe('code_refused');
    const other = await asked();
    for (let n = 1; n <= 4; n++) await tryCode(service, other.id, wrongOf(other.code, n));
    expect((await tryCode(service, other.id, other.code)).status).toBe(201);
  });

  it('is good for five minutes', async () => {
    const { id, code } = await asked();
    const [{ seconds }] = await service.database.query(
      'SELECT extract(epoch FROM expires_at - created_at)::int AS seconds FROM one_time_codes WHERE id = $1',
      [id],
    );
    expect(seconds).toBe(300);
    await service.database.query(`UPDATE one_time_codes SET expires_at = now() - interval '1 ms' WHERE id = $1`, [id]);
    expect((await tryCode(service, id, code)).body.code).toBe('code_refused');
  });

  it('is refused alike whatever is wrong with it, and of another request is none', async () => {
    const [one, other] = [await asked(), await asked()];
    const details = new Set<string>();
    for (const [id, code] of [
      [one.id, wrongOf(one.code)],
      [one.id, other.code === one.code ? wrongOf(one.code, 2) : other.code],
      ['0199a3c2-8d02-7a5c-8b30-4f1e0d9c8b21', one.code],
    ] as const) {
      const { status, body } = await tryCode(service, id, code);
      details.add(`${status} ${body.code} ${body.detail}`);
    }
    expect(details.size).toBe(1);
    for (const [id, code, field] of [
      [one.id, '12345', 'code'],
      [one.id, '1234567', 'code'],
      ['x', '123456', 'code_id'],
    ] as const) {
      expect((await tryCode(service, id, code)).body).toMatchObject({ status: 422, errors: [{ field }] });
    }
    expect((await askForCode(service, 'abc')).body).toMatchObject({ errors: [{ field: 'phone_number' }] });
  });

  it('answers known and unknown numbers alike in status, headers, body and time, and sends to the known', async () => {
    const { phone_number: known } = await service.api.newUser();
    const times: Record<string, number[]> = { [known]: [], [NOBODY]: [] };
    const looks: Record<string, Set<string>> = { [known]: new Set(), [NOBODY]: new Set() };
    const ids: Record<string, string[]> = { [known]: [], [NOBODY]: [] };
    for (let n = 0; n < 250; n++) {
      // In turns, and each first as often as the other, so that nothing but the number differs.
      for (const number of n % 2 ? [known, NOBODY] : [NOBODY, known]) {
        const startedAt = performance.now();
        const { status, headers, body } = await askForCode(service, number);
        times[number]!.push(performance.now() - startedAt);
        looks[number]!.add(
          JSON.stringify([status, [...headers.keys()].sort(), headers.get('content-length'), Object.keys(body)]),
        );
        ids[number]!.push(body.id);
      }
    }
    expect([...looks[known]!]).toEqual([...looks[NOBODY]!]);
    const [a, b] = [median(times[known]!), median(times[NOBODY]!)];
    console.info(`median of 250: known ${a.toFixed(2)} ms, unknown ${b.toFixed(2)} ms`);
    expect(Math.abs(a - b) < 2 || Math.abs(a - b) < 0.3 * Math.min(a, b)).toBe(true);
    for (const id of ids[known]!) await gateway.message(id);
    expect(gateway.messages.filter(({ phoneNumber }) => phoneNumber === NOBODY)).toEqual([]);
    const rows = await service.database.query('SELECT FROM one_time_codes WHERE phone_number = $1', [NOBODY]);
    expect(rows).toHaveLength(250);
  });

  it('lets no suspended user in, and sends them nothing', async () => {
    const { user, id, code } = await asked();
    await service.database.query(`UPDATE users SET status = 'suspended' WHERE id = $1`, [user.id]);
    expect((await tryCode(service, id, code)).body.code).toBe('code_refused');
    const again = expectStatus(201, await askForCode(service, user.phone_number));
    await asked(); // sent after it
    expect(gateway.messages.filter((message) => message.id === again.id)).toEqual([]);
  });

  it('tries a gateway that fails three times with one id, then gives up, and follows it nowhere', async () => {
    const { phone_number } = await service.api.newUser();
    gateway.answer = (response) => response.writeHead(500).end();
    const { id } = expectStatus(201, await askForCode(service, phone_number));
    for (let waited = 0; waited < 60 && attempts(id) < 3; waited++) await pause(100);
    expect([attempts(id), new Set(gateway.messages.filter((m) => m.id === id).map((m) => m.code)).size]).toEqual([
      3, 1,
    ]);
    gateway.answer = (response) => response.writeHead(307, { location: gateway.url }).end();
    const redirected = expectStatus(201, await askForCode(service, phone_number));
    for (let waited = 0; waited < 60 && attempts(redirected.id) < 3; waited++) await pause(100);
    await pause(300);
    expect(attempts(redirected.id)).toBe(3); // one an attempt
    expect(said).toMatch(/the code for \+91•+\d\d was not sent: the gateway answered 500/);
    const { text } = await as(service, METRICS_TOKEN, 'GET', '/metrics');
    expect(text).toContain('\nasper_codes_total{outcome="failed"} 2\n');
    expect(text).toMatch(/\nasper_codes_total\{outcome="sent"\} [1-9]/);
  });

  it('stands nowhere in the database or the output, nor do numbers and tokens where they need not', async () => {
    const { user, id, code } = await asked();
    const tokens = expectStatus(201, await tryCode(service, id, code));
    await tryCode(service, id, code);
    await service.api.post('/v1/auth/tokens/refresh', { refresh_token: `${tokens.refresh_token.slice(0, -1)}-` });
    const [row] = await service.database.query('SELECT code_hash FROM one_time_codes WHERE id = $1', [id]);
    const kept = (row as { code_hash: Buffer }).code_hash;
    expect(kept).toHaveLength(32);
    const keptHex = kept.toString('hex');
    // Without the key no hash of a million codes is the one that is kept.
    for (let n = 0; n < 1_000_000; n++) {
      const digits = String(n).padStart(6, '0');
      if (hash('sha256', `${id}.${digits}`, 'hex') === keptHex) throw new Error('a plain hash');
    }
    const tables = ['sessions', 'refresh_tokens', 'rate_limits', 'signing_keys', 'audit_log'];
    const dump = (
      await Promise.all(tables.map((table) => service.database.query(`SELECT t::text AS row FROM ${table} t`)))
    )
      .flat()
      .map(({ row }) => row as string)
      .join('\n');
    const secrets = [tokens.access_token, tokens.refresh_token, tokens.refresh_token.slice('asper_rt_'.length)];
    const hexadecimal = Buffer.from(secrets[2]!, 'base64url').toString('hex');
    expect([...secrets, hexadecimal, user.phone_number].filter((secret) => dump.includes(secret))).toEqual([]);
    const output = service.said() + said;
    expect(output).not.toMatch(new RegExp(`(?<!\\d)${code}(?!\\d)`));
    expect([...secrets, user.phone_number].filter((secret) => output.includes(secret))).toEqual([]);
    for (const message of gateway.messages) expect(output.includes(message.phoneNumber)).toBe(false);
  });

  const attempts = (id: string) => gateway.messages.filter((message) => message.id === id).length;
});

it('a masked number keeps its first three characters and its last two', () => {
  expect(['+919876543210', '+12345', '+12'].map(maskPhoneNumber)).toEqual(['+91••••••••10', '+12•45', '+12']);
});

describe('signing in', () => {
  let gateway: Gateway;
  let open: Service | undefined;
  /** A service that takes new users; whoever needs it first starts it. */
  const startOpen = async () => (open ??= await startService(gateway.env({ SIGN_UP: 'open' })));
  beforeAll(async () => void (gateway = await Gateway.start()));
  afterAll(async () => {
    await open?.stop();
    await gateway.stop();
  });

  it('makes a user of whoever proves a new number with SIGN_UP=open, one of 10 at once', async () => {
    const service = await startOpen();
    const signedIn = await Promise.all(Array.from({ length: 10 }, () => signIn(service, gateway, '+14155550123')));
    expect(new Set(signedIn.map(({ user_id }) => user_id)).size).toBe(1);
    const users = await service.database.query('SELECT id, status FROM users WHERE phone_number = $1', [
      '+14155550123',
    ]);
    expect(users).toEqual([{ id: signedIn[0]!.user_id, status: 'active' }]);
  });

  it('is not offered with CODE_SENDER=none', async () => {
    const service = await startService(gateway.env({ CODE_SENDER: 'none' }));
    expect((await askForCode(service, NOBODY)).body).toMatchObject({ status: 501, code: 'sign_in_not_configured' });
    await service.stop();
  });

  it('prints codes for development, to a masked number', async () => {
    const service = await startService({ AUTH_SECRET: gateway.env().AUTH_SECRET!, SIGN_UP: 'open' });
    const { id } = expectStatus(201, await askForCode(service, '+919876543210'));
    await pause(300);
    const code = /^one-time code for \+91•+10: (\d{6})$/m.exec(service.said())![1]!;
    const { access_token } = expectStatus(201, await tryCode(service, id, code));
    expect(await statusOf(service, access_token)).toBe(200);
    await service.stop();
  });

  it('sends what it has promised before it stops', async () => {
    const service = await startOpen();
    let answered = 0;
    gateway.answer = (response) => setTimeout(() => response.end(() => answered++), 700);
    const before = gateway.messages.length;
    await Promise.all(Array.from({ length: 20 }, (_, n) => askForCode(service, `+1415555${1000 + n}`)));
    await service.stop();
    open = undefined;
    expect([gateway.messages.length - before, answered]).toEqual([20, 20]);
  });
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
