import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  base64url,
  calculateJwkThumbprint,
  CompactSign,
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  jwtVerify,
  type JWK,
  type JWTPayload,
} from 'jose';
import { execFile } from 'node:child_process';
import {
  createDecipheriv,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  randomUUID,
  type KeyObject,
} from 'node:crypto';
import { promisify } from 'node:util';
import type { SignedReceiptBody } from '../src/receipts/receipts.dto.js';
import { LEFTOVERS } from '../src/auth/auth.sweeper.js';
import type { TokensBody } from '../src/auth/sign-in.dto.js';
import { privateKeyOf, publicJwkOf } from '../src/receipts/jws.js';
import { expectStatus } from './support/client.js';
import { CLI, startService, TestDatabase, type Service } from './support/service.js';
import { as, AUTH_SECRET, Gateway, refresh, signIn, statusOf } from './support/sign-in.js';

interface KeySet {
  keys: Array<JWK & { kid: string }>;
}

let gateway: Gateway;
let service: Service;
let tokens: TokensBody;
/** What only the service has. */
let ours: { kid: string; privateKey: KeyObject; sealed: Buffer };
beforeAll(async () => {
  gateway = await Gateway.start();
  service = await startService(gateway.env({ RECEIPT_KEY: randomBytes(32).toString('base64') }));
  tokens = await signIn(service, gateway, (await service.api.newUser()).phone_number);
  ours = await keyOf(service.database);
});
afterAll(async () => {
  await service.stop();
  await gateway.stop();
});

const keySet = async ({ api }: Service) => expectStatus(200, await api.get<KeySet>('/.well-known/jwks.json'));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** `asper`, on a database. */
function asper({ url }: TestDatabase, args: string[], env: Record<string, string> = {}) {
  return promisify(execFile)(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, DATABASE_URL: url, AUTH_SECRET, ...env },
  }).catch((error: { code: number; stdout: string; stderr: string }) => error);
}

/** The private key that signs, opened with AUTH_SECRET. */
async function keyOf(database: TestDatabase): Promise<typeof ours> {
  const [{ kid, sealed_private: sealed }] = await database.query('SELECT * FROM signing_keys');
  const key = Buffer.from(hkdfSync('sha256', Buffer.from(AUTH_SECRET, 'base64'), '', 'asper-wallet signing keys', 32));
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12));
  decipher.setAAD(Buffer.from(kid)).setAuthTag(sealed.subarray(-16));
  const opened = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
  return { kid, privateKey: privateKeyOf(opened), sealed };
}

