/** What of an endpoint is in memory, and what its rows say: backlogs of one wallet that hold up no other, and changes meanwhile. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { WebhookDeliveryBody, WebhookEndpointBody, WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus } from './support/client.js';
import { Receiver, type Answering } from './support/receiver.js';
import { startService, type Service } from './support/service.js';

describe('webhooks of an endpoint that a process works at', () => {
  let service: Service;
  const receivers: Receiver[] = [];
  beforeAll(async () => {
    service = await startService({ WEBHOOK_RETRY_SECONDS: '1' }, { quiet: true });
  });
  afterEach(async () => {
    for (const receiver of receivers.splice(0)) await receiver.stop();
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
  const remove = async ({ id }: { id: string }) =>
    expectStatus(200, await service.api.call('DELETE', `/v1/webhook-endpoints/${id}`));
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
    await remove(receiver);
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
    await remove(receiver);
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
    await remove(receiver);
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
    await remove(receiver);
  });
});
