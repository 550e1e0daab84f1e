/** The SQL of sending webhooks: who works at an endpoint, which events it is due, and what became of each delivery. */
import { Injectable } from '@nestjs/common';
import { DataSource, type QueryRunner } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { inTransaction } from '../database/transaction.js';
import { eventId, placeOf } from '../events/event-id.js';
import type { EventType } from '../events/event-types.js';
import { typesOf } from '../events/events.queries.js';
import { newId } from '../ids.js';
import type { Attempt } from './webhook.entities.js';
import type { Waiting } from './webhook.order.js';

/** Whoever works at an endpoint says so anew well before this is over. */
export const LEASE_SECONDS = 15;
/**
 * Taken at once, five times a second: what starts together shares out. A tenth of many, so that a thousand take 10 s and not 250;
 * more would leave nothing to those that start a second later.
 */
const TAKEN_MIN = 4;
const TAKEN_SHARE = 10;
/** Events that become deliveries at once, and deliveries that may wait of one endpoint; the rest stay events for now. */
const DEALT_MAX = 2_000;
const PENDING_MAX = 50_000;
/** Endpoints dealt out to at once: all of them together would take every connection from the requests. */
const DEALING_MAX = 2;

/** An endpoint as the process that works at it sees it. */
export interface TakenEndpoint {
  id: string;
  url: string;
  types: string[];
  sealedSecret: Buffer;
  previousSecret: Buffer | null;
  previousExpiresAt: Date | null;
  position: bigint;
  /** It moves where somebody changes the endpoint. */
  version: number;
  /** How long it is with us from when we asked. */
  leaseMs: number;
  /** The number of the last delivery that waits; 0 where none does. */
  lastPending: bigint;
}

/** Its time is `performance.now()`: by the database's clock it is due in so many ms, whatever this machine's says. */
export interface PendingDelivery extends Waiting {
  n: bigint;
  eventId: string;
  attemptCount: number;
  firstAttemptAt: Date | null;
  hasEnded?: true;
}

/** An event that becomes a delivery. */
export interface Due {
  batch: string;
  ordinal: number;
  type: EventType;
  createdAt: Date;
  subjectIds: string[];
}

@Injectable()
export class WebhookStore {
  private readonly turns: Array<Promise<unknown>> = Array.from({ length: DEALING_MAX }, () => Promise.resolve());
  private dealt = 0;

  constructor(private readonly dataSource: DataSource) {}

  /** Takes some of the active endpoints that nobody works at, or that somebody has left. */
  async take(worker: string): Promise<TakenEndpoint[]> {
    const [rows]: [RawRow[]] = await this.dataSource.query(TAKE, [worker]);
    return rows.map(toTaken);
  }

  /** Stays with endpoints. @returns those that are still ours and active, as they are now. */
  async keep(worker: string, ids: string[]): Promise<TakenEndpoint[]> {
    const rows: RawRow[] = await this.dataSource.query(KEEP, [worker, ids]);
    return rows.map(toTaken);
  }

  /** Leaves endpoints to others. */
  async leave(worker: string, ids: string[]): Promise<void> {
    await this.dataSource.query(LEAVE, [worker, ids]);
  }

  /**
   * Makes deliveries of the next events for an endpoint.
   * @returns its new position, or nothing where it is no longer ours, has enough to do, or somebody else has locked it.
   */
  dealOut(worker: string, id: string, placed: bigint): Promise<bigint | undefined> {
    const place = this.dealt++ % DEALING_MAX;
    const turn = this.turns[place]!.then(() => this.deal(worker, id, placed));
    this.turns[place] = turn.catch(() => undefined);
    return turn;
  }

  private deal(worker: string, id: string, placed: bigint): Promise<bigint | undefined> {
    return inTransaction(this.dataSource, async (runner) => {
      const [endpoint]: RawRow[] = await runner.query(LOCK_TAKEN, [id, worker, PENDING_MAX]);
      if (!endpoint?.has_room) return undefined;
      const [end]: RawRow[] = await runner.query(END_OF_DEAL, [endpoint.position, String(placed), DEALT_MAX]);
      const types = endpoint.types.length === 0 ? null : typesOf(endpoint.types, 'types');
      const rows: RawRow[] = await runner.query(DUE, [endpoint.position, end!.position, types, id]);
      await insertDeliveries(runner, id, rows.map(toDue), false);
      await runner.query(DEALT, [id, end!.position]);
      return BigInt(end!.position);
    });
  }

