/** The log: a line for each request, and nothing in it that is a secret. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../src/database/embedded.system.js';
import { redact } from '../src/telemetry/redact.js';
import { expectStatus, WalletClient } from './support/client.js';
import { newSecret } from './support/secured.js';
import { ENTRY, failedStart, startService, TestDatabase, type Service } from './support/service.js';
import { as, askForCode, Gateway, refresh, signIn, wrongOf } from './support/sign-in.js';

interface Line {
  level: string;
  time: string;
  pid: number;
  msg: string;
  request_id?: string;
  [field: string]: unknown;
}

/** Only there is a device that is always full. */
const onLinux = process.platform === 'linux' ? it : it.skip;
const JSON_LOG = { LOG_FORMAT: 'json', LOG_LEVEL: 'info' };
const linesOf = (service: Service) =>
  service
    .said()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

/** The lines of requests with these ids, when all have come. */
async function requestLines(service: Service, ids: string[]): Promise<Line[]> {
  const wanted = new Set(ids);
  for (let waited = 0; ; waited++) {
    const lines = linesOf(service).filter(({ request_id }) => wanted.has(request_id ?? ''));
    if (lines.length >= ids.length || waited > 200) return lines;
    await delay(10);
  }
}

describe('the log as JSON', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService(JSON_LOG)));
  afterAll(() => service.stop());

  it('has one line for each request, with its id, route, caller, status, time, and size of its group', async () => {
    const { api } = service;
    const { id } = await api.newWallet('100.00');
    const ids = Array.from({ length: 200 }, () => randomUUID());
    await Promise.all(
      ids.map((requestId, i) => {
        const amount = i % 10 === 0 ? '5000.00' : '0.01';
        return api.call('POST', `/v1/wallets/${id}/debits`, { amount }, { 'x-request-id': requestId });
      }),
    );
    const lines = await requestLines(service, ids);
    expect(lines.map(({ request_id }) => request_id).sort()).toEqual(ids.sort());
    const common = { level: 'info', msg: 'request', pid: service.process.pid, method: 'POST', caller: 'operator' };
    for (const line of lines) {
      const isRefused = line.status === 422;
      expect(line).toEqual({
        ...{ ...common, wallet_id: id, route: '/v1/wallets/:wallet_id/debits', address: '127.0.0.1' },
        ...{ request_id: line.request_id, time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) },
        ...{ duration_ms: expect.any(Number), status: isRefused ? 422 : 201 },
        ...(isRefused ? { code: 'insufficient_funds' } : { group_size: expect.any(Number) }),
      });
    }
    expect(lines.filter(({ status }) => status === 422)).toHaveLength(20);
    expect(Math.max(...lines.map(({ group_size }) => Number(group_size ?? 0)))).toBeGreaterThan(10);
  });

  it('tells of callers who hang up, of paths that are none or cannot be read, and not of what machines ask all the time', async () => {
    const { api, database } = service;
    const { id } = await api.newWallet('1.00');
    const requestId = randomUUID();
    const none = randomUUID();
    await database.locking(id, async () => {
      const hasty = request(`${api.url}/v1/wallets/${id}/debits`, {
        method: 'POST',
        headers: { 'x-request-id': requestId, 'content-type': 'application/json' },
      });
      hasty.on('error', () => undefined).end('{"amount":"0.01"}');
      await delay(100);
      hasty.destroy();
      await delay(50);
    });
    await Promise.all([api.get('/health/live'), api.get('/health/ready'), api.get('/metrics')]);
    expect(
      (await api.call('GET', '/wp-login.php?user=+919812345678', undefined, { 'x-request-id': none })).status,
    ).toBe(404);
    const unreadable = randomUUID();
    await api.call('GET', '/%zz', undefined, { 'x-request-id': unreadable });
    const lines = await requestLines(service, [requestId, none, unreadable]);
    expect(lines.find(({ request_id }) => request_id === unreadable)).toMatchObject({
      status: 400,
      code: 'bad_request',
    });
    expect(lines.find(({ request_id }) => request_id === none)).toMatchObject({ route: 'none', code: 'not_found' });
    expect(lines.find(({ request_id }) => request_id === requestId)).toMatchObject({ status: 499 });
    const routes = linesOf(service).map(({ route }) => route);
    expect(routes).not.toContain('/health/live');
    expect(routes).not.toContain('/metrics');
  });
});

