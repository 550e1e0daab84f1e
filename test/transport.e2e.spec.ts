/** What stands between the network and the routes. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { figure } from '../torture/stage.js';
import { ALL_SCOPES } from '../src/auth/scopes.js';
import { insertKey } from './support/keys.js';
import { bearer, newSecret, startSecured } from './support/secured.js';
import { failedStart, startService, type Service } from './support/service.js';

/** Writes bytes to the service's port, and reads until it hangs up. */
function raw(service: Service, bytes: string): Promise<string> {
  const { port, hostname } = new URL(service.api.url);
  return new Promise((resolve, reject) => {
    let heard = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.setTimeout(5_000, () => socket.destroy(new Error(`no end: ${heard}`)));
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    socket.on('error', reject).on('close', () => resolve(heard));
  });
}

describe('the transport', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService({ CORS_ORIGINS: 'https://app.example.com' })));
  afterAll(() => service.stop());

  it('gives every answer of the API the headers of one: errors too', async () => {
    for (const path of ['/v1/users', '/v1/users/nobody', '/nowhere', '/health/live']) {
      const { headers } = await service.api.get(path);
      expect([path, headers.get('content-security-policy')]).toEqual([
        path,
        "default-src 'none';frame-ancestors 'none'",
      ]);
      expect([path, headers.get('x-content-type-options'), headers.get('cache-control')]).toEqual([
        path,
        'nosniff',
        'no-store',
      ]);
      expect([path, headers.get('referrer-policy'), headers.get('x-powered-by')]).toEqual([path, 'no-referrer', null]);
      expect([path, headers.get('strict-transport-security')]).toEqual([path, null]); // not in production
    }
  });

  it('lets Swagger UI and the pages of the errors have their styles, and no foreign or inline script', async () => {
    for (const path of ['/docs', '/errors/not_found']) {
      const { headers, text } = await service.api.get(path);
      const policy = headers.get('content-security-policy');
      expect([path, policy]).toEqual([
        path,
        expect.stringContaining("default-src 'self';style-src 'self' 'unsafe-inline'"),
      ]);
      // What the page needs is allowed: scripts are files of ours.
      expect(text.match(/<script(?![^>]* src="\.\/docs\/)/g)).toBeNull();
      expect(text).not.toMatch(/ on\w+="/);
    }
  });

  it('answers pages of listed origins, also before they have credentials', async () => {
    const ask = {
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,idempotency-key',
    };
    const preflight = (origin: string) => service.api.call('OPTIONS', '/v1/transfers', undefined, { origin, ...ask });
    const { status, headers } = await preflight('https://app.example.com');
    expect([status, headers.get('access-control-allow-origin')]).toEqual([204, 'https://app.example.com']);
    expect(headers.get('access-control-allow-headers')).toMatch(/Idempotency-Key/);
    expect(headers.get('access-control-allow-credentials')).toBeNull();
    const plain = await service.api.call('GET', '/v1/users', undefined, { origin: 'https://app.example.com' });
    expect(plain.headers.get('access-control-expose-headers')).toMatch(/ETag.*RateLimit/);
    for (const origin of [
      'https://evil.example',
      'https://app.example.com.evil.example',
      'null',
      'http://app.example.com',
    ]) {
      const refused = await preflight(origin);
      expect([origin, [...refused.headers.keys()].filter((name) => name.startsWith('access-control'))]).toEqual([
        origin,
        [],
      ]);
      const read = await service.api.call('GET', '/v1/users', undefined, { origin });
      expect([origin, read.headers.get('access-control-allow-origin')]).toEqual([origin, null]);
    }
  });

  it.each([
    [
      'headers that do not end',
      `GET /health/live HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    ['what is no HTTP', 'HELO mail.example\r\n\r\n', 400, 'bad_request'],
    [
      'two lengths',
      'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}',
      400,
      'bad_request',
    ],
    [
      'a length and chunks',
      'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'bad_request',
    ],
  ])('refuses %s with a problem, and hangs up', async (_, bytes, status, code) => {
    const answer = await raw(service, bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(answer.split('\r\n\r\n')[1]!)).toMatchObject({ code, status, request_id: expect.any(String) });
  });

  it('says nothing about what it cannot read while an earlier request of the connection is under way', async () => {
    const wallet = await service.api.newWallet('10.00');
    const debit = `POST /v1/wallets/${wallet.id}/debits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"amount":"1.00"}`;
    const answer = await raw(service, `${debit}\u0000\u0001 what is this?\r\n\r\n`);
    // Hung up before the answer, or after it: never a refusal of what was posted.
    expect(answer).not.toMatch(/^HTTP\/1.1 4/);
  });

  it('takes as many headers as there is room for, and drops none', async () => {
    const wallet = await service.api.newWallet('10.00');
    const many = Object.fromEntries(Array.from({ length: 2_050 }, (_, i) => [`x${i.toString(36)}`, '']));
    const debit = () =>
      service.api.call(
        'POST',
        `/v1/wallets/${wallet.id}/debits`,
        { amount: '1.00' },
        { ...many, 'idempotency-key': 'last' },
      );
    const statuses = [(await debit()).status, (await debit()).status];
    expect([statuses, (await service.api.wallet(wallet.id)).balance]).toEqual([[201, 201], '9.00']);
  });

  it('loses no connection of 1,000 that come while the process stands still', async () => {
    const room = Number(await readFile('/proc/sys/net/core/somaxconn', 'utf8').catch(() => '0'));
    if (room < 1_024) return figure('skipped: this system has room for fewer');
    const { port, hostname } = new URL(service.api.url);
    const signal = AbortSignal.timeout(10_000);
    service.process.kill('SIGSTOP');
    const sockets = Array.from({ length: 1_000 }, () => connect({ port: Number(port), host: hostname, signal }));
    for (const socket of sockets) socket.on('error', () => undefined);
    try {
      // The system takes them all; one for which it had no room would try again, in vain.
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    } finally {
      service.process.kill('SIGCONT');
    }
    const answers = sockets.map(async (socket) => {
      socket.write('GET /health/live HTTP/1.1\r\nHost: wallets\r\nConnection: close\r\n\r\n');
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      return chunk.toString('latin1', 0, 15);
    });
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['HTTP/1.1 200 OK']));
  });

  it('gives what it cannot route its headers, too', async () => {
    const { status, headers } = await service.api.get('/v1/wallets/%E0%A4%A');
    expect([status, headers.get('x-content-type-options'), headers.get('x-request-id')]).toEqual([
      400,
      'nosniff',
      expect.any(String),
    ]);
  });

  it('hides documents where they are not wanted, and nowhere else', async () => {
    const quiet = await startService({ DOCS: 'off' });
    try {
      for (const path of ['/docs', '/docs-json', '/docs-yaml']) {
        const { status, headers } = await quiet.api.get(path);
        expect([path, status, headers.get('content-type')]).toEqual([
          path,
          404,
          expect.stringMatching(/problem\+json/),
        ]);
      }
      expect((await quiet.api.get('/errors/not_found')).status).toBe(200);
    } finally {
      await quiet.stop();
    }
  });
});

describe('in production', () => {
  it('the service starts with its secrets alone, without documents, and asks for HTTPS', async () => {
    const service = await startSecured({ NODE_ENV: 'production', CODE_SENDER: 'none' });
    try {
      const { secret } = await insertKey(service.database, { scopes: ALL_SCOPES });
      const { status, headers } = await service.api.call('GET', '/v1/users', undefined, bearer(secret));
      expect([status, headers.get('strict-transport-security')]).toEqual([
        200,
        expect.stringMatching(/^max-age=\d{8}/),
      ]);
      expect((await service.api.get('/docs')).status).toBe(404);
      expect(service.said()).not.toMatch(/AUTH=open/);
    } finally {
      await service.stop();
    }
  });

  it('it does not start with what is for development, and names all of it at once', async () => {
    const { code, said } = await failedStart({
      NODE_ENV: 'production',
      AUTH: 'open',
      CODE_SENDER: 'console',
      TYPEORM_SYNCHRONIZE: 'true',
      DATABASE_URL: 'postgres://asper:password@127.0.0.1:1/asper',
      CODE_WEBHOOK_SECRET: Buffer.alloc(32).toString('base64'),
    });
    expect(code).toBe(1);
    for (const name of [
      'AUTH=open',
      'AUTH_SECRET',
      'CODE_SENDER',
      'TYPEORM_SYNCHRONIZE',
      'DATABASE_URL',
      'CODE_WEBHOOK_SECRET',
    ]) {
      expect(said).toContain(name);
    }
    expect(said).not.toContain(':password@');
    const secret = newSecret().slice(0, 20);
    const half = await failedStart({ NODE_ENV: 'production', AUTH_SECRET: secret });
    expect(half.said).toMatch(/AUTH_SECRET must be 32 random bytes/);
    expect(half.said).not.toContain(secret);
  });
});