  /** Deliveries that wait, in their order. */
  async pending(endpointId: string, after: bigint, most: number): Promise<PendingDelivery[]> {
    const askedAt = performance.now();
    const rows: RawRow[] = await this.dataSource.query(PENDING, [endpointId, String(after), most]);
    return rows.map((row) => ({
      ...{ id: row.id, n: BigInt(row.n), eventId: row.event_id, subjectIds: row.subject_ids },
      ...{ nextAttemptAt: askedAt + Number(row.due_in_ms), attemptCount: row.attempt_count },
      firstAttemptAt: row.first_attempt_at === null ? null : new Date(row.first_attempt_at),
    }));
  }

  /** Writes down an attempt that was taken. That it was failing is asked of the row, as the attempt may have begun before. */
  async delivered(endpointId: string, deliveryId: string, attempt: Attempt): Promise<void> {
    await this.dataSource.query(FINISH, [deliveryId, attempt, 'delivered']);
    await this.dataSource.query(
      'UPDATE webhook_endpoints SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL',
      [endpointId],
    );
  }

  /** Shows an endpoint as failing to which nothing can be sent. */
  async markFailing(endpointId: string): Promise<void> {
    await this.dataSource.query(
      'UPDATE webhook_endpoints SET failing_since = now() WHERE id = $1 AND failing_since IS NULL',
      [endpointId],
    );
  }

  /**
   * Writes down an attempt that failed. @param retryAfterMs until the next one; nothing where that was the last
   * @returns since when none has succeeded; nothing where the endpoint was deleted
   */
  async failed(
    endpointId: string,
    deliveryId: string,
    attempt: Attempt,
    retryAfterMs: number | undefined,
  ): Promise<Date | undefined> {
    if (retryAfterMs !== undefined) await this.dataSource.query(RETRY, [deliveryId, attempt, retryAfterMs]);
    else await this.dataSource.query(FINISH, [deliveryId, attempt, 'dead']);
    const [rows]: [RawRow[], number] = await this.dataSource.query(
      'UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, $2) WHERE id = $1 RETURNING failing_since',
      [endpointId, attempt.at],
    );
    return rows[0]?.failing_since;
  }
}

/** Makes deliveries, in the order given. */
export async function insertDeliveries(runner: QueryRunner, endpointId: string, due: Due[], isReplay: boolean) {
  if (due.length === 0) return;
  await runner.query(INSERT_DELIVERIES, [
    endpointId,
    isReplay,
    JSON.stringify(
      due.map(({ batch, ordinal, type, createdAt, subjectIds }) => ({
        ...{ id: newId(), event_id: eventId({ batch: BigInt(batch), ordinal }, createdAt), batch, ordinal, type },
        subject_ids: subjectIds,
      })),
    ),
  ]);
}

/** Where the event of a delivery stands. */
export const placeOfDelivery = ({ eventId: id }: Pick<PendingDelivery, 'eventId'>) => placeOf(id)!;

export function toDue(row: RawRow): Due {
  const { batch, ordinal, type, created_at: createdAt, subject_ids: subjectIds } = row;
  return { batch, ordinal, type, createdAt, subjectIds };
}

function toTaken(row: RawRow): TakenEndpoint {
  return {
    ...{ id: row.id, url: row.url, types: row.types, sealedSecret: row.sealed_secret },
    ...{ previousSecret: row.previous_secret, previousExpiresAt: row.previous_expires_at },
    ...{ position: BigInt(row.position), version: row.version },
    ...{ leaseMs: Number(row.lease_ms), lastPending: BigInt(row.last_pending) },
  };
}

const LEASE_END = `now() + interval '${LEASE_SECONDS} seconds'`;

/** The last one that waits is one step down an index: it costs an endpoint with nothing to do next to nothing. */
const TAKEN = `
  webhook_endpoints.*, extract(epoch FROM taken_until - now()) * 1000 AS lease_ms,
  coalesce((SELECT max(n) FROM webhook_deliveries d WHERE d.endpoint_id = webhook_endpoints.id AND d.status = 'pending'), 0)
    AS last_pending`;

const LEFT = `status = 'active' AND (taken_until IS NULL OR taken_until < now())`;

const TAKE = `
  UPDATE webhook_endpoints SET taken_by = $1, taken_until = ${LEASE_END}
   WHERE id IN (
     SELECT id FROM webhook_endpoints WHERE ${LEFT} ORDER BY taken_until NULLS FIRST
      LIMIT greatest(${TAKEN_MIN}, (SELECT count(*) / ${TAKEN_SHARE} FROM webhook_endpoints WHERE ${LEFT}))
        FOR UPDATE SKIP LOCKED)
  RETURNING ${TAKEN}`;