describe('the log of two workers, as JSON', () => {
  let lines: Line[];
  beforeAll(async () => {
    const service = await startService({ ...JSON_LOG, WORKERS: '2', DATABASE_POOL_SIZE_MAX: '1000' });
    await service.api.newWallet('1.00');
    await service.stop();
    expect(service.process.exitCode).toBe(0);
    lines = linesOf(service);
  });

  it('has everything on it as an object a line, start and end too', () => {
    expect(lines.map(({ level }) => level)).toEqual(lines.map(() => 'info'));
    expect(lines.some(({ msg }) => /listens on/.test(msg))).toBe(true);
    expect(lines.filter(({ msg }) => msg === 'request')).toHaveLength(4);
  });

  it('says beforehand that their pools want more connections than the database has', () => {
    const warning = 'WORKERS=2 with DATABASE_POOL_SIZE_MAX=1000 may open 2000 connections';
    const warned = lines.findIndex(({ msg }) => msg.includes(warning));
    expect(warned).toBeGreaterThanOrEqual(0);
    expect(warned).toBeLessThan(lines.findIndex(({ msg }) => /listens on/.test(msg)));
  });
});

describe.each(['json', 'text'])('a log that cannot be written, LOG_FORMAT=%s', (LOG_FORMAT) => {
  /** Serves, complains of something, serves on, and ends in order. */
  async function provoke(database: TestDatabase, api: WalletClient, child: ChildProcess): Promise<void> {
    await database.query('ALTER TABLE users RENAME TO gone');
    for (let n = 0; n < 3; n++) expectStatus(500, await api.get(`/v1/users/${randomUUID()}`));
    await delay(200);
    expect((await api.get('/health/live')).status).toBe(200);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  }

  it('does not end the service where its reader is gone', async () => {
    const service = await startService({ LOG_FORMAT, LOG_LEVEL: 'info' }, { quiet: true });
    service.process.stdout!.destroy();
    service.process.stderr!.destroy();
    await provoke(service.database, service.api, service.process);
    await service.stop();
  });

  onLinux('does not end or hold up the service where the disk is full', async () => {
    const database = await TestDatabase.create();
    const port = await freePort();
    const full = await open('/dev/full', 'w');
    const child = spawn(process.execPath, [ENTRY], {
      env: { PATH: process.env.PATH, PORT: String(port), DATABASE_URL: database.url, LOG_FORMAT, LOG_LEVEL: 'info' },
      stdio: ['ignore', full.fd, full.fd],
    });
    const api = new WalletClient(`http://127.0.0.1:${port}`);
    const isUp = () =>
      api.get('/health/live').then(
        () => true,
        () => false,
      );
    for (const until = Date.now() + 20_000; !(await isUp()) && Date.now() < until;) await delay(100);
    await provoke(database, api, child);
    await full.close();
    await database.drop();
  });
});

