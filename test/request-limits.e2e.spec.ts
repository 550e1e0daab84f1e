/** S9: how often a caller may call. Each process counts exactly. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ALL_SCOPES } from '../src/auth/scopes.js';
import { newSecret } from '../src/auth/api-key.secret.js';
import { insertKey } from './support/keys.js';
import { bearer, startSecured } from './support/secured.js';
import type { Service } from './support/service.js';

describe('a caller with a limit', () => {
  let service: Service;
  let proxied: Service;
  beforeAll(async () => {
    service = await startSecured({ REQUESTS_PER_MINUTE_ADDRESS: '10' });
    proxied = await startSecured({ REQUESTS_PER_MINUTE_ADDRESS: '10', TRUSTED_PROXIES: '127.0.0.0/8, 10.0.0.0/8' });
  });
  afterAll(async () => {
    await service.stop();
    await proxied.stop();
  });

  const read = (at: Service, credential: string, headers: Record<string, string> = {}) =>
    at.api.call<{ code: string }>('GET', '/v1/users', undefined, { ...bearer(credential), ...headers });
  const many = async (count: number, call: (i: number) => ReturnType<typeof read>) => {
    const statuses = (await Promise.all(Array.from({ length: count }, (_, i) => call(i)))).map(({ status }) => status);
    return Object.fromEntries(
      [...new Set(statuses)].sort().map((status) => [status, statuses.filter((s) => s === status).length]),
    );
  };

  it('is told what is left, and is refused exactly what is beyond it', async () => {
    const { secret } = await insertKey(service.database, { scopes: ALL_SCOPES, requestsPerMinute: 20 });
    const first = await read(service, secret);
    expect(first.headers.get('ratelimit-policy')).toBe('"caller";q=20;w=60');
    expect(first.headers.get('ratelimit')).toMatch(/^"caller";r=19;t=(60|59)$/);
    expect(await many(100, () => read(service, secret))).toEqual({ 200: 19, 429: 81 });
    const { status, headers, body } = await read(service, secret);
    expect([status, body.code]).toEqual([429, 'rate_limited']);
    expect(headers.get('ratelimit')).toMatch(/^"caller";r=0;t=\d+$/);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(50);
    // The others are not meant.
    const another = await insertKey(service.database, { scopes: ALL_SCOPES, requestsPerMinute: 20 });
    expect((await read(service, another.secret)).status).toBe(200);
  });

  it('without a limit is not counted', async () => {
    const { secret } = await insertKey(service.database, { scopes: ALL_SCOPES });
    expect(await many(100, () => read(service, secret))).toEqual({ 200: 100 });
    expect((await read(service, secret)).headers.get('ratelimit')).toBeNull();
  });

  it('gains nothing by a forged address: bad credentials are counted against the real one', async () => {
    const forged = (i: number) => ({
      'x-forwarded-for': `203.0.113.${i}`,
      forwarded: `for=203.0.113.${i}`,
      'x-real-ip': `203.0.113.${i}`,
    });
    const statuses = [];
    for (let i = 0; i < 30; i++) statuses.push((await read(service, newSecret(), forged(i))).status);
    expect(statuses).toEqual([...Array<number>(10).fill(401), ...Array<number>(20).fill(429)]);
    // Whoever is known already goes on.
    const { secret } = await insertKey(proxied.database, { scopes: ALL_SCOPES });
    expect((await read(proxied, secret)).status).toBe(200);
  });

  it('is told apart by the address that a trusted proxy names', async () => {
    for (let i = 0; i < 10; i++)
      expect((await read(proxied, newSecret(), { 'x-forwarded-for': '198.51.100.7' })).status).toBe(401);
    expect((await read(proxied, newSecret(), { 'x-forwarded-for': '198.51.100.7' })).status).toBe(429);
    expect((await read(proxied, newSecret(), { 'x-forwarded-for': '198.51.100.8' })).status).toBe(401);
    // What a caller puts before the proxy's own word does not count.
    const chained = { 'x-forwarded-for': '192.0.2.1, 198.51.100.7' };
    expect((await read(proxied, newSecret(), chained)).status).toBe(429);
  });

  it('gains nothing by asking all at once', async () => {
    const from = { 'x-forwarded-for': '198.51.100.11' };
    const { 401: looked = 0, 429: refused = 0 } = await many(300, () => read(proxied, newSecret(), from));
    expect(looked + refused).toBe(300);
    expect(looked).toBeLessThanOrEqual(13); // the limit, and those whose turn it was meanwhile
  });

  it('that presents bad credentials keeps nobody else of that address out who is known', async () => {
    const { secret } = await insertKey(proxied.database, { scopes: ALL_SCOPES });
    const from = { 'x-forwarded-for': '198.51.100.9' };
    expect((await read(proxied, secret, from)).status).toBe(200);
    for (let i = 0; i < 12; i++) await read(proxied, newSecret(), from);
    expect((await read(proxied, newSecret(), from)).status).toBe(429);
    expect((await read(proxied, secret, from)).status).toBe(200);
  });
});