describe('access tokens', () => {
  afterEach(async () => expect(await service.database.problems()).toEqual([]));

  it('are EdDSA JWTs that anybody verifies by the key set', async () => {
    const { access_token } = tokens;
    const reply = await service.api.get<KeySet>('/.well-known/jwks.json');
    expect([reply.status, reply.headers.get('cache-control')]).toEqual([200, 'public, max-age=60']);
    const [key] = reply.body.keys;
    expect(reply.body.keys).toEqual([
      { kty: 'OKP', crv: 'Ed25519', x: key!.x, kid: await calculateJwkThumbprint(key!), use: 'sig', alg: 'EdDSA' },
    ]);
    const { payload, protectedHeader } = await jwtVerify(access_token, createLocalJWKSet(reply.body), {
      issuer: 'asper-wallet',
      audience: 'asper-wallet',
      typ: 'at+jwt',
    });
    expect(protectedHeader).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: key!.kid });
    const { sub, sid, iat, exp, jti, ...rest } = payload;
    expect([sub, sid, exp! - iat!, rest]).toEqual([
      ...[tokens.user_id, tokens.session_id, 600],
      { iss: 'asper-wallet', aud: 'asper-wallet' },
    ]);
    expect(jti).toMatch(/^[0-9a-f-]{36}$/);
    expect(await statusOf(service, access_token)).toBe(200);
  });

  /** A token signed with our own key, good but for the changes. `undefined` leaves out. */
  async function signed(header: object, claims: object, key?: KeyObject): Promise<string> {
    const now = Math.floor(Date.now() / 1_000);
    const payload: JWTPayload = {
      ...{ iss: 'asper-wallet', aud: 'asper-wallet', sub: tokens.user_id, sid: tokens.session_id },
      ...{ jti: randomUUID(), iat: now, exp: now + 300 },
      ...claims,
    };
    return new CompactSign(Buffer.from(JSON.stringify(payload)))
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: ours.kid, ...header })
      .sign(key ?? ours.privateKey, { crit: { 'urn:asper': true } });
  }
  const unsigned = (header: object, payload: object, signature = '') =>
    `${base64url.encode(JSON.stringify(header))}.${base64url.encode(JSON.stringify(payload))}.${signature}`;
  const attacker = generateKeyPairSync('ed25519').privateKey;
  const attackerJwk = createPublicKey(attacker).export({ format: 'jwk' }) as JWK;
  const ourKid = () => decodeProtectedHeader(tokens.access_token).kid!;
  const claims = () => decodeJwt(tokens.access_token);

  const forged: Array<[kind: string, forge: () => string | Promise<string>, code?: string]> = [
    ['alg none', () => unsigned({ alg: 'none', typ: 'at+jwt', kid: ourKid() }, claims())],
    [
      'HS256 keyed with the public key',
      async () => {
        const [{ x }] = (await keySet(service)).keys as [JWK];
        return new CompactSign(Buffer.from(JSON.stringify(claims())))
          .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: ourKid() })
          .sign(Buffer.from(x!, 'base64url'));
      },
    ],
    [
      'HS256 keyed with the PEM of the public key',
      async () => {
        const [jwk] = (await keySet(service)).keys as [JWK];
        const pem = createPublicKey({ key: jwk as Record<string, string>, format: 'jwk' });
        return new CompactSign(Buffer.from(JSON.stringify(claims())))
          .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: ourKid() })
          .sign(Buffer.from(pem.export({ format: 'pem', type: 'spki' })));
      },
    ],
    ['another audience', () => signed({}, { aud: 'another' })],
    ['another issuer', () => signed({}, { iss: 'another' })],
    ['an embedded jwk', () => signed({ jwk: attackerJwk }, {}, attacker)],
    ['an embedded jwk and its own kid', () => signed({ jwk: attackerJwk, kid: undefined }, {}, attacker)],
    ['a jku', () => signed({ jku: gateway.url, kid: 'attacker' }, {}, attacker)],
    ['an x5c', () => signed({ x5c: [Buffer.from('certificate').toString('base64')] }, {}, attacker)],
    ['expired', () => signed({}, { exp: Math.floor(Date.now() / 1_000) - 1 }), 'token_expired'],
    ['no expiry', () => signed({}, { exp: undefined })],
    ['not yet valid', () => signed({}, { nbf: Math.floor(Date.now() / 1_000) + 300 })],
    ['issued in the future', () => signed({}, { iat: Math.floor(Date.now() / 1_000) + 300 })],
    ['the type JWT', () => signed({ typ: 'JWT' }, {})],
    ['no type', () => signed({ typ: undefined }, {})],
    [
      'a tampered payload',
      () =>
        tokens.access_token.replace(
          /\.[^.]+\./,
          `.${base64url.encode(JSON.stringify({ ...claims(), sub: randomUUID() }))}.`,
        ),
    ],
    ['an unknown kid', () => signed({ kid: 'unknown' }, {})],
    ['no kid', () => signed({ kid: undefined }, {})],
    ["another key's signature under our kid", () => signed({}, {}, attacker)],
    ['a critical header', () => signed({ crit: ['urn:asper'], 'urn:asper': 1 }, {})],
    [
      'an unencoded payload',
      () =>
        tokens.access_token.replace(
          /^[^.]+/,
          base64url.encode(JSON.stringify({ alg: 'EdDSA', typ: 'at+jwt', kid: ourKid(), b64: false, crit: ['b64'] })),
        ),
    ],
    ['no signature', () => tokens.access_token.replace(/[^.]+$/, '')],
    ["another person's session", () => signed({}, { sub: randomUUID() })],
    ['a session that is none', () => signed({}, { sid: randomUUID() })],
    ['no session', () => signed({}, { sid: undefined })],
    ['a refresh token', () => tokens.refresh_token],
    [
      'a receipt',
      async () => {
        const wallet = await service.api.newWallet('5');
        const path = `/v1/wallets/${wallet.id}/entries/1/receipt`;
        return expectStatus(200, await service.api.get<SignedReceiptBody>(path)).jws;
      },
    ],
    ['garbage', () => 'a.b.c'],
  ];

  it('of the right making are taken, so that what follows fails for its own reason', async () => {
    expect(await statusOf(service, await signed({}, {}))).toBe(200);
  });

  it.each(forged)('are refused with %s', async (_, forge, code = 'unauthenticated') => {
    const { status, body } = await as(service, await forge(), 'GET', '/v1/auth/sessions');
    expect([status, body.code]).toEqual([401, code]);
  });

  it('are not made by whoever can write to the database', async () => {
    const { kid, x } = publicJwkOf(attacker);
    for (const sealed of [Buffer.alloc(60), Buffer.from(attackerJwk.x!), ours.sealed]) {
      await service.database.query(
        `INSERT INTO signing_keys (kid, public_key, sealed_private, signs_from) VALUES ($1, $2, $3, now() - interval '1 s')`,
        [kid, x, sealed],
      );
      await pause(1_100);
      expect(await statusOf(service, await signedWithAttackers(kid))).toBe(401);
      expect((await keySet(service)).keys.map((key) => key.kid)).toEqual([ourKid()]);
      await service.database.query('DELETE FROM signing_keys WHERE kid = $1', [kid]);
    }
  });
  const signedWithAttackers = (kid: string) =>
    new CompactSign(Buffer.from(JSON.stringify(claims())))
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid })
      .sign(attacker);

  it('with made-up kids are refused within a second or so, 200 at once, and good ones go on', async () => {
    const startedAt = performance.now();
    const garbage = Array.from({ length: 200 }, async (_, n) => statusOf(service, await signed({ kid: `k${n}` }, {})));
    const good = await signed({}, {});
    expect(await statusOf(service, good)).toBe(200);
    expect(new Set(await Promise.all(garbage))).toEqual(new Set([401]));
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

describe('signing keys', () => {
  let database: TestDatabase;
  /** Two processes that signed for the first time at once. */
  let one: Service;
  let second: Service;
  let signedIn: TokensBody[];
  let made: number;
  beforeAll(async () => {
    database = await TestDatabase.create();
    const env = gateway.env({ SIGN_UP: 'open' });
    [one, second] = await Promise.all([startService(env, { database }), startService(env, { database })]);
    signedIn = await Promise.all(
      Array.from({ length: 20 }, (_, n) => signIn(n % 2 ? one : second, gateway, `+14155550${100 + n}`)),
    );
    made = (await database.query('SELECT FROM signing_keys')).length;
  });
  afterAll(async () => {
    await Promise.all([one.stop(), second.stop()]);
    await database.drop();
  });

  it('are one for two processes that sign for the first time at once, or do as well', async () => {
    expect(made).toBeLessThanOrEqual(2);
    for (const { access_token } of signedIn)
      expect([await statusOf(one, access_token), await statusOf(second, access_token)]).toEqual([200, 200]);
  });

  it('rotate without a 401: the key set has the next one before it signs, and the last one while its tokens live', async () => {
    const kidsOf = async (process: Service) => (await keySet(process)).keys.map(({ kid }) => kid).sort();
    await pause(1_000); // for so long a process does not look whether the other one has made a key, too
    const [before] = await Promise.all([kidsOf(one), kidsOf(second)]);
    const { phone_number } = await one.api.newUser();
    const first = await signIn(one, gateway, phone_number);
    const { stdout } = (await asper(database, ['auth', 'rotate-keys', '--in', '4'])) as { stdout: string };
    const next = /^The key (\S+) signs from /.exec(stdout)![1]!;
    const { kid: last } = decodeProtectedHeader(first.access_token);
    await pause(1_000);
    for (const process of [one, second]) expect(await kidsOf(process)).toEqual([...before, next].sort());
    let { refresh_token } = first;
    const kids: string[] = [];
    for (let n = 0; n < 30; n++) {
      const renewed = expectStatus(201, await refresh(n % 2 ? one : second, refresh_token));
      refresh_token = renewed.refresh_token;
      kids.push(decodeProtectedHeader(renewed.access_token).kid!);
      for (const token of [first.access_token, renewed.access_token])
        expect([await statusOf(one, token), await statusOf(second, token)]).toEqual([200, 200]);
      await jwtVerify(renewed.access_token, createLocalJWKSet(await keySet(second)));
      await pause(150);
    }
    expect([kids[0], kids.at(-1)]).toEqual([last, next]);
    expect(kids).toEqual(kids.toSorted((a) => (a === last ? -1 : 1)));
  });

  it('are deleted when nothing that they signed is good any more, not before', async () => {
    const own = await startService(gateway.env());
    const { phone_number } = await own.api.newUser();
    const { access_token } = await signIn(own, gateway, phone_number);
    const count = async () => (await own.database.query('SELECT FROM signing_keys')).length;
    await asper(own.database, ['auth', 'rotate-keys', '--in', '0']);
    await asper(own.database, ['auth', 'rotate-keys', '--in', '0']);
    expect([await count(), await statusOf(own, access_token)]).toEqual([3, 200]);
    await own.database.query(`UPDATE signing_keys SET signs_from = signs_from - interval '16 minutes'`);
    const { stdout } = (await asper(own.database, ['auth', 'rotate-keys'])) as { stdout: string };
    expect(stdout).toContain('2 of the keys before it are done');
    expect(await count()).toBe(2);
    await own.database.query(`UPDATE signing_keys SET signs_from = signs_from - interval '18 minutes'`);
    for (const statement of LEFTOVERS) await own.database.query(statement); // nobody has to rotate again
    expect(await count()).toBe(1);
    await own.stop();
  });

  it('of another AUTH_SECRET sign nothing and are believed in nothing; sessions go on', async () => {
    const { phone_number } = await service.api.newUser();
    const { access_token, refresh_token } = await signIn(service, gateway, phone_number);
    const { stdout } = (await asper(service.database, ['auth', 'new-secret'])) as { stdout: string };
    const [, secret] = /^AUTH_SECRET=(\S{44})\n$/.exec(stdout)!;
    const env = gateway.env({ AUTH_SECRET: secret! });
    const other = await startService(env, { database: service.database, quiet: true });
    expect(await statusOf(other, access_token)).toBe(401);
    const renewed = expectStatus(201, await refresh(other, refresh_token));
    expect(await statusOf(other, renewed.access_token)).toBe(200);
    await other.stop();
  });

  it('are not rotated without the secret, or at no time', async () => {
    const untouched = await TestDatabase.create();
    expect(await asper(untouched, ['auth', 'rotate-keys'], { AUTH_SECRET: '' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('AUTH_SECRET must be that of the service'),
    });
    expect(await asper(untouched, ['auth', 'rotate-keys', '--in', 'soon'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--in must be a whole number of seconds'),
    });
    expect(await untouched.query('SELECT FROM signing_keys')).toEqual([]);
    await untouched.drop();
  });
});
