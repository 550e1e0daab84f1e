/** Positions of events where nobody has read for long, and while old events are deleted. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { EventPageBody } from '../src/events/events.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

describe('positions of events', () => {
  let service: Service;
  beforeEach(async () => {
    service = await startService();
  });
  afterEach(async () => {
    expect(await service.database.problems()).toEqual([]);
    await service.stop();
  });

  const page = (query = '') => service.api.get<EventPageBody & Problem>(`/v1/events?limit=100${query}`);

  it('go on where old events are deleted in the moment in which they are given', async () => {
    const { api, database } = service;
    const wallet = await api.newWallet();
    await database.query(`UPDATE outbox_batches SET created_at = now() - interval '31 days'`);
    const retention = new pg.Client({ connectionString: database.url });
    await retention.connect();
    try {
      await retention.query(`
        BEGIN;
        DELETE FROM outbox WHERE batch IN (SELECT min(id) FROM outbox_batches);
        DELETE FROM outbox_batches WHERE id IN (SELECT min(id) FROM outbox_batches)`);
      const read = page();
      const waits = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%place_events%'`;
      while ((await database.query(waits)).length === 0) await delay(10);
      await retention.query('COMMIT');
      expect(expectStatus(200, await read).data.map(({ type }) => type)).toEqual(['wallet.opened']);
    } finally {
      await retention.end();
    }
    for (let n = 1; n <= 3; n++) {
      expectStatus(201, await api.credit(wallet.id, '1.00'));
      expect(expectStatus(200, await page()).data).toHaveLength(1 + n);
    }
  });
});
