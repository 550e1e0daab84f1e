/** Endpoints beside each other: what holds one up holds up no other. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { Receiver } from './support/receiver.js';
import { startService, type Service } from './support/service.js';

describe('webhook endpoints', () => {
  let service: Service;
  const receivers: Receiver[] = [];
  beforeAll(async () => {
    service = await startService({ WEBHOOK_RETRY_SECONDS: '0' }, { quiet: true });
  });
  afterEach(async () => {
    for (const receiver of receivers.splice(0)) await receiver.stop();
    await service.database.query('DELETE FROM webhook_endpoints');
    expect(await service.database.problems()).toEqual([]);
  });
  afterAll(() => service.stop());

  async function receive() {
    const receiver = await Receiver.start();
    receivers.push(receiver);
    const body = { url: receiver.url, types: ['transaction.posted'] };
    const { id } = expectStatus(201, await service.api.post<WebhookSecretBody>('/v1/webhook-endpoints', body));
    return Object.assign(receiver, { id });
  }
  const replay = (id: string, body: object) =>
    service.api.post<{ deliveries: number } & Problem>(`/v1/webhook-endpoints/${id}/replays`, body);

  it('do not wait for one that somebody has locked, which goes on where it was; a replay searches before it locks', async () => {
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

  it('are sent what is dead again, of the time that is asked for, and only where nothing was taken since', async () => {
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

  it('are all worked at within seconds, many as there are', async () => {
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
