/** Webhooks: every event arrives at least once, signed, in the order of each wallet, whatever the receiver does (R19). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { EventPageBody } from '../src/events/events.dto.js';
import type {
  ReplayBody,
  WebhookDeliveryBody,
  WebhookEndpointBody,
  WebhookSecretBody,
} from '../src/webhooks/webhooks.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { eventually, Receiver, type Answering } from './support/receiver.js';
import { startService, type Service } from './support/service.js';

type Extra = Record<string, unknown>;

describe('webhooks', () => {
  let service: Service;
  const receivers: Receiver[] = [];
  const endpoints: string[] = [];
  beforeAll(async () => {
    service = await startService({ WEBHOOK_RETRY_SECONDS: '0,0,0,1', WEBHOOK_TIMEOUT_MS: '1500' }, { quiet: true });
  });
  afterEach(async () => {
    for (const id of endpoints.splice(0)) await service.api.call('DELETE', `/v1/webhook-endpoints/${id}`);
    for (const receiver of receivers.splice(0)) await receiver.stop();
    expect(await service.database.problems()).toEqual([]);
  });
  afterAll(() => service.stop());

  async function receive(answering?: Answering, extra: Extra = {}) {
    const receiver = await Receiver.start(answering);
    receivers.push(receiver);
    const endpoint = expectStatus(
      201,
      await service.api.post<WebhookSecretBody>('/v1/webhook-endpoints', { url: receiver.url, ...extra }),
    );
    endpoints.push(endpoint.id);
    receiver.secrets.push(endpoint.secret!);
    return Object.assign(receiver, { endpoint });
  }
  const read = async (id: string) =>
    expectStatus(200, await service.api.get<WebhookEndpointBody>(`/v1/webhook-endpoints/${id}`));
  const change = (id: string, changes: Extra) =>
    service.api.call<WebhookEndpointBody & Problem>('PATCH', `/v1/webhook-endpoints/${id}`, changes);
  const deliveries = async (id: string, query = '') =>
    expectStatus(
      200,
      await service.api.get<{ data: WebhookDeliveryBody[] }>(`/v1/webhook-endpoints/${id}/deliveries?${query}`),
    ).data;

  it('bring what GET /v1/events tells, signed as the official library wants it', async () => {
    const receiver = await receive();
    const wallet = await service.api.newWallet('100.00');
    expectStatus(201, await service.api.debit(wallet.id, '1.00', { description: 'नमस्ते', metadata: { n: 1 } }));
    await receiver.until(({ taken }) => taken.length === 4);
    const { data } = await eventually(
      async () => expectStatus(200, await service.api.get<EventPageBody>(`/v1/events?wallet_id=${wallet.id}`)),
      ({ data }) => data.length === 3,
    );
    // What concerns the user and what concerns the wallet are in no order to each other.
    const [user, ofWallet] = [true, false].map((isUser) =>
      receiver.taken.map(({ event }) => event).filter(({ type }) => (type === 'user.registered') === isUser),
    );
    expect([user!.length, ofWallet]).toEqual([1, data]);
    expect(data.map(({ type }) => type)).toEqual(['wallet.opened', 'transaction.posted', 'transaction.posted']);
    expect(receiver.taken.map(({ id, event }) => id === event.id)).toEqual([true, true, true, true]);
    expect(receiver.unsigned).toEqual([]);
    expect(receiver.received[0]!.headers['content-type']).toBe('application/json');
    await eventually(
      () => deliveries(receiver.endpoint.id, 'status=delivered'),
      (found) => found.length === 4,
    );
  });

  it('bring the types that are asked for, and trials to the one that is tried', async () => {
    const holds = await receive(undefined, { types: ['hold.*', 'wallet.frozen'] });
    const other = await receive(undefined, { types: ['user.changed'] });
    const wallet = await service.api.newWallet('100.00');
    const hold = expectStatus(201, await service.api.hold(wallet.id, '1.00'));
    expectStatus(201, await service.api.void(hold.id));
    expectStatus(201, await service.api.setStatus(wallet.id, 'freeze'));
    expectStatus(201, await service.api.post(`/v1/webhook-endpoints/${holds.endpoint.id}/test`, {}));
    await holds.until(({ taken }) => taken.length === 4);
    const types = holds.taken.map(({ event }) => event.type);
    expect(types).toContain('webhook_endpoint.test'); // ordered with itself alone
    expect(types.filter((type) => type !== 'webhook_endpoint.test')).toEqual([
      ...['hold.created', 'hold.voided', 'wallet.frozen'],
    ]);
    await delay(500);
    expect(other.received).toEqual([]);
  });

  it('come again after a 500, a dropped connection, silence and a redirect, under the same id', async () => {
    const elsewhere = await Receiver.start();
    receivers.push(elsewhere);
    const troubles: Answering[] = [
      () => 500,
      (_, response) => void response.destroy(),
      () => undefined,
      (_, response) => void response.writeHead(307, { location: elsewhere.url }).end(),
    ];
    const receiver = await receive((received, response) => (troubles.shift() ?? (() => 204))(received, response), {
      types: ['wallet.opened'],
    });
    await service.api.newWallet();
    await receiver.until(({ taken }) => taken.length === 1);
    expect(receiver.received).toHaveLength(5);
    expect(new Set(receiver.received.map(({ id, text }) => id + text)).size).toBe(1);
    expect(elsewhere.received).toEqual([]);
    const [{ attempts, status }] = (await eventually(
      () => deliveries(receiver.endpoint.id),
      ([delivery]) => delivery?.status === 'delivered',
    )) as [WebhookDeliveryBody];
    expect([status, attempts.map(({ status_code, error, response }) => [status_code, error, response])]).toEqual([
      'delivered',
      [
        [500, 'answered 500', 'try later'],
        [null, 'no answer: ECONNRESET', null],
        [null, 'no answer within 1500 ms', null],
        [307, 'answered 307; redirects are not followed', ''],
        [204, null, ''],
      ],
    ]);
  });

  it('come in the order of each wallet; what fails for one holds up no other, nor another endpoint', async () => {
    const ids: string[] = [];
    const stubborn = new Map<string, number>();
    const receiver = await receive(
      ({ event }) => {
        const isStuck = event.wallets.some(({ wallet_id }) => wallet_id === ids[0]);
        if (!isStuck) return 204;
        const tries = (stubborn.get(event.id) ?? 0) + 1;
        stubborn.set(event.id, tries);
        return tries > 2 ? 204 : 503;
      },
      { types: ['transaction.posted'] },
    );
    const slow = await receive((received, response) => {
      received.status = 200;
      setTimeout(() => response.end(), 200);
    });
    const prompt = await receive(undefined, { types: ['transaction.posted'] });
    for (let i = 0; i < 3; i++) ids.push((await service.api.newWallet('100.00')).id);
    // Everything is due at once, so that only the order tells what is sent when.
    expectStatus(200, await change(receiver.endpoint.id, { status: 'disabled' }));
    for (let i = 0; i < 10; i++) {
      for (const id of ids) expectStatus(201, await service.api.debit(id, '1.00'));
      expectStatus(201, await service.api.transfer(ids[1]!, ids[2]!, '1.00'));
    }
    expectStatus(200, await change(receiver.endpoint.id, { status: 'active' }));
    await prompt.until(({ taken }) => taken.length === 43, 4_000);
    expect(slow.taken.length).toBeLessThan(43);
    await receiver.until(({ taken }) => taken.length === 43, 20_000);
    for (const { taken } of [receiver, prompt]) {
      for (const id of ids) {
        const versions = taken
          .flatMap(({ event }) => event.wallets.filter((w) => w.wallet_id === id))
          .map((w) => w.version);
        expect(versions).toEqual(versions.toSorted((a, b) => a - b));
      }
    }
    const lastOf = (id: string) =>
      receiver.taken.findLastIndex(({ event }) => event.wallets.some((w) => w.wallet_id === id));
    expect(lastOf(ids[1]!)).toBeLessThan(lastOf(ids[0]!));
  });

  it('that nobody takes are dead after the last attempt; the endpoint is disabled, with a notice, and can be caught up', async () => {
    let isDown = true;
    const watcher = await receive(undefined, { types: ['webhook_endpoint.*'] });
    const receiver = await receive(() => (isDown ? 500 : 204), { types: ['transaction.posted'] });
    const { id } = receiver.endpoint;
    const wallet = await service.api.newWallet('1.00');
    const isDisabled = () =>
      eventually(
        () => read(id),
        ({ status }) => status === 'disabled',
      );
    const disabled = await isDisabled();
    expect([disabled.disabled_reason, typeof disabled.failing_since]).toEqual(['failing', 'string']);
    expect(await deliveries(id, 'status=dead')).toHaveLength(1);
    await watcher.until(({ taken }) => taken.length === 1);
    const notice = { type: 'webhook_endpoint.disabled', data: { id, disabled_reason: 'failing' } };
    expect(watcher.taken[0]!.event).toMatchObject(notice);

    for (let i = 0; i < 3; i++) expectStatus(201, await service.api.credit(wallet.id, '1.00'));
    const [first, tried] = [receiver.received[0]!.id, receiver.received.length];
    expectStatus(200, await change(id, { status: 'active' })); // too early: it has the whole plan again, and is disabled again
    await isDisabled();
    expect(receiver.received.slice(tried).map((again) => again.id)).toEqual(Array(tried).fill(first));

    // Nor is it forgotten where an operator gives it up for a while.
    for (const status of ['active', 'disabled']) expectStatus(200, await change(id, { status }));
    const trial = await service.api.post<Problem>(`/v1/webhook-endpoints/${id}/test`, undefined);
    expect([trial.status, trial.body.code]).toEqual([409, 'webhook_endpoint_disabled']);

    isDown = false;
    expectStatus(200, await change(id, { status: 'active' }));
    await receiver.until(({ taken }) => taken.length === 4);
    expect(receiver.taken[0]!.id).toBe(first);
    expect(receiver.taken.map(({ event }) => event.wallets[0]!.version)).toEqual([2, 3, 4, 5]);
    expect(await deliveries(id, 'status=dead')).toEqual([]);
  });

  it('are tried at once when their endpoint is made active again, however far their next try was put off', async () => {
    let isDown = true;
    const receiver = await receive(() => (isDown ? 500 : 204), { types: ['transaction.posted'] });
    const { id } = receiver.endpoint;
    await service.api.newWallet('1.00');
    await receiver.until(({ received }) => received.length >= 2);
    expectStatus(200, await change(id, { status: 'disabled' }));
    await delay(300);
    await service.database.query(
      `UPDATE webhook_deliveries SET next_attempt_at = now() + interval '1 day' WHERE endpoint_id = $1`,
      [id],
    );
    isDown = false;
    expectStatus(200, await change(id, { status: 'active' }));
    await receiver.until(({ taken }) => taken.length === 1, 5_000);
  });

  it('take no connections from the requests, however many endpoints there are', async () => {
    const { api, database } = service;
    const wallet = await api.newWallet('10.00');
    const receiver = await receive(undefined, { types: ['hold.*'] });
    for (let i = 0; i < 19; i++) {
      const body = { url: receiver.url, types: ['hold.*'] };
      endpoints.push(expectStatus(201, await api.post<WebhookSecretBody>('/v1/webhook-endpoints', body)).id);
    }
    const taken = 'SELECT count(*)::int AS n FROM webhook_endpoints WHERE taken_by IS NOT NULL';
    await eventually(
      () => database.query(taken),
      ([{ n }]) => n === 20,
    );
    // All of them are worked at, and nobody gets on.
    await database.query('BEGIN; SELECT FROM webhook_endpoints FOR UPDATE');
    try {
      for (let i = 0; i < 5; i++, await delay(200)) {
        const since = performance.now();
        expectStatus(201, await api.debit(wallet.id, '1.00'));
        expect(performance.now() - since).toBeLessThan(1_000);
      }
    } finally {
      await database.query('ROLLBACK');
    }
  });

  it('end at once where the receiver says that it is gone', async () => {
    const receiver = await receive(() => 410);
    await service.api.newWallet();
    const endpoint = await eventually(
      () => read(receiver.endpoint.id),
      ({ status }) => status === 'disabled',
    );
    expect(endpoint.disabled_reason).toBe('gone');
  });

  it('can be asked for again, one or those of a time', async () => {
    const receiver = await receive(undefined, { types: ['transaction.posted'] });
    const { id } = receiver.endpoint;
    const from = new Date().toISOString();
    const wallet = await service.api.newWallet('10.00');
    for (let i = 0; i < 4; i++) expectStatus(201, await service.api.debit(wallet.id, '1.00'));
    await receiver.until(({ taken }) => taken.length === 5);
    const replay = (body: Extra, key?: string) =>
      service.api.post<ReplayBody & Problem>(`/v1/webhook-endpoints/${id}/replays`, body, key);
    const one = receiver.taken[2]!;
    for (let i = 0; i < 2; i++)
      expect(expectStatus(201, await replay({ event_id: one.id }, 'again')).deliveries).toBe(1);
    await receiver.until(({ received }) => received.length === 6);
    expect(receiver.received[5]!.text).toBe(one.text);
    expect(expectStatus(201, await replay({ from })).deliveries).toBe(5);
    await receiver.until(({ received }) => received.length === 11);
    expect(receiver.received.slice(6).map(({ id: event }) => event)).toEqual(
      receiver.taken.map(({ id: event }) => event),
    );
    expect(expectStatus(201, await replay({ from: new Date().toISOString() })).deliveries).toBe(0);
    expect((await service.api.actsOn(id)).map(({ details }) => details?.deliveries)).toEqual([0, 5, 1, undefined]);
    expect((await replay({})).status).toBe(422);
    expect((await replay({ event_id: one.id, from })).status).toBe(422);
    expect((await replay({ from, before: from })).body.detail).toBe('before must be after from');
  });

  it('can be asked for again from the command line', async () => {
    const receiver = await receive(undefined, { types: ['wallet.opened'] });
    const { id } = receiver.endpoint;
    const from = new Date(Date.now() - 1_000).toISOString();
    await service.api.newWallet();
    await receiver.until(({ taken }) => taken.length === 1);
    const asper = (...args: string[]) => service.database.asper('webhooks', ...args);
    const said = await Promise.all([
      asper('list'),
      asper('replay', id, '--event', receiver.taken[0]!.id),
      asper('replay', id, '--from', from, '--only', 'dead'),
    ]);
    expect(said.map(({ stdout }) => stdout).join('')).toBe(
      `${id}  active  ${receiver.url}  wallet.opened\n1 delivery is on the way, or to be when the endpoint is active.\n0 deliveries are on the way, or to be when the endpoint is active.\n`,
    );
    await receiver.until(({ received }) => received.length === 2);
    const refusals = [[id], [id, '--from', 'yesterday'], ['0199a3c2-a0d4-7000-8000-000000000000', '--from', from]];
    const refused = await Promise.all(refusals.map((args) => asper('replay', ...args)));
    expect(refused.map(({ code, stderr }) => [code, stderr])).toEqual([
      [2, expect.stringContaining('event_id or from is needed, and not both')],
      [2, expect.stringContaining('from must be')],
      [2, expect.stringContaining('There is no webhook endpoint')],
    ]);
  });

  it('are signed with both secrets while they overlap, and the new one is shown once', async () => {
    const receiver = await receive(undefined, { types: ['wallet.opened'] });
    const path = `/v1/webhook-endpoints/${receiver.endpoint.id}/rotate-secret`;
    const rotated = expectStatus(
      201,
      await service.api.post<WebhookSecretBody>(path, { overlap_seconds: 3_600 }, 'rotate'),
    );
    expect(rotated.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(
      expectStatus(201, await service.api.post<WebhookSecretBody>(path, { overlap_seconds: 3_600 }, 'rotate')).secret,
    ).toBeNull();
    receiver.secrets.push(rotated.secret!);
    await delay(1_500); // whoever sends looks every second
    await service.api.newWallet();
    await receiver.until(({ taken }) => taken.length === 1);
    expect(receiver.unsigned).toEqual([]);
    expect(receiver.received[0]!.headers['webhook-signature']).toMatch(/^v1,\S+ v1,\S+$/);
    const [row] = await service.database.query('SELECT e::text FROM webhook_endpoints e WHERE id = $1', [
      receiver.endpoint.id,
    ]);
    for (const secret of receiver.secrets)
      expect(row.e).not.toContain(Buffer.from(secret.slice(6), 'base64').toString('hex'));
  });

  it('are written down for the audit, and can be changed only by the version that was seen', async () => {
    const receiver = await receive();
    const { id } = receiver.endpoint;
    const path = `/v1/webhook-endpoints/${id}`;
    const stale = await service.api.call<Problem>('PATCH', path, { description: 'x' }, { 'if-match': '"7"' });
    expect(stale.status).toBe(412);
    expectStatus(200, await change(id, { description: 'Orders', types: ['hold.*'] }));
    expectStatus(200, await change(id, { url: `${receiver.endpoint.url}?token=planted` }));
    expectStatus(200, await service.api.call('DELETE', path));
    expect(JSON.stringify(await service.api.actsOn(id))).not.toContain('planted');
    expect((await service.api.get<Problem>(path)).body.code).toBe('webhook_endpoint_not_found');
    expect((await service.api.actsOn(id)).map(({ action }) => action)).toEqual([
      ...['webhook.deleted', 'webhook.changed', 'webhook.changed', 'webhook.created'],
    ]);
  });
});
