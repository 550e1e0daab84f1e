/**
 * Deletes what is kept for a time only: events, deliveries that have ended, and, where that is asked for, idempotency keys. In
 * small batches, by one process at a time. Money is never deleted: transactions, entries, holds and wallets stay.
 */
import { Inject, Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { Background } from '../background.js';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { inTransaction } from '../database/transaction.js';

/** Any constant; a rule's place is the other half of its lock. */
const LOCK = 4_120_653;
/** Postings and their vacuum come first. */
const PAUSE_MS = 20;
/** A round ends by then; the next goes on. */
const ROUND_MS_MAX = 30_000;

/** To find what is needed, all deliveries that wait are gone through: before anything is locked, and not for each hundred batches. */
const NEEDED_MS_MAX = 1_000;

interface Rule {
  what: string;
  days: number;
  /** Deletes the oldest of those from before `$1` days ago, at most `$2`. @returns how many. */
  statement: string;
  most: number;
}

@Injectable()
export class Retention {
  constructor(
    private readonly dataSource: DataSource,
    background: Background,
    @Inject(CONFIG) config: Config,
  ) {
    const rules: Rule[] = [
      // A batch is what one group posted: about a hundred events under load.
      { what: 'events', days: config.eventRetentionDays, statement: OLD_EVENTS, most: 100 },
      { what: 'deliveries', days: config.deliveryRetentionDays, statement: OLD_DELIVERIES, most: 1_000 },
      { what: 'idempotency keys', days: config.idempotencyForgetDays, statement: OLD_KEYS, most: 1_000 },
    ];
    rules.forEach((rule, place) => {
      if (rule.days === 0) return;
      background.every({
        fault: `old ${rule.what} stay`,
        periodMs: config.retentionSweepSeconds * 1_000,
        round: (signal) => this.sweep(rule, place, signal),
      });
    });
  }

  private async sweep({ days, statement, most }: Rule, place: number, signal: AbortSignal): Promise<void> {
    const endsAt = performance.now() + ROUND_MS_MAX;
    const isOfEvents = statement === OLD_EVENTS;
    let [neededFrom, askedAt]: [unknown, number] = [null, -Infinity];
    for (let deleted = most; deleted === most && performance.now() < endsAt && !signal.aborted; await delay(PAUSE_MS)) {
      deleted = await inTransaction(this.dataSource, async (runner) => {
        const [lock]: RawRow[] = await runner.query('SELECT pg_try_advisory_xact_lock($1, $2) AS is_ours', [
          LOCK,
          place,
        ]);
        if (!lock!.is_ours) return 0;
        if (isOfEvents && performance.now() - askedAt > NEEDED_MS_MAX) {
          neededFrom = ((await runner.query(NEEDED_FROM)) as RawRow[])[0]!.needed_from;
          askedAt = performance.now();
        }
        // Whoever gives positions locks batches as well, in another order.
        if (isOfEvents) await runner.query('SELECT FROM outbox_place FOR UPDATE');
        const [row]: RawRow[] = await runner.query(statement, [days, most, ...(isOfEvents ? [neededFrom] : [])]);
        return Number(row!.deleted);
      });
    }
  }
}

/** What an active endpoint has not been sent yet, with an hour to spare, as times are not quite in order. */
const NEEDED_FROM = `
  SELECT min(created_at) - interval '1 hour' AS needed_from FROM (
    SELECT b.created_at FROM webhook_endpoints e CROSS JOIN LATERAL (
      SELECT created_at FROM outbox_batches WHERE position > e.position ORDER BY position LIMIT 1) b
     WHERE e.status = 'active'
    UNION ALL
    SELECT b.created_at FROM webhook_endpoints e CROSS JOIN LATERAL (
      SELECT min(batch) AS batch FROM webhook_deliveries WHERE endpoint_id = e.id AND status = 'pending') d
      JOIN outbox_batches b ON b.id = d.batch
     WHERE e.status = 'active'
    UNION ALL
    (SELECT created_at FROM outbox_batches
      WHERE position IS NULL AND EXISTS (SELECT FROM webhook_endpoints WHERE status = 'active') ORDER BY id LIMIT 1)) needed`;

/**
 * Always the oldest there are, so that what is left is whole from some moment on (`asper check` goes by that). Nothing from
 * `$3` on: an active endpoint may be behind. And not the last of those that are over, from which those who had read
 * everything go on, however long nothing came: by position, of the thousand newest.
 */
const OLD_EVENTS = `
  WITH newest AS (
    SELECT position, created_at FROM outbox_batches
     WHERE created_at < now() - make_interval(days => $1) ORDER BY created_at DESC LIMIT 1000),
  old AS (
    SELECT id FROM outbox_batches
     WHERE created_at < least(now() - make_interval(days => $1), $3::timestamptz,
                              (SELECT created_at FROM newest ORDER BY position DESC NULLS LAST LIMIT 1))
     ORDER BY created_at LIMIT $2),
  events AS (DELETE FROM outbox WHERE batch IN (SELECT id FROM old)),
  batches AS (DELETE FROM outbox_batches WHERE id IN (SELECT id FROM old) RETURNING id)
  SELECT count(*) AS deleted FROM batches`;

const OLD_DELIVERIES = `
  WITH gone AS (
    DELETE FROM webhook_deliveries WHERE id IN (
      SELECT id FROM webhook_deliveries WHERE ended_at < now() - make_interval(days => $1) ORDER BY ended_at LIMIT $2)
    RETURNING id)
  SELECT count(*) AS deleted FROM gone`;

/**
 * Never those of imports, whose movements are imported once, ever: a file of years ago may be imported again. No index leaves
 * them out: a round looks at a million of them in 0.2 s.
 */
const OLD_KEYS = `
  WITH gone AS (
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM idempotency_keys
       WHERE created_at < now() - make_interval(days => $1) AND scope NOT LIKE 'import:%' LIMIT $2))
    RETURNING key)
  SELECT count(*) AS deleted FROM gone`;
