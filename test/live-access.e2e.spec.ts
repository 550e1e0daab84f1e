/** Who may watch a balance, and for how long: as long as they may read the wallet. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expectStatus } from './support/client.js';
import { insertKey } from './support/keys.js';
import { bearer, signIn, startSecured, type Tokens } from './support/secured.js';
import { StreamReader } from './support/stream.js';
import { startService, type Service } from './support/service.js';

describe('live balances of a secured service', () => {
  let service: Service;
  let wallet: string;
  let owner: Tokens;
  let other: Tokens;
  const readers: StreamReader[] = [];
  beforeAll(async () => {
    service = await startSecured({ REQUESTS_PER_MINUTE_ADDRESS: '5', STREAMS_MAX: '30' });
    const { secret } = await insertKey(service.database, { scopes: ['users:write', 'wallets:write'] });
    const make = async (path: string, body: object) =>
      expectStatus(201, await service.api.call<{ id: string }>('POST', path, body, bearer(secret))).id;
    for (const phone_number of ['+919812300001', '+919812300002']) await make('/v1/users', { phone_number });
    [owner, other] = [await signIn(service, '+919812300001'), await signIn(service, '+919812300002')];
    wallet = await make('/v1/wallets', { user_id: owner.user_id, minimum_balance: '0' });
  });
  afterEach(() => {
    for (const reader of readers.splice(0)) reader.close();
  });
  afterAll(() => service.stop());

  async function watch(credential?: string): Promise<StreamReader> {
    const headers = credential === undefined ? {} : bearer(credential);
    const reader = await StreamReader.open(`${service.api.url}/v1/wallets/${wallet}/stream`, { ...headers });
    readers.push(reader);
    if (reader.status === 200) await reader.until(({ messages }) => messages.length === 1);
    else await reader.until(({ isEnded }) => isEnded);
    return reader;
  }
  const code = ({ text }: StreamReader) => (JSON.parse(text) as { code: string }).code;

  it('show that they live while the database does not say who may still read', async () => {
    const { database } = service;
    const keys = await Promise.all(Array.from({ length: 6 }, () => insertKey(database, { scopes: ['wallets:read'] })));
    const all = await Promise.all(keys.map(({ secret }) => watch(secret)));
    await database.query('BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE');
    try {
      await Promise.all(all.map((reader) => reader.until(({ comments }) => comments.length > 0, 20_000)));
    } finally {
      await database.query('ROLLBACK');
    }
  });

  it('are none for whoever hung up while the database was asked who that is', async () => {
    const { database, api } = service;
    const { secret } = await insertKey(database, { scopes: ['wallets:read', 'metrics:read'] });
    const { port } = new URL(api.url);
    await database.query('BEGIN; LOCK TABLE api_keys');
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`GET /v1/wallets/${wallet}/stream HTTP/1.1\r\nHost: x\r\nX-API-Key: ${secret}\r\n\r\n`);
    await delay(200);
    socket.destroy();
    await delay(100);
    await database.query('ROLLBACK');
    await delay(200);
    expect((await api.call<never>('GET', '/metrics', undefined, bearer(secret))).text).toMatch(
      /^asper_live_streams 0$/m,
    );
  });

  it('are for whoever may read the wallet', async () => {
    const reading = await insertKey(service.database, { scopes: ['wallets:read'] });
    const writing = await insertKey(service.database, { scopes: ['wallets:write'] });
    expect((await watch(owner.access_token)).status).toBe(200);
    expect((await watch(reading.secret)).status).toBe(200);
    expect(code(await watch(other.access_token))).toBe('wallet_not_found');
    expect(code(await watch(writing.secret))).toBe('insufficient_scope');
    expect(code(await watch())).toBe('unauthenticated');
  });

  it('end when the key or the session does, and that is no attempt at a break-in', async () => {
    const key = await insertKey(service.database, { scopes: ['wallets:read'] });
    const byKey = await Promise.all(Array.from({ length: 10 }, () => watch(key.secret)));
    const byOwner = await watch(owner.access_token);
    await service.database.query(
      'UPDATE api_keys SET revoked_at = now(), updated_at = now(), version = version + 1 WHERE id = $1',
      [key.id],
    );
    for (const reader of byKey) await reader.until(({ isEnded }) => isEnded, 8_000);
    expect(byOwner.isEnded).toBe(false);
    expect((await watch(owner.access_token)).status).toBe(200); // with ten bad credentials it would be 429
    await service.database.query(`UPDATE sessions SET ended_at = now(), end_reason = 'logout' WHERE id = $1`, [
      owner.session_id,
    ]);
    await byOwner.until(({ isEnded }) => isEnded, 8_000);
    expect(code(await watch(owner.access_token))).toBe('unauthenticated');
  }, 30_000);

  it('are twenty for a person: the oldest gives way, which may be of a phone that is long gone', async () => {
    const tokens = await signIn(service, '+919812300001');
    const oldest = await watch(tokens.access_token);
    const all = await Promise.all(Array.from({ length: 19 }, () => watch(tokens.access_token)));
    expect((await watch(tokens.access_token)).status).toBe(200);
    await oldest.until(({ isEnded }) => isEnded);
    expect(all.map(({ isEnded }) => isEnded)).toEqual(all.map(() => false));
  });

  it('are four fifths of all for a key: whatever one server does, others have some', async () => {
    const [greedy, modest] = [
      await insertKey(service.database, { scopes: ['wallets:read'] }),
      await insertKey(service.database, { scopes: ['wallets:read'] }),
    ];
    for (let n = 0; n < 24; n++) expect((await watch(greedy.secret)).status).toBe(200);
    expect(code(await watch(greedy.secret))).toBe('too_many_streams');
    for (let n = 0; n < 6; n++) expect((await watch(modest.secret)).status).toBe(200);
    expect(code(await watch(modest.secret))).toBe('too_many_streams');
  });

  it('that are being opened when the process is told to stop end at once, and it with them', async () => {
    const stopped = await startService({}, { quiet: true });
    const { id } = await stopped.api.newWallet();
    await stopped.database.query('BEGIN; LOCK TABLE wallets');
    const opening = StreamReader.open(`${stopped.api.url}/v1/wallets/${id}/stream`);
    await delay(300);
    const exit = once(stopped.process, 'exit');
    stopped.process.kill('SIGTERM');
    await delay(300);
    await stopped.database.query('ROLLBACK');
    const began = performance.now();
    await (await opening).until(({ isEnded }) => isEnded, 5_000);
    expect(await exit).toEqual([0, null]);
    expect(performance.now() - began).toBeLessThan(5_000);
    await stopped.stop();
  });
});