describe.each(['json', 'text'])('twenty planted secrets, LOG_FORMAT=%s', (LOG_FORMAT) => {
  it('are not in the log at its most talkative (S12)', async () => {
    const gateway = await Gateway.start();
    const metricsToken = randomBytes(20).toString('hex');
    const receiptKey = newSecret();
    const env = gateway.env({ LOG_FORMAT, LOG_LEVEL: 'debug', METRICS_TOKEN: metricsToken, RECEIPT_KEY: receiptKey });
    const service = await startService(env, { quiet: true });
    const { api, database } = service;
    const user = await api.newUser();
    const tokens = await signIn(service, gateway, user.phone_number);
    const next = expectStatus(201, await refresh(service, tokens.refresh_token));
    const { secret: apiKey } = expectStatus(
      201,
      await api.post<{ secret: string }>('/v1/api-keys', { name: 'n', scopes: ['wallets:read'], reason: 'a test' }),
    );
    const { secret: webhookSecret } = expectStatus(
      201,
      await api.post<{ secret: string }>('/v1/webhook-endpoints', { url: 'http://127.0.0.1:9/hook' }),
    );
    const badKey = `${apiKey.slice(0, -1)}${apiKey.endsWith('A') ? 'B' : 'A'}`;
    const planted: Record<string, string> = {
      'phone number of a user': user.phone_number.slice(1),
      'access token': tokens.access_token,
      'refresh token': tokens.refresh_token,
      'its successor': next.refresh_token,
      'API key': apiKey,
      'API key that is not good': badKey,
      'secret of a webhook': webhookSecret,
      'token of the metrics': metricsToken,
      AUTH_SECRET: env.AUTH_SECRET!,
      RECEIPT_KEY: receiptKey,
      CODE_WEBHOOK_SECRET: env.CODE_WEBHOOK_SECRET!,
      'password of DATABASE_URL': new URL(database.url).password || 'none-was-given',
      'number in a query': '919812300001',
      'number in an original call': '9812300002',
      'number in a body that is no JSON': '919812300003',
      'number in a description': '919812300004',
      'number in a database error': '919812300005',
      cookie: 'sid-5b1ce0f3a7',
      'password in a webhook address': 'hunter2-hunter2',
      'password in metadata': 'correct-horse-battery',
    };
    const { id } = expectStatus(201, await askForCode(service, user.phone_number));
    const message = await gateway.message(id);
    expectStatus(401, await api.post('/v1/auth/tokens', { code_id: id, code: wrongOf(message.code) }));
    gateway.answer = (response) => void response.writeHead(500).end('no');
    expectStatus(201, await askForCode(service, user.phone_number));
    await as(service, tokens.access_token, 'GET', '/v1/auth/sessions');
    for (const key of [apiKey, badKey]) await api.call('GET', '/v1/wallets', undefined, { 'x-api-key': key });
    await api.call('GET', '/metrics', undefined, {
      authorization: `Bearer ${metricsToken}`,
      cookie: 'sid=sid-5b1ce0f3a7',
    });
    await api.get(`/v1/users?phone_number=%2B${planted['number in a query']}`);
    await api.post('/create_user', { phone_number: planted['number in an original call'] });
    await api.call('POST', '/v1/users', `{"phone_number": +${planted['number in a body that is no JSON']}`);
    const { id: walletId } = await api.newWallet('5.00');
    await api.debit(walletId, '9.00', {
      description: `+${planted['number in a description']}`,
      metadata: { password: planted['password in metadata'] },
    });
    await api.post('/v1/webhook-endpoints', {
      url: `http://me:${planted['password in a webhook address']}@127.0.0.1/`,
    });
    await database.query(`
      CREATE FUNCTION fail_row() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE 'no room for % of %', NEW.phone_number, 'postgresql://me:hunter2-hunter2@db/x'; END $$;
      CREATE TRIGGER fail_row BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fail_row()`);
    expectStatus(500, await api.post('/v1/users', { phone_number: `+${planted['number in a database error']}` }));
    await delay(300);
    await service.stop();
    await gateway.stop();
    const log = service.said() + service.complained();
    expect(log).toMatch(/no room for \+\*\*\* of postgresql:\/\/\*\*\*@db/);
    expect(Object.keys(planted)).toHaveLength(20);
    expect(Object.entries(planted).filter(([, secret]) => log.includes(secret))).toEqual([]);
    expect(log).not.toMatch(new RegExp(`\\b${message.code}\\b`));
  });
});

describe('what is taken out of the log', () => {
  it.each([
    ['call +91 98123-00001 now', 'call +*** now'],
    ['Key (phone_number)=(+919812300001) exists', 'Key (phone_number)=(+***) exists'],
    ['user 9812300001', 'user ***'],
    ['postgresql://a:b@c@host/db', 'postgresql://***@host/db'],
    ['Bearer abc.def', 'Bearer ***'],
    [`key asper_key_${'x'.repeat(43)}`, 'key asper_key_***'],
  ])('%s', (text, clean) => expect(redact(text)).toBe(clean));

  it.each([
    'wallet 01a2085e-6dcc-7559-b240-4253273974c4 at 2026-11-23T12:25:35.947Z',
    'QueryFailedError: canceling statement due to statement timeout\n    at /srv/app/node_modules/typeorm/driver/pg.js:12:5',
    'a group of 230 failed at attempt 3: 40P01 deadlock detected',
    'at async UsersService.read (file:///srv/of/abcdef/dist/service/chunk-ABCDEFGH.js:643:18)', // 43 characters of a path
  ])('and not: %s', (text) => expect(redact(text)).toBe(text));

  it('says why it did not start, without the password', async () => {
    const { said } = await failedStart({ DATABASE_URL: 'postgresql://me:hunter2-hunter2@127.0.0.1:9/none' });
    expect(said).toContain('The database of DATABASE_URL cannot be used');
    expect(said).not.toContain('hunter2');
  });
});
