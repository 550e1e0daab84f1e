/**
 * The SQL of what is due. A process takes a schedule by putting `due_at` ahead; if it dies, another takes it over then. What
 * became of an occurrence is written down only from `next_n`, so of two processes that worked at one, the second does nothing.
 */
import { Injectable } from '@nestjs/common';
import { DataSource, type QueryRunner } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { inTransaction } from '../database/transaction.js';
import type { ErrorCode } from '../errors.js';
import type { EventType } from '../events/event-types.js';
import { Outbox } from '../events/outbox.service.js';
import type { Occurrence, Passed, Times } from './occurrences.js';
import { Schedule, type Missed, type ScheduleStatus } from './schedule.entity.js';
import { scheduleBody } from './schedules.dto.js';

/** A posting takes milliseconds, or fails within GROUP_DEADLINE_MS. To take a schedule over too early is safe. */
export const LEASE_SECONDS = 15;

/** A schedule that this process has taken, with the occurrence that is due. */
export interface DueSchedule extends Times {
  id: string;
  fromWalletId: string;
  toWalletId: string;
  amountMinor: bigint;
  currency: string;
  description: string | null;
  reference: string | null;
  metadata: Schedule['metadata'];
  missed: Missed;
  missedBefore: Date | null;
  /** One that is not active was begun before it was paused or cancelled. */
  status: ScheduleStatus;
  next: Occurrence;
  /** How often it was begun, with this time. */
  attempts: number;
  /** Whether it is of a person who may no longer transfer. */
  isSuspended: boolean;
  /** When it was taken. */
  now: Date;
}

/** What became of an occurrence. */
export type Outcome = { kind: 'posted'; transactionId: string } | { kind: 'refused'; error: ErrorCode };

@Injectable()
export class ScheduleStore {
  constructor(
    private readonly dataSource: DataSource,
    private readonly outbox: Outbox,
  ) {}

  /** Takes schedules that are due, those that wait longest first. @param except wallets of which none is taken */
  async take(most: number, except: string[]): Promise<DueSchedule[]> {
    const [rows]: [RawRow[]] = await this.dataSource.query(TAKE, [most, except]);
    return rows.map(toDue);
  }

  /** Writes down the outcome of the occurrence that is due, and goes on to the next. */
  async advance({ id, next: done }: DueSchedule, outcome: Outcome, next: Occurrence | undefined): Promise<void> {
    const isPosted = outcome.kind === 'posted';
    const parameters = [
      ...[id, done.n, next?.n ?? done.n + 1, next?.at ?? null, done.at, outcome.kind],
      ...[isPosted ? outcome.transactionId : null, isPosted ? null : outcome.error],
      ...[isPosted ? 1 : 0, isPosted ? 0 : 1, 0],
    ];
    // What most come to is told by the transaction's own event, and is one statement.
    if (isPosted && next) return void (await this.dataSource.query(ADVANCE, parameters));
    await inTransaction(this.dataSource, (runner) =>
      this.advanceAndTell(runner, id, parameters, isPosted ? [] : ['schedule.refused']),
    );
  }

  /** Passes over missed occurrences. */
  async pass({ id, next: { n } }: DueSchedule, { count, last, next }: Passed): Promise<void> {
    const where = [id, n, next?.n ?? last.n + 1, next?.at ?? null];
    const parameters = [...where, last.at, 'skipped', null, null, 0, 0, count];
    await inTransaction(this.dataSource, (runner) => this.advanceAndTell(runner, id, parameters, []));
  }

  /** Nothing came of an occurrence that was begun before its schedule was paused or cancelled. */
  async settle({ id, next: { n } }: DueSchedule): Promise<void> {
    await this.dataSource.query(SETTLE, [id, n]);
  }

  /** Tries an occurrence again later. */
  async putOff({ id, next: { n } }: DueSchedule, seconds: number): Promise<void> {
    await this.dataSource.query(PUT_OFF, [id, n, seconds]);
  }

  private async advanceAndTell(runner: QueryRunner, id: string, parameters: unknown[], types: EventType[]) {
    const [rows]: [RawRow[]] = await runner.query(ADVANCE, parameters);
    if (rows.length === 0) return;
    const told: EventType[] = rows[0]!.is_completed ? [...types, 'schedule.changed'] : types;
    if (told.length === 0) return;
    const body = scheduleBody(await runner.manager.findOneByOrFail(Schedule, { id }));
    const subjects = [{ id, version: body.version }];
    await this.outbox.record(
      runner,
      told.map((type) => ({ type, objectId: id, subjects, body })),
    );
  }
}

function toDue(row: RawRow): DueSchedule {
  return {
    ...{ id: row.id, fromWalletId: row.from_wallet_id, toWalletId: row.to_wallet_id, currency: row.currency },
    ...{ amountMinor: BigInt(row.amount), description: row.description, reference: row.reference },
    ...{ metadata: row.metadata, every: row.every, startsAt: row.starts_at, timeZone: row.time_zone },
    ...{ endsAt: row.ends_at, missed: row.missed, missedBefore: row.missed_before, status: row.status },
    ...{
      next: { n: row.next_n, at: row.occurs_at },
      attempts: row.attempts,
      isSuspended: row.is_suspended,
      now: row.now,
    },
  };
}

const LEASE_END = `clock_now() + interval '${LEASE_SECONDS} seconds'`;

/** The next occurrence of a cancelled one is no longer kept, and stands in `begun_at`. */
const TAKE = `
  UPDATE schedules s SET due_at = ${LEASE_END}, attempts = attempts + 1, begun_at = coalesce(next_at, begun_at)
   WHERE id IN (
     SELECT id FROM schedules
      WHERE due_at <= clock_now() AND from_wallet_id <> ALL ($2::uuid[]) AND to_wallet_id <> ALL ($2::uuid[])
      ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
  RETURNING s.*, begun_at AS occurs_at, clock_now() AS now,
    EXISTS (SELECT FROM users u WHERE u.id = s.user_id AND u.status = 'suspended' AND s.created_by = 'user:' || u.id)
      AS is_suspended`;

const ADVANCE = `
  UPDATE schedules SET
         next_n = $3, next_at = CASE WHEN status IN ('active', 'paused') THEN $4::timestamptz END,
         due_at = CASE WHEN status = 'active' THEN $4::timestamptz END,
         status = CASE WHEN status IN ('active', 'paused') AND $4::timestamptz IS NULL THEN 'completed' ELSE status END,
         attempts = 0, begun_at = NULL, last_at = $5, last_outcome = $6, last_transaction_id = $7, last_error = $8,
         posted_count = posted_count + $9, refused_count = refused_count + $10, skipped_count = skipped_count + $11,
         version = version + 1, updated_at = clock_now()
   -- Nothing is passed over that somebody else has begun since it was taken.
   WHERE id = $1 AND next_n = $2 AND ($6 <> 'skipped' OR (status = 'active' AND attempts = 1))
  RETURNING $4::timestamptz IS NULL AND status = 'completed' AS is_completed`;

const SETTLE = `
  UPDATE schedules SET due_at = NULL, attempts = 0, begun_at = NULL
   WHERE id = $1 AND next_n = $2 AND status <> 'active'`;

const PUT_OFF = `
  UPDATE schedules SET due_at = clock_now() + $3 * interval '1 second' WHERE id = $1 AND next_n = $2 AND due_at IS NOT NULL`;
