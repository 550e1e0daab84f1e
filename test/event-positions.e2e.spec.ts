/** Positions of events where nobody has read for long, and while old events are deleted. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { eventId } from '../src/events/event-id.js';
import type { EventPageBody } from '../src/events/events.dto.js';
import type { WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { Receiver } from './support/receiver.js';
import { startService, type Service } from './support/service.js';
import { StreamReader } from './support/stream.js';

describe('positions of events', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService();
  });
  afterEach(async () => {
    expect(await service.database.problems()).toEqual([]);
    // The next begins without what nobody has read.
    await service.database.query(`
      SELECT FROM outbox_place FOR UPDATE;
      DELETE FROM outbox WHERE batch IN (SELECT id FROM outbox_batches WHERE created_at < now() - interval '1 hour');
      DELETE FROM outbox_batches WHERE created_at < now() - interval '1 hour'`);
  });
  afterAll(() => service.stop());

  const page = (query = '') => service.api.get<EventPageBody & Problem>(`/v1/events?limit=100${query}`);
  /** What postings leave where nobody reads events: batches of one event each, and none has a position. */
  const addUnread = (walletId: string, count: number) =>
    service.database.query(
      `WITH batch AS (INSERT INTO outbox_batches (created_at) SELECT now() - interval '1 day' FROM generate_series(1, $2) RETURNING id)
       INSERT INTO outbox (subject_id, batch, ordinal, place, type, object_id, version, balance, held, body)
       SELECT $1::uuid, id, 0, 0, 'wallet.changed', $1::uuid, NULL, NULL, NULL, '{}' FROM batch`,
      [walletId, count],
    );
  /** Nobody gives positions while `meanwhile` runs. */
  const whileUnplaced = <T>(meanwhile: () => Promise<T>) =>
    service.database.holding('SELECT FROM outbox_place FOR UPDATE', meanwhile);

  it('go on where old events are deleted in the moment in which they are given', async () => {
    const { api, database } = service;
    const { last_id: seen } = expectStatus(200, await page());
    const after = seen ? `&after=${seen}` : '';
    const retention = new pg.Client({ connectionString: database.url });
    await retention.connect();
    const wallet = await whileUnplaced(async () => {
      const made = await api.newWallet();
      const unplaced = 'outbox_batches WHERE position IS NULL';
      await retention.query(`UPDATE outbox_batches SET created_at = now() - interval '31 days' WHERE position IS NULL`);
      await retention.query(`
        BEGIN;
        DELETE FROM outbox WHERE batch IN (SELECT min(id) FROM ${unplaced});
        DELETE FROM outbox_batches WHERE id IN (SELECT min(id) FROM ${unplaced})`);
      return made;
    });
    try {
      const read = page(after);
      await database.locksAwaited(1);
      await retention.query('COMMIT');
      expect(expectStatus(200, await read).data.map(({ type }) => type)).toEqual(['wallet.opened']);
    } finally {
      await retention.end();
    }
    for (let n = 1; n <= 3; n++) {
      expectStatus(201, await api.credit(wallet.id, '1.00'));
      expect(expectStatus(200, await page(after)).data).toHaveLength(1 + n);
    }
  });

  it('are given before a new endpoint begins: it is sent what happens from then on, and nothing older', async () => {
    const { api } = service;
    const wallet = await api.newWallet();
    await addUnread(wallet.id, 25_000);
    const receiver = await Receiver.start();
    try {
      const made = await api.post<WebhookSecretBody>('/v1/webhook-endpoints', { url: receiver.url });
      const { id } = expectStatus(201, made);
      expectStatus(201, await api.credit(wallet.id, '1.00'));
      await receiver.until(({ taken }) => taken.some(({ event }) => event.type === 'transaction.posted'), 30_000);
      expect(receiver.taken.map(({ event }) => event.type)).toEqual(['transaction.posted']);
      expectStatus(200, await api.call('DELETE', `/v1/webhook-endpoints/${id}`));
    } finally {
      await receiver.stop();
    }
  });

  it('are no matter to whoever reads the events of a wallet on', async () => {
    const { api } = service;
    const wallet = await api.newWallet();
    await addUnread(wallet.id, 25_000);
    const credit = expectStatus(201, await api.credit(wallet.id, '1.00'));
    const [last] = await service.database.query(
      'SELECT id, created_at FROM outbox_batches ORDER BY id DESC OFFSET 1 LIMIT 1',
    );
    const after = eventId({ batch: BigInt(last.id), ordinal: 0 }, last.created_at);
    const { data } = expectStatus(200, await page(`&wallet_id=${wallet.id}&after=${after}`));
    expect(data.map((event) => (event.data as { id: string }).id)).toEqual([credit.id]);
    // In the order of all, nothing comes after it yet; each call puts some more in order.
    let all = expectStatus(200, await page(`&after=${after}`));
    for (let calls = 1; all.data.length === 0; calls++) {
      expect([all.last_id, all.has_more, calls <= 3]).toEqual([after, true, true]);
      all = expectStatus(200, await page(`&after=${after}`));
    }
    expect(all.data).toEqual(data);
  });

  it('are given by themselves, though nobody reads', async () => {
    const { api, database } = service;
    const unplaced = 'SELECT FROM outbox_batches WHERE position IS NULL';
    await whileUnplaced(async () => {
      await api.newWallet();
      expect(await database.query(unplaced)).not.toEqual([]);
    });
    for (const until = Date.now() + 15_000; (await database.query(unplaced)).length > 0; await delay(100))
      expect(Date.now()).toBeLessThan(until);
  });

  it('hold up no live balance', async () => {
    const { api } = service;
    const wallet = await api.newWallet('5.00');
    await addUnread(wallet.id, 50_000);
    const reader = await StreamReader.open(`${api.url}/v1/wallets/${wallet.id}/stream`);
    try {
      await reader.until(({ messages }) => messages.length === 1);
      expectStatus(201, await api.credit(wallet.id, '1.00'));
      await reader.until(({ last }) => last?.data.balance === '6.00', 1_000);
    } finally {
      reader.close();
    }
  });
});
