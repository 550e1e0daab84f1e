/** Webhooks of wallets, and of endpoints, beside each other: what holds one up holds up no other; and changes meanwhile. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { WebhookDeliveryBody, WebhookEndpointBody, WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { Receiver, type Answering } from './support/receiver.js';
import { startService, type Service } from './support/service.js';

describe('webhooks that a process works at', () => {
  let service: Service;
  const receivers: Receiver[] = [];
  beforeAll(async () => {
    service = await startService({ WEBHOOK_RETRY_SECONDS: '1' }, { quiet: true });
  });
  afterEach(async () => {
    for (const receiver of receivers.splice(0)) await receiver.stop();
    await service.database.query('DELETE FROM webhook_endpoints');
    expect(await service.database.problems()).toEqual([]);
  });
  afterAll(() => service.stop());

  async function receive(answering?: Answering) {
    const receiver = await Receiver.start(answering);
    receivers.push(receiver);
    const body = { url: receiver.url, types: ['transaction.posted'] };
    const { id } = expectStatus(201, await service.api.post<WebhookSecretBody>('/v1/webhook-endpoints', body));
    return Object.assign(receiver, { id });
  }
  /** Deliveries that wait for an hour, as after some attempts, or behind one that does. */
  const backlog = (endpointId: string, walletId: string, deliveries: number) =>
    service.database.query(
      `INSERT INTO webhook_deliveries
              (id, endpoint_id, event_id, batch, ordinal, event_type, subject_ids, is_replay, status, next_attempt_at)
       SELECT gen_random_uuid(), $1, gen_random_uuid(), 0, n, 'transaction.posted', ARRAY[$2::uuid], true, 'pending',
              now() + interval '1 hour'
         FROM generate_series(1, $3) n`,
      [endpointId, walletId, deliveries],
    );

  const rowsRead = async () => {
    const read = `SELECT idx_tup_fetch + seq_tup_read AS n FROM pg_stat_user_tables WHERE relname = 'webhook_deliveries'`;
    return Number((await service.database.query(read))[0].n);
  };

  it('come at once, and again in time, from a machine whose clock is half a minute behind the database', async () => {
    // Or from one whose clock is right, where the database is ahead.
    const lateClock = `const Real = Date;
      globalThis.Date = class extends Real {
        constructor(...given) { given.length > 0 ? super(...given) : super(Real.now() - 30_000); }
        static now() { return Real.now() - 30_000; }
      };`;
    const late = await startService({
      WEBHOOK_RETRY_SECONDS: '1',
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(lateClock)}`,
    });
    try {
      let attempts = 0;
      const receiver = await Receiver.start(() => (++attempts === 1 ? 503 : 204));
      receivers.push(receiver);
      const body = { url: receiver.url, types: ['wallet.opened'] };
      const { id } = expectStatus(201, await late.api.post<WebhookSecretBody>('/v1/webhook-endpoints', body));
      await late.api.newWallet();
      await receiver.until(({ taken }) => taken.length === 1, 4_000);
      const [delivery] = await late.database.query('SELECT attempts FROM webhook_deliveries WHERE endpoint_id = $1', [
        id,
      ]);
      expect(Date.now() - Date.parse(delivery!.attempts[0].at)).toBeGreaterThan(29_000);
    } finally {
      await late.stop();
    }
  });

  it('wait for an endpoint whose secret cannot be opened any more, which is shown as failing, and go at once after a new one', async () => {
    const { api, database } = service;
    const receiver = await receive();
    const path = `/v1/webhook-endpoints/${receiver.id}`;
    await database.query(`UPDATE webhook_endpoints SET sealed_secret = sealed_secret || '\\x00' WHERE id = $1`, [
      receiver.id,
    ]);
    await api.newWallet('1.00');
    const isFailing = async () => expectStatus(200, await api.get<WebhookEndpointBody>(path)).failing_since !== null;
    for (let tries = 0; tries < 50 && !(await isFailing()); tries++) await delay(100);
    expect(await isFailing()).toBe(true);
    const attempts = `SELECT status, attempt_count FROM webhook_deliveries WHERE endpoint_id = $1`;
    expect(await database.query(attempts, [receiver.id])).toEqual([{ status: 'pending', attempt_count: 0 }]);
    expect(receiver.received).toEqual([]);
    expectStatus(201, await api.post(`${path}/rotate-secret`, {}));
    await receiver.until(({ taken }) => taken.length === 1, 4_000);
    for (let tries = 0; tries < 50 && (await isFailing()); tries++) await delay(100);
    expect(await isFailing()).toBe(false);
  });

  it('bring what happens to others behind a backlog of one wallet, and read that once', async () => {
    const [refused, other] = [await service.api.newWallet(), await service.api.newWallet('10.00')];
    const receiver = await receive();
    await backlog(receiver.id, refused.id, 25_000);
    for (let n = 0; n < 2; n++) {
      expectStatus(201, await service.api.debit(other.id, '1.00'));
      await receiver.until(({ taken }) => taken.length === n + 1, 4_000); // it never came, and a core was busy
    }
    // Then it is left alone. PostgreSQL tells a second later what was read.
    for (let [before, tries] = [-Infinity, 0]; ; tries++, await delay(1_100)) {
      const after = await rowsRead();
      if (after - before < 100) break;
      expect(tries).toBeLessThan(5);
      before = after;
    }
  });

  it('bring what happens to others also while one is under way that gets no answer', async () => {
    const [hanging, other] = [await service.api.newWallet('1.00'), await service.api.newWallet('10.00')];
    const receiver = await receive(({ event }) =>
      event.wallets.some(({ wallet_id: id }) => id === hanging.id) ? undefined : 204,
    );
    expectStatus(201, await service.api.debit(hanging.id, '1.00'));
    await receiver.until(({ received }) => received.length === 1);
    await backlog(receiver.id, hanging.id, 1_500);
    expectStatus(201, await service.api.debit(other.id, '1.00'));
    await receiver.until(({ taken }) => taken.length === 1, 3_000); // 15 s, until the attempt was given up
  });

  it('wait for as long as Retry-After says, a date too, and are tried at once when it is made active again at once', async () => {
    let isDown = true;
    const receiver = await receive((_, response) => {
      if (!isDown) return 204;
      response
        .setHeader('retry-after', new Date(Date.now() + 3_600_000).toUTCString())
        .writeHead(503)
        .end();
    });
    const path = `/v1/webhook-endpoints/${receiver.id}`;
    await service.api.newWallet('1.00');
    await receiver.until(({ received }) => received.length === 1);
    const next = async () =>
      expectStatus(200, await service.api.get<{ data: WebhookDeliveryBody[] }>(`${path}/deliveries`)).data[0]!;
    while ((await next()).attempts.length === 0) await delay(20);
    const seconds = (Date.parse((await next()).next_attempt_at!) - Date.now()) / 1_000;
    expect([seconds > 3_500, seconds <= 3_600]).toEqual([true, true]);
    isDown = false;
    for (const status of ['disabled', 'active']) expectStatus(200, await service.api.call('PATCH', path, { status }));
    await receiver.until(({ taken }) => taken.length === 1, 4_000);
  });

  it('do not disable it where something was taken meanwhile, also of an attempt that began before', async () => {
    const [refused, slow] = [await service.api.newWallet('1.00'), await service.api.newWallet('1.00')];
    let answerSlow: () => void;
    const receiver = await receive((received, response) => {
      if (received.event.wallets.some(({ wallet_id: id }) => id === refused.id)) return 500;
      answerSlow = () => response.writeHead((received.status = 204)).end();
    });
    const path = `/v1/webhook-endpoints/${receiver.id}`;
    const endpoint = async () => expectStatus(200, await service.api.get<WebhookEndpointBody>(path));
    expectStatus(201, await service.api.debit(slow.id, '1.00'));
    await receiver.until(({ received }) => received.length === 1);
    await delay(1_300); // whoever sends looks at the endpoint every second
    expectStatus(201, await service.api.debit(refused.id, '1.00'));
    while ((await endpoint()).failing_since === null) await delay(20);
    answerSlow!();
    await receiver.until(({ received }) => received.length === 3);
    const dead = async () =>
      expectStatus(200, await service.api.get<{ data: unknown[] }>(`${path}/deliveries?status=dead`)).data.length;
    while ((await dead()) === 0) await delay(20);
    await delay(200);
    expect((await endpoint()).status).toBe('active');
  });

  const replay = (id: string, body: object) =>
    service.api.post<{ deliveries: number } & Problem>(`/v1/webhook-endpoints/${id}/replays`, body);

  it('of others do not wait for one that somebody has locked, which goes on where it was; a replay searches before it locks', async () => {
    const { api, database } = service;
    const [locked, other] = [await receive(), await receive()];
    const wallet = await api.newWallet('10.00');
    for (const receiver of [locked, other]) await receiver.until(({ taken }) => taken.length === 1);
    const takers = () => database.query('SELECT taken_by FROM webhook_endpoints ORDER BY id');
    const before = await takers();
    await database.query('BEGIN');
    await database.query('SELECT FROM webhook_endpoints WHERE id = $1 FOR UPDATE', [locked.id]);
    try {
      for (let n = 2; n <= 5; n++, await delay(400)) {
        expectStatus(201, await api.debit(wallet.id, '1.00'));
        await other.until(({ taken }) => taken.length === n, 1_000);
      }
      const gone = await replay(locked.id, { event_id: '0199a3c2-a0d4-7000-8000-000000000000' });
      expect(gone.body.code).toBe('events_expired');
    } finally {
      await database.query('ROLLBACK');
    }
    await locked.until(({ taken }) => taken.length === 5, 2_000);
    expect(await takers()).toEqual(before);
  });

  it('are sent again where they are dead, of the time that is asked for, and only where nothing was taken since', async () => {
    const { api, database } = service;
    const receiver = await receive();
    const wallet = await api.newWallet('10.00');
    for (let n = 0; n < 4; n++) expectStatus(201, await api.debit(wallet.id, '1.00'));
    await receiver.until(({ taken }) => taken.length === 5);
    const ids = receiver.taken.map(({ id }) => id);
    for (const end = Date.now() + 2_000; Date.now() < end; await delay(20)) {
      if ((await database.query(`SELECT FROM webhook_deliveries WHERE status = 'pending'`)).length === 0) break;
    }
    const kill = (...those: string[]) =>
      database.query(`UPDATE webhook_deliveries SET status = 'dead' WHERE event_id = ANY($1::uuid[])`, [those]);
    const dead = async (from: string, before?: string) =>
      expectStatus(201, await replay(receiver.id, { from, before, only: 'dead' })).deliveries;
    await kill(ids[1]!, ids[3]!);
    const third = receiver.taken[3]!.event.timestamp;
    expect(await dead('1969-12-31T00:00:00Z', receiver.taken[0]!.event.timestamp)).toBe(0);
    expect(await dead(third)).toBe(1);
    await receiver.until(({ received }) => received.at(-1)!.id === ids[3] && received.length === 6);
    expect(await dead('1969-12-31T00:00:00Z')).toBe(1); // the other was taken since, or waits
    await receiver.until(({ received }) => received.length === 7);
    expect(receiver.received.at(-1)!.id).toBe(ids[1]);
  });

  it('of many endpoints are all worked at within seconds', async () => {
    await receive();
    await service.database.query(`
      INSERT INTO webhook_endpoints (id, url, types, status, sealed_secret, position, created_by)
      SELECT gen_random_uuid(), e.url, e.types, e.status, e.sealed_secret, e.position, e.created_by
        FROM webhook_endpoints e, generate_series(1, 60)`);
    const left = () => service.database.query('SELECT FROM webhook_endpoints WHERE taken_by IS NULL');
    for (const end = Date.now() + 6_000; (await left()).length > 0; await delay(50))
      expect(Date.now()).toBeLessThan(end); // of 15 s, which it took with four a second
  });
});
