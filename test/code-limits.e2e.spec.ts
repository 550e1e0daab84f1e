import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { networkOf } from '../src/auth/send-limits.js';
import { expectStatus } from './support/client.js';
import { CommitCutter } from './support/proxy.js';
import { startService, TestDatabase, type Service } from './support/service.js';
import { askForCode, Gateway, refresh, signIn, tryCode } from './support/sign-in.js';

/** 10,000 for the long run. */
const PUMPED = Number(process.env.CODES_PUMPED ?? 1_000);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('limits of one-time codes', () => {
  let gateway: Gateway;
  let service: Service | undefined;
  beforeAll(async () => void (gateway = await Gateway.start()));
  afterEach(async () => {
    await service?.stop();
    service = undefined;
  });
  afterAll(() => gateway.stop());

  const start = async (limits: Record<string, string>) => (service = await startService(gateway.env(limits)));
  const number = (n: number) => `+9198765${String(n).padStart(5, '0')}`;

  it.each([
    { limit: 'CODES_PER_NUMBER_HOUR', seconds: 3_600, numbers: () => number(1), other: number(2) },
    { limit: 'CODES_PER_NUMBER_DAY', seconds: 86_400, numbers: () => number(1), other: number(2) },
    { limit: 'CODES_PER_PREFIX_HOUR', seconds: 3_600, numbers: (n: number) => number(n), other: number(20_000) },
    { limit: 'CODES_PER_ADDRESS_HOUR', seconds: 3_600, numbers: (n: number) => number(n * 10_000), other: undefined },
    { limit: 'CODES_PER_DAY', seconds: 86_400, numbers: (n: number) => number(n * 10_000), other: undefined },
  ])('$limit holds, says when it ends, and holds others up only where it must', async ({ limit, seconds, ...of }) => {
    const { numbers, other } = of;
    const { database } = await start({ [limit]: '3' });
    await database.query(`INSERT INTO users (id, phone_number, status) VALUES (gen_random_uuid(), $1, 'active')`, [
      numbers(1),
    ]);
    const replies = [];
    for (let n = 1; n <= 5; n++) replies.push(await askForCode(service!, numbers(n)));
    expect(replies.map(({ status }) => status)).toEqual([201, 201, 201, 429, 429]);
    const { body, headers } = replies[4]!;
    expect(body.code).toBe('rate_limited');
    const retryAfter = Number(headers.get('retry-after'));
    expect([retryAfter > seconds - 60, retryAfter <= seconds]).toEqual([true, true]);
    if (other) expect((await askForCode(service!, other)).status).toBe(201);
    else expect((await askForCode(service!, number(90_000))).status).toBe(429);
  });

  it('of all numbers together are not used up by one that is refused', async () => {
    await start({ CODES_PER_NUMBER_HOUR: '2', CODES_PER_DAY: '3' });
    const replies = [];
    for (const n of [1, 1, 1, 1, 1, 2, 3]) replies.push(await askForCode(service!, number(n)));
    expect(replies.map(({ status }) => status)).toEqual([201, 201, 429, 429, 429, 201, 429]);
  });

  it('are shared by all processes', async () => {
    const { database } = await start({ CODES_PER_NUMBER_HOUR: '4' });
    const second = await startService(gateway.env({ CODES_PER_NUMBER_HOUR: '4' }), { database });
    const replies = [];
    for (let n = 0; n < 4; n++) for (const one of [service!, second]) replies.push(await askForCode(one, number(1)));
    await second.stop();
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(4);
  });

  it(`hold while ${PUMPED} numbers of one prefix are pumped, 200 at a time`, async () => {
    const { database } = await start({ CODES_PER_PREFIX_HOUR: '20', SIGN_UP: 'open' });
    const before = gateway.messages.length;
    const statuses: number[] = [];
    for (let n = 0; n < PUMPED; n += 200) {
      const replies = await Promise.all(Array.from({ length: 200 }, (_, i) => askForCode(service!, number(n + i))));
      statuses.push(...replies.map(({ status }) => status));
    }
    expect(statuses.filter((status) => status === 201)).toHaveLength(20);
    expect(statuses.filter((status) => status === 429)).toHaveLength(PUMPED - 20);
    await pause(500);
    expect(gateway.messages.length - before).toBe(20);
    expect(await database.query('SELECT FROM one_time_codes')).toHaveLength(20);
  }, 180_000);

  it('hold against an address that claims to be another one with each request', async () => {
    await start({ CODES_PER_ADDRESS_HOUR: '10' });
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        askForCode(service!, number(n * 10), {
          'x-forwarded-for': `203.0.113.${n}`,
          'x-real-ip': `203.0.113.${n}`,
          forwarded: `for=203.0.113.${n}`,
        }),
      ),
    );
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(10);
  });

  it('also count codes and refresh tokens that are tried', async () => {
    await start({ REQUESTS_PER_MINUTE_ADDRESS: '6' });
    const replies = [];
    for (let n = 0; n < 4; n++) {
      replies.push(await tryCode(service!, '0199a3c2-8d02-7a5c-8b30-4f1e0d9c8b21', '123456'));
      replies.push(await service!.api.post('/v1/auth/tokens/refresh', { refresh_token: 'asper_rt_x' }));
    }
    expect(replies.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 401, 429, 429]);
    expect(Number(replies[7]!.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  });

  it('are 100 under way: a gateway that hangs holds up whoever asks next, known or not, and nothing else', async () => {
    service = await startService(gateway.env({ SIGN_UP: 'open' }), { quiet: true });
    gateway.answer = () => undefined;
    const replies = await Promise.all(Array.from({ length: 100 }, (_, n) => askForCode(service!, number(n))));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    const { status, body, headers } = await askForCode(service, number(101));
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'overloaded', '5']);
    expect((await service.api.get('/health/ready')).status).toBe(200);
    gateway.answer = (response) => response.end();
  });

  it('count nothing, send nothing and use nothing up where the answer has gone out already', async () => {
    service = await startService(
      gateway.env({ SIGN_UP: 'open', REQUEST_DEADLINE_MS: '1000', CODES_PER_NUMBER_HOUR: '2' }),
      { quiet: true },
    );
    const { refresh_token } = await signIn(service, gateway, number(1));
    const { id } = expectStatus(201, await askForCode(service, number(2)));
    const { code } = await gateway.message(id);
    const sent = gateway.messages.length;

    await service.database.query('BEGIN; LOCK TABLE rate_limits');
    const late = await Promise.all([
      ...Array.from({ length: 3 }, () => askForCode(service!, number(3))),
      ...[tryCode(service, id, code), refresh(service, refresh_token)],
    ]);
    await service.database.query('ROLLBACK');
    expect(late.map(({ status, body }) => `${status} ${body.code}`)).toEqual(Array(5).fill('503 deadline_exceeded'));
    await pause(500); // what was in the middle of it goes on until it asks
    expect(gateway.messages).toHaveLength(sent);
    expect(await service.database.query('SELECT FROM refresh_tokens WHERE used_at IS NOT NULL')).toEqual([]);
    expect((await askForCode(service, number(3))).status).toBe(201);
    expect((await tryCode(service, id, code)).status).toBe(201);
    expect((await refresh(service, refresh_token)).status).toBe(201);
  });

  it('let nobody through while the database is away', async () => {
    const database = await TestDatabase.create();
    const proxy = await CommitCutter.start(database.url, 'before');
    const away = await startService(gateway.env({ DATABASE_URL: proxy.url }), { database, quiet: true });
    expect((await askForCode(away, number(1))).status).toBe(201);
    await proxy.stop();
    const replies = [
      await askForCode(away, number(2)),
      await tryCode(away, '0199a3c2-8d02-7a5c-8b30-4f1e0d9c8b21', '123456'),
    ];
    expect(replies.map(({ status, body }) => `${status} ${body.code}`)).toEqual(
      Array(2).fill('503 database_unavailable'),
    );
    await away.stop();
    await database.drop();
  });
});

it.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:DB8:1:2::9', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['::1', '0:0:0:0'],
])('the address %s counts as %s', (address, network) => expect(networkOf(address)).toBe(network));
