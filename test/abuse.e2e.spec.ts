/** What somebody could try who means no good, with credentials of their own or with none. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { ALL_SCOPES } from '../src/auth/scopes.js';
import type { EventBody } from '../src/events/events.dto.js';
import type { TransactionBody } from '../src/transactions/transactions.dto.js';
import type { WalletBody } from '../src/wallets/wallets.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { insertKey } from './support/keys.js';
import { eventually, Receiver } from './support/receiver.js';
import { bearer, signIn, startSecured } from './support/secured.js';
import type { Service } from './support/service.js';

describe('whoever', () => {
  let service: Service;
  let operator: string;
  let operatorId: string;
  beforeAll(async () => {
    const env = { WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8', REQUESTS_PER_MINUTE_KEY: '60000' };
    service = await startSecured({ ...env, LOG_FORMAT: 'json', LOG_LEVEL: 'info' });
    ({ id: operatorId, secret: operator } = await insertKey(service.database, { scopes: ALL_SCOPES }));
  });
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  const call = <B>(credential: string, method: string, path: string, body?: unknown) =>
    service.api.call<B & Problem>(method, path, body, bearer(credential));
  /** A person with money, and their token. */
  const someone = async (phone_number: string) => {
    const user = expectStatus(201, await call<{ id: string }>(operator, 'POST', '/v1/users', { phone_number }));
    const opening = { user_id: user.id, minimum_balance: '0' };
    const wallet = expectStatus(201, await call<WalletBody>(operator, 'POST', '/v1/wallets', opening));
    expectStatus(201, await call(operator, 'POST', `/v1/wallets/${wallet.id}/credits`, { amount: '100.00' }));
    return { userId: user.id, walletId: wallet.id, token: (await signIn(service, phone_number)).access_token };
  };
  /** One request, from whoever does not wait for what comes of it. */
  const sendAndReset = async (lines: string[], body: string) => {
    const { hostname, port } = new URL(service.api.url);
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    await once(socket, 'connect');
    const length = `Content-Length: ${Buffer.byteLength(body)}`;
    const head = ['Host: x', 'Content-Type: application/json', length].join('\r\n');
    socket.write(`${lines.join('\r\n')}\r\n${head}\r\n\r\n${body}`, () => socket.resetAndDestroy());
    await once(socket, 'close');
  };

  it('hangs up at once has an address all the same in the log and in the audit log, or has done nothing', async () => {
    const wallets = [];
    for (let n = 0; n < 20; n++) {
      const opening = { label: `house-${n}`, minimum_balance: '0' };
      wallets.push(expectStatus(201, await call<WalletBody>(operator, 'POST', '/v1/wallets', opening)));
    }
    const before = service.said().length;
    for (const { id } of wallets) {
      const lines = [`POST /v1/wallets/${id}/freeze HTTP/1.1`, `Authorization: Bearer ${operator}`];
      await sendAndReset(lines, '{"reason":"a test"}');
    }
    const frozen = () => service.database.query(`SELECT address FROM audit_log WHERE action = 'wallet.frozen'`);
    await delay(500);
    expect((await frozen()).filter(({ address }) => address === null)).toEqual([]);
    const lines = service.said().slice(before).trim().split('\n').filter(Boolean);
    const told = lines.map((line) => JSON.parse(line) as { msg: string; address?: string });
    expect(told.filter(({ msg, address }) => msg === 'request' && typeof address !== 'string')).toEqual([]);
  });

  it('sends a body where none is wanted is counted with the others', async () => {
    const { hostname, port } = new URL(service.api.url);
    const paths = ['/health/nothing', '/version/x', '/metrics', '/version'];
    const sockets = paths.map((path) => {
      const socket = connect(Number(port), hostname).on('error', () => undefined);
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{`,
      );
      return socket;
    });
    const inFlight = async () =>
      /^asper_http_requests_in_flight (\d+)$/m.exec((await call(operator, 'GET', '/metrics')).text)![1];
    await eventually(inFlight, (count) => count === String(paths.length));
    for (const socket of sockets) socket.destroy();
    await eventually(inFlight, (count) => count === '0');
  });

  it('is paid learns nothing of who paid but the wallet', async () => {
    const [payer, payee] = [await someone('+919812710001'), await someone('+919812710002')];
    const wallets = { from_wallet_id: payer.walletId, to_wallet_id: payee.walletId };
    const { id, actor } = expectStatus(
      201,
      await call<TransactionBody>(payer.token, 'POST', '/v1/transfers', { ...wallets, amount: '1.00' }),
    );
    expect(actor).toBe(`user:${payer.userId}`);
    const seen = await call<TransactionBody>(payee.token, 'GET', `/v1/transactions/${id}`);
    expect([expectStatus(200, seen).actor, seen.text.includes(payer.userId)]).toEqual(['user', false]);
    const list = await call(payee.token, 'GET', `/v1/transactions?wallet_id=${payee.walletId}`);
    expect(list.text).not.toContain(payer.userId);
    const filtered = await call<{ data: TransactionBody[] }>(
      payee.token,
      'GET',
      `/v1/transactions?wallet_id=${payee.walletId}&currency=INR&amount_min=1.00&amount_max=1.00`,
    );
    expect(expectStatus(200, filtered).data.map((one) => one.id)).toEqual([id]);
  });

  it('makes many schedules at once makes no more than a wallet may have', async () => {
    const [payer, payee] = [await someone('+919812710003'), await someone('+919812710004')];
    const body = { from_wallet_id: payer.walletId, to_wallet_id: payee.walletId, amount: '1.00', every: 'daily' };
    const starts_at = new Date(Date.now() + 86_400_000).toISOString();
    const outcomes: string[] = [];
    let left = 130;
    const maker = async () => {
      while (left-- > 0) {
        const reply = await call(payer.token, 'POST', '/v1/schedules', { ...body, starts_at });
        outcomes.push(reply.status === 201 ? 'made' : reply.body.code);
      }
    };
    await Promise.all(Array.from({ length: 16 }, maker));
    const count = (outcome: string) => outcomes.filter((one) => one === outcome).length;
    expect([count('made'), count('too_many_schedules')]).toEqual([100, 30]);
  });

  it('may make keys makes none that may be used more often than their own', async () => {
    const { secret } = await insertKey(service.database, { scopes: ['keys:admin', 'wallets:read'] });
    const key = { name: 'child', scopes: ['wallets:read'], reason: 'a test' };
    const make = (more: object) => call(secret, 'POST', '/v1/api-keys', { ...key, ...more });
    expect((await make({ requests_per_minute: 60_001 })).body.code).toBe('insufficient_scope');
    expect((await make({ requests_per_minute: 60_000 })).status).toBe(201);
    expect((await make({})).status).toBe(201);
  });

  it('looks for the key of another caller is told so, and needs to be an operator', async () => {
    const { walletId } = await someone('+919812710005');
    const server = await insertKey(service.database, { scopes: ['transactions:write', 'transactions:read'] });
    const headers = { ...bearer(server.secret), 'idempotency-key': 'pay-1042' };
    const path = `/v1/wallets/${walletId}/debits`;
    const { id } = expectStatus(
      201,
      await service.api.call<TransactionBody>('POST', path, { amount: '3.00' }, headers),
    );
    const look = (credential: string, query = '') =>
      call<{ body: TransactionBody }>(credential, 'GET', `/v1/idempotency-keys/pay-1042${query}`);
    const missed = await look(operator);
    expect([missed.status, missed.body.detail]).toEqual([
      404,
      expect.stringContaining(`Others did: ask with \`caller=key:${server.id}\`.`),
    ]);
    expect(expectStatus(200, await look(operator, `?caller=key:${server.id}`)).body.id).toBe(id);
    const { secret } = await insertKey(service.database, { scopes: ['transactions:read'] });
    expect((await look(secret)).body.detail).not.toContain('Others');
    expect((await look(secret, `?caller=key:${server.id}`)).body.code).toBe('insufficient_scope');
    const auditor = await insertKey(service.database, { scopes: ['audit:read'] });
    expect((await look(auditor.secret, `?caller=key:${server.id}`)).body.code).toBe('insufficient_scope');
    // Of what is no transaction there is the id alone.
    const user = { phone_number: '+919812710099' };
    const made = await service.api.call<{ id: string }>('POST', '/v1/users', user, {
      ...bearer(operator),
      'idempotency-key': 'user-1042',
    });
    const reader = await insertKey(service.database, { scopes: ['audit:read', 'transactions:read'] });
    const others = `/v1/idempotency-keys/user-1042?caller=key:${operatorId}`;
    const shown = await call<{ body: object }>(reader.secret, 'GET', others);
    expect([shown.status, shown.body.body]).toEqual([200, { id: made.body.id }]);
  });

  it('reads events does not read the secret in the address of a receiver', async () => {
    const receiver = await Receiver.start(() => 410);
    const url = `${receiver.url}?token=SECRET`;
    const endpoint = { url, types: ['wallet.opened'] };
    const { id } = expectStatus(201, await call<{ id: string }>(operator, 'POST', '/v1/webhook-endpoints', endpoint));
    expectStatus(201, await call(operator, 'POST', `/v1/webhook-endpoints/${id}/test`));
    const { secret } = await insertKey(service.database, { scopes: ['events:read'] });
    const read = async () =>
      expectStatus(200, await call<{ data: EventBody[] }>(secret, 'GET', '/v1/events?type=webhook_endpoint.disabled'))
        .data;
    const [event] = await eventually(read, ({ length }) => length === 1);
    expect((event!.data as { url: string }).url).toBe(`${receiver.url}?…`);
    await receiver.stop();
  });
});
