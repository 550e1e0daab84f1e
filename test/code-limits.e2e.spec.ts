import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import { networkOf } from '../src/auth/send-limits.js';
import { expectStatus, type Problem, type Reply } from './support/client.js';
import { CommitCutter } from './support/proxy.js';
import { startService, TestDatabase, type Service } from './support/service.js';
import { askForCode, Gateway, refresh, signIn, tryCode } from './support/sign-in.js';

/** 10,000 for the long run. */
const PUMPED = Number(process.env.CODES_PUMPED ?? 400);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('limits of one-time codes', () => {
  let gateway: Gateway;
  let database: TestDatabase;
  /** Two processes with limits that do not meet, as each test has prefixes of its own. The first takes new users. */
  let service: Service;
  let second: Service;
  /** One that answers within a second. */
  let hurried: Service;
  /** One whose limit is used up by a single test. */
  let own: Service | undefined;
  beforeAll(async () => {
    gateway = await Gateway.start();
    database = await TestDatabase.create();
    const limits = { CODES_PER_NUMBER_HOUR: '4', CODES_PER_PREFIX_HOUR: '20', REQUESTS_PER_MINUTE_ADDRESS: '6' };
    const late = { CODES_PER_NUMBER_HOUR: '5', CODES_PER_NUMBER_DAY: '3', REQUEST_DEADLINE_MS: '1000' };
    [service, second, hurried] = await Promise.all([
      startService(gateway.env({ ...limits, SIGN_UP: 'open' }), { database }),
      startService(gateway.env(limits), { database }),
      startService(gateway.env(late), { quiet: true }),
    ]);
  });
  afterEach(async () => {
    await own?.stop();
    own = undefined;
  });
  afterAll(async () => {
    await Promise.all([service.stop(), second.stop(), hurried.stop()]);
    await database.drop();
    await gateway.stop();
  });

  /** Without its last four digits it is a prefix: 10,000 of one. */
  const number = (n: number) => `+9198765${String(n).padStart(5, '0')}`;
  const register = (phoneNumber: string, { database: where }: Service) =>
    where.query(`INSERT INTO users (id, phone_number, status) VALUES (gen_random_uuid(), $1, 'active')`, [phoneNumber]);

  function expectRefused({ status, body, headers }: Reply<Problem>, seconds: number): void {
    expect([status, body.code]).toEqual([429, 'rate_limited']);
    const retryAfter = Number(headers.get('retry-after'));
    expect([retryAfter > seconds - 60, retryAfter <= seconds]).toEqual([true, true]);
  }

  it.each([
    {
      ...{ limit: 'CODES_PER_NUMBER_HOUR', at: () => second, most: 4, seconds: 3_600 },
      ...{ numbers: () => number(10_000), other: number(10_001) },
    },
    {
      ...{ limit: 'CODES_PER_NUMBER_DAY', at: () => hurried, most: 3, seconds: 86_400 },
      ...{ numbers: () => number(10_000), other: number(10_001) },
    },
    {
      ...{ limit: 'CODES_PER_PREFIX_HOUR', at: () => second, most: 20, seconds: 3_600 },
      ...{ numbers: (n: number) => number(20_000 + n), other: number(30_000) },
    },
  ])('$limit holds, says when it ends, and holds others up only where it must', async (row) => {
    const { at, most, seconds, numbers, other } = row;
    await register(numbers(1), at());
    const replies = [];
    for (let n = 1; n <= most + 2; n++) replies.push(await askForCode(at(), numbers(n)));
    expect(replies.map(({ status }) => status)).toEqual([...Array<number>(most).fill(201), 429, 429]);
    expectRefused(replies.at(-1)!, seconds);
    expect((await askForCode(at(), other)).status).toBe(201);
  });

  it('CODES_PER_DAY holds, says when it ends, holds everybody up, and is not used up by numbers that are refused or that nobody has', async () => {
    own = await startService(gateway.env({ CODES_PER_NUMBER_HOUR: '2', CODES_PER_DAY: '3' }));
    for (const n of [1, 2, 3]) await register(number(n), own);
    const sentTo = (n: number) => gateway.messages.filter(({ phoneNumber }) => phoneNumber === number(n)).length;
    const sentBefore = [1, 2].map(sentTo);
    const ask = async (n: number) => (await askForCode(own!, number(n))).status;
    // What is asked for numbers that nobody has is never sent, and costs nothing.
    for (let n = 0; n < 5; n++) expect(await ask(90_000 + 10 * n)).toBe(201);
    for (const status of [201, 201, 429, 429, 429]) expect(await ask(1)).toBe(status);
    expect(await ask(2)).toBe(201);
    for (const [i, n, more] of [
      [0, 1, 2],
      [1, 2, 1],
    ] as const) {
      while (sentTo(n) < sentBefore[i]! + more) await pause(10);
    }
    expectRefused(await askForCode(own, number(3)), 86_400);
    expectRefused(await askForCode(own, number(91_000)), 86_400);
  });

  it('are shared by all processes', async () => {
    const replies = [];
    for (let n = 0; n < 4; n++)
      for (const one of [service, second]) replies.push(await askForCode(one, number(40_000)));
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(4);
  });

  it(`hold while ${PUMPED} numbers of one prefix are pumped, 200 at a time`, async () => {
    const pumped = (n: number) => number(50_000 + n);
    const statuses: number[] = [];
    for (let n = 0; n < PUMPED; n += 200) {
      const replies = await Promise.all(Array.from({ length: 200 }, (_, i) => askForCode(service, pumped(n + i))));
      statuses.push(...replies.map(({ status }) => status));
    }
    expect(statuses.filter((status) => status === 201)).toHaveLength(20);
    expect(statuses.filter((status) => status === 429)).toHaveLength(PUMPED - 20);
    await pause(500);
    const prefix = pumped(0).slice(0, -4);
    expect(gateway.messages.filter(({ phoneNumber }) => phoneNumber.startsWith(prefix))).toHaveLength(20);
    const codes = await database.query('SELECT FROM one_time_codes WHERE starts_with(phone_number, $1)', [prefix]);
    expect(codes).toHaveLength(20);
  }, 180_000);

  it('CODES_PER_ADDRESS_HOUR holds, says when it ends, and holds the address up, also where it claims to be another one with each request', async () => {
    own = await startService(gateway.env({ CODES_PER_ADDRESS_HOUR: '10' }));
    await register(number(0), own);
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        askForCode(own!, number(n * 10), {
          'x-forwarded-for': `203.0.113.${n}`,
          'x-real-ip': `203.0.113.${n}`,
          forwarded: `for=203.0.113.${n}`,
        }),
      ),
    );
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(10);
    expectRefused(await askForCode(own, number(90_000)), 3_600);
  });

  it('also count codes and refresh tokens that are tried', async () => {
    const replies = [];
    for (let n = 0; n < 4; n++) {
      replies.push(await tryCode(service, '0199a3c2-8d02-7a5c-8b30-4f1e0d9c8b21', '123456'));
      replies.push(await service.api.post('/v1/auth/tokens/refresh', { refresh_token: 'asper_rt_x' }));
    }
    expect(replies.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 401, 429, 429]);
    expect(Number(replies[7]!.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  });

  it('are 100 under way: a gateway that hangs holds up whoever asks next, known or not, and nothing else', async () => {
    const hanging: ServerResponse[] = [];
    gateway.answer = (response) => hanging.push(response);
    const ask = (n: number) => askForCode(service, `+9197${String(n).padStart(4, '0')}0000`); // each has a prefix of its own
    const replies = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(n)));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    const { status, body, headers } = await ask(100);
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'overloaded', '5']);
    expect((await service.api.get('/health/ready')).status).toBe(200);
    gateway.answer = (response) => response.end();
    for (const response of hanging) response.end();
    while ((await ask(101)).status === 503) await pause(20);
  });

  it('count nothing, send nothing and use nothing up where the answer has gone out already', async () => {
    for (const n of [1, 2, 3]) await register(number(n), hurried);
    const { refresh_token } = await signIn(hurried, gateway, number(1));
    const { id } = expectStatus(201, await askForCode(hurried, number(2)));
    const { code } = await gateway.message(id);

    await hurried.database.query('BEGIN; LOCK TABLE rate_limits');
    const late = await Promise.all([
      ...Array.from({ length: 3 }, () => askForCode(hurried, number(3))),
      ...[tryCode(hurried, id, code), refresh(hurried, refresh_token)],
    ]);
    await hurried.database.query('ROLLBACK');
    expect(late.map(({ status, body }) => `${status} ${body.code}`)).toEqual(Array(5).fill('503 deadline_exceeded'));
    await pause(500); // what was in the middle of it goes on until it asks
    expect(gateway.messages.filter(({ phoneNumber }) => phoneNumber === number(3))).toEqual([]);
    expect(await hurried.database.query('SELECT FROM refresh_tokens WHERE used_at IS NOT NULL')).toEqual([]);
    // As many as a number has in a day.
    for (let n = 0; n < 3; n++) expect((await askForCode(hurried, number(3))).status).toBe(201);
    expect((await tryCode(hurried, id, code)).status).toBe(201);
    expect((await refresh(hurried, refresh_token)).status).toBe(201);
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