/**
 * One that somebody else has locked stays ours for as long as was said last. All of them waited for it, and so did all that was due
 * to them: an event for another endpoint took 9 seconds.
 */
const KEEP = `
  WITH ours AS (
    SELECT * FROM webhook_endpoints WHERE taken_by = $1 AND id = ANY($2::uuid[]) AND status = 'active'),
  free AS (
    SELECT id FROM webhook_endpoints WHERE id IN (SELECT id FROM ours) AND taken_by = $1 AND status = 'active'
       FOR UPDATE SKIP LOCKED),
  kept AS (
    UPDATE webhook_endpoints SET taken_until = ${LEASE_END} WHERE id IN (SELECT id FROM free) RETURNING *)
  SELECT ${TAKEN}
    FROM (SELECT * FROM kept UNION ALL SELECT * FROM ours WHERE id NOT IN (SELECT id FROM free)) webhook_endpoints`;

const LEAVE = `
  UPDATE webhook_endpoints SET taken_by = NULL, taken_until = NULL WHERE taken_by = $1 AND id = ANY($2::uuid[])`;

const LOCK_TAKEN = `
  SELECT position, types, (SELECT count(*) FROM (
           SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.status = 'pending' LIMIT $3) waiting) < $3 AS has_room
    FROM webhook_endpoints e WHERE id = $1 AND taken_by = $2 AND status = 'active' FOR UPDATE SKIP LOCKED`;

/** Whoever deals events out for long is found locked whenever its time is to be made longer. */
const DEALT = `UPDATE webhook_endpoints SET position = $2, taken_until = ${LEASE_END} WHERE id = $1`;

/** Whole batches, up to the one with the last event that there is room for. */
const END_OF_DEAL = `
  SELECT coalesce((
    SELECT b.position FROM outbox_batches b JOIN outbox e ON e.batch = b.id
     WHERE b.position > $1 AND b.position <= $2 ORDER BY b.position, e.ordinal OFFSET $3 LIMIT 1), $2) AS position`;

/** Trials of an endpoint are for that one alone. */
const DUE = `
  SELECT e.batch, e.ordinal, e.type, b.created_at, array_agg(e.subject_id ORDER BY e.place) AS subject_ids
    FROM outbox_batches b JOIN outbox e ON e.batch = b.id
   WHERE b.position > $1 AND b.position <= $2
     AND CASE e.type WHEN 'webhook_endpoint.test' THEN e.object_id = $4 ELSE $3::text[] IS NULL OR e.type = ANY($3) END
   GROUP BY b.position, e.batch, e.ordinal, e.type, b.created_at ORDER BY b.position, e.ordinal`;

const INSERT_DELIVERIES = `
  INSERT INTO webhook_deliveries (id, endpoint_id, event_id, batch, ordinal, event_type, subject_ids, is_replay, status)
  SELECT d.id, $1, d.event_id, d.batch, d.ordinal, d.type, d.subject_ids, $2, 'pending'
    FROM ROWS FROM (json_to_recordset($3::json)
      AS (id uuid, event_id uuid, batch bigint, ordinal int, type text, subject_ids uuid[])) WITH ORDINALITY AS d
   ORDER BY d.ordinality
  ON CONFLICT (endpoint_id, batch, ordinal) WHERE NOT is_replay DO NOTHING`;

/** Attempts are counted from when the plan began; those before are kept to be read. */
const PENDING = `
  SELECT id, n, event_id, subject_ids, extract(epoch FROM next_attempt_at - now()) * 1000 AS due_in_ms, attempt_count,
         attempts -> (jsonb_array_length(attempts) - attempt_count) ->> 'at' AS first_attempt_at
    FROM webhook_deliveries
   WHERE endpoint_id = $1 AND status = 'pending' AND n > $2 ORDER BY n LIMIT $3`;

/** SECURITY: what a receiver answers is kept in bounds by the sender. */
const FINISH = `
  UPDATE webhook_deliveries
     SET status = $3, attempts = attempts || $2::jsonb, attempt_count = attempt_count + 1, ended_at = now()
   WHERE id = $1 AND status = 'pending'`;

const RETRY = `
  UPDATE webhook_deliveries
     SET attempts = attempts || $2::jsonb, attempt_count = attempt_count + 1,
         next_attempt_at = now() + $3 * interval '1 millisecond'
   WHERE id = $1 AND status = 'pending'`;
