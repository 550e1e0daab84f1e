import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ConfigError, readConfig } from '../src/config.js';

function mistakes(env: Record<string, string>): string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the configuration', () => {
  it('starts from nothing: open mode on a loopback address, embedded database', () => {
    expect(readConfig({})).toMatchObject({
      port: 5000,
      host: '127.0.0.1',
      auth: 'open',
      databaseUrl: '',
      defaultCurrency: 'INR',
    });
  });

  it('reports every mistake at once, each by name', () => {
    const names = [
      'PORT',
      'DATABASE_URL',
      'LOCKING',
      'DEFAULT_CURRENCY',
      'DEFAULT_PHONE_REGION',
      'DEFAULT_MINIMUM_BALANCE',
    ];
    const found = mistakes(Object.fromEntries(names.map((name) => [name, 'nonsense'])));
    expect(found).toHaveLength(names.length);
    for (const name of names) expect(found.some((mistake) => mistake.startsWith(name))).toBe(true);
  });

  it.each([
    [{ NODE_ENV: 'production' }, /^AUTH_SECRET is needed/],
    [{ NODE_ENV: 'production', AUTH: 'open' }, /AUTH=open .* refused with NODE_ENV=production/],
    [{ NODE_ENV: 'production', CODE_SENDER: 'console' }, /CODE_SENDER=console/],
    [{ NODE_ENV: 'production', TYPEORM_SYNCHRONIZE: 'true' }, /TYPEORM_SYNCHRONIZE/],
    [{ NODE_ENV: 'production', DATABASE_URL: 'postgres://asper:postgres@db/asper' }, /DATABASE_URL has a password/],
    [{ NODE_ENV: 'production', DATABASE_URL: 'postgres://asper:%70ostgres@db/asper' }, /DATABASE_URL has a password/],
    [
      { NODE_ENV: 'production', DATABASE_URL: 'postgres://asper@db/asper?password=root' },
      /DATABASE_URL has a password/,
    ],
    [{ NODE_ENV: 'production', DATABASE_URL: 'postgres://asper:@db/asper' }, /DATABASE_URL has a password/],
    [{ NODE_ENV: 'production', DATABASE_OWNER_URL: 'postgres://a:postgres@db/b' }, /DATABASE_OWNER_URL has a password/],
    [{ AUTH_SECRET: Buffer.alloc(32).toString('base64') }, /^AUTH_SECRET must be 32 random bytes/],
    [{ AUTH_SECRET: 'please-change-this-secret-before-production' }, /^AUTH_SECRET must be 32 random bytes/],
    [{ CODE_SENDER: 'webhook' }, /CODE_WEBHOOK_URL.*CODE_WEBHOOK_SECRET/],
    [{ TRUSTED_PROXIES: '10.0.0.0/33' }, /^TRUSTED_PROXIES/],
    [{ CORS_ORIGINS: 'https://app.example.com/' }, /^CORS_ORIGINS/],
  ])('does not start with %p', (env, reason) => {
    expect(mistakes(env as Record<string, string>).join()).toMatch(reason);
  });

  it('says what is wrong with a receipt key without printing it', () => {
    const found = mistakes({ RECEIPT_KEY: 'c2VjcmV0', RECEIPT_KEYS_RETIRED: 'short' });
    expect(found).toEqual([
      expect.stringMatching(/^RECEIPT_KEY must be 32 random bytes/),
      expect.stringMatching(/^RECEIPT_KEYS_RETIRED must be/),
    ]);
    expect(found.join()).not.toContain('c2VjcmV0');
    expect(readConfig({ RECEIPT_KEY: randomBytes(32).toString('base64') }).receiptKeySeed).toHaveLength(32);
  });

  it.each(['0', '-1', '65', '1.5', 'abc', 'two'])('does not start WORKERS=%s', (workers) => {
    const mistake = `WORKERS must be auto or a whole number from 1 to 64, not "${workers}"`;
    expect(mistakes({ WORKERS: workers, PORT: 'x' }).sort()).toEqual([expect.stringMatching(/^PORT must be/), mistake]);
  });

  it('is one process unless told, and as many as the machine runs at once on request', () => {
    expect(readConfig({}).workers).toBe(1);
    expect(readConfig({ WORKERS: '3' }).workers).toBe(3);
    expect(readConfig({ WORKERS: 'auto' }).workers).toBe(Math.min(availableParallelism(), 64));
  });

  it('gives services with the same number of workers the same stripes or quite others', () => {
    const first = (workers: number) => readConfig({ WORKERS: String(workers) }).externalStripe;
    for (let i = 0; i < 100; i++) {
      expect(first(4) % 4).toBe(0);
      expect(first(5) % 5).toBe(0);
      expect(first(20)).toBe(0);
    }
    expect(new Set(Array.from({ length: 500 }, () => first(1))).size).toBe(16);
    expect(readConfig({ WORKERS: '4', EXTERNAL_STRIPE: '14' }).externalStripe).toBe(14);
  });

  it.each(['0.0.0.0', '127.evil.example'])('is secured on %s unless told', (HOST) => {
    expect(readConfig({ HOST }).auth).toBe('required');
  });

  it('takes open mode on another address only where it is said out loud', () => {
    expect(mistakes({ HOST: '0.0.0.0', AUTH: 'open' })).toEqual([]);
  });

  it('finds every variable it reads in .env.example, with its default', () => {
    const example = readFileSync('.env.example', 'utf8');
    const source =
      readFileSync('src/config.ts', 'utf8') +
      readFileSync('src/auth/auth.config.ts', 'utf8') +
      readFileSync('src/webhooks/webhooks.config.ts', 'utf8') +
      readFileSync('src/tracing/tracing.config.ts', 'utf8');
    const read = [...source.matchAll(/(?:text|integer|oneOf|list|secret)\('([A-Z_]+)'/g)].map(([, name]) => name!);
    expect(read.length).toBeGreaterThan(35);
    for (const name of read) expect(example).toMatch(new RegExp(`^#? ?${name}=`, 'm'));
  });
});
