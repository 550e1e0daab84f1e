import { Check, Column, Entity, Index, PrimaryColumn, VersionColumn } from 'typeorm';
import type { ErrorCode } from '../errors.js';
import { minorUnits } from '../money.js';
import type { Metadata } from '../users/user.entity.js';
import type { Rhythm } from './occurrences.js';

export const SCHEDULE_STATUSES = ['active', 'paused', 'completed', 'cancelled'] as const;
export type ScheduleStatus = (typeof SCHEDULE_STATUSES)[number];
/** What becomes of occurrences that were missed: each is posted late, in order, or they are passed over. */
export const MISSED = ['skip', 'catch_up'] as const;
export type Missed = (typeof MISSED)[number];
export const OUTCOMES = ['posted', 'refused', 'skipped'] as const;
/** What became of an occurrence, for good. */
export type OccurrenceOutcome = (typeof OUTCOMES)[number];

/** A transfer that is to be posted once later, or again and again. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('schedules')
@Index('schedules_due_idx', { synchronize: false })
@Index('schedules_wallet_idx', ['fromWalletId', 'id'])
@Index('schedules_user_idx', { synchronize: false })
@Index('schedules_status_idx', ['status', 'id'])
@Check('schedules_amount_positive', 'amount > 0')
@Check('schedules_wallets_differ', 'from_wallet_id <> to_wallet_id')
@Check('schedules_every_known', `every IN ('once', 'daily', 'weekly', 'monthly')`)
@Check('schedules_missed_known', `missed IN ('skip', 'catch_up')`)
@Check('schedules_status_known', `status IN ('active', 'paused', 'completed', 'cancelled')`)
@Check('schedules_outcome_known', `last_outcome IN ('posted', 'refused', 'skipped')`)
@Check('schedules_open_has_next', `(status IN ('active', 'paused')) = (next_at IS NOT NULL)`)
@Check('schedules_active_is_due', `status <> 'active' OR due_at IS NOT NULL`)
@Check('schedules_last_has_outcome', `(last_at IS NULL) = (last_outcome IS NULL)`)
export class Schedule {
  @PrimaryColumn('uuid')
  id: string;

  /** Who owns the wallet that pays; null: the house. It never changes. */
  @Column('uuid', { name: 'user_id', nullable: true })
  userId: string | null;

  @Column('uuid', { name: 'from_wallet_id' })
  fromWalletId: string;

  @Column('uuid', { name: 'to_wallet_id' })
  toWalletId: string;

  /** Minor units. */
  @Column('bigint', { transformer: minorUnits })
  amount: bigint;

  @Column('text')
  currency: string;

  @Column('text', { nullable: true })
  description: string | null;

  @Column('text', { nullable: true })
  reference: string | null;

  @Column('jsonb', { nullable: true })
  metadata: Metadata | null;

  @Column('text')
  every: Rhythm;

  @Column('timestamptz', { name: 'starts_at' })
  startsAt: Date;

  @Column('text', { name: 'time_zone' })
  timeZone: string;

  @Column('timestamptz', { name: 'ends_at', nullable: true })
  endsAt: Date | null;

  @Column('text')
  missed: Missed;

  @Column('text')
  status: ScheduleStatus;

  /** Number of the next occurrence. Whoever writes down what became of one moves it on, and only from there. */
  @Column('integer', { name: 'next_n' })
  nextN: number;

  /** Its time; null where the schedule has ended. */
  @Column('timestamptz', { name: 'next_at', nullable: true })
  nextAt: Date | null;

  /** When a process is to look at it: at `next_at`, later while one works at it or after a fault. Null: nothing is to be done. */
  @Column('timestamptz', { name: 'due_at', nullable: true })
  dueAt: Date | null;

  /** The time of the next occurrence once a process has begun it, kept also where the schedule is cancelled then. */
  @Column('timestamptz', { name: 'begun_at', nullable: true })
  begunAt: Date | null;

  /** How often it was begun. What was begun may have been posted, so it is never passed over. */
  @Column('integer', { default: 0 })
  attempts: number;

  /** When it was last resumed, where missed ones are passed over: those before it are missed. */
  @Column('timestamptz', { name: 'missed_before', nullable: true })
  missedBefore: Date | null;

  @Column('timestamptz', { name: 'last_at', nullable: true })
  lastAt: Date | null;

  @Column('text', { name: 'last_outcome', nullable: true })
  lastOutcome: OccurrenceOutcome | null;

  @Column('uuid', { name: 'last_transaction_id', nullable: true })
  lastTransactionId: string | null;

  @Column('text', { name: 'last_error', nullable: true })
  lastError: ErrorCode | null;

  @Column('integer', { name: 'posted_count', default: 0 })
  postedCount: number;

  @Column('integer', { name: 'refused_count', default: 0 })
  refusedCount: number;

  @Column('integer', { name: 'skipped_count', default: 0 })
  skippedCount: number;

  @Column('text', { name: 'created_by' })
  createdBy: string;

  /** Who last paused, resumed or cancelled it. */
  @Column('text', { name: 'changed_by', nullable: true })
  changedBy: string | null;

  @VersionColumn({ default: 1 })
  version: number;

  @Column('timestamptz', { name: 'created_at', default: () => 'clock_now()' })
  createdAt: Date;

  @Column('timestamptz', { name: 'updated_at', default: () => 'clock_now()' })
  updatedAt: Date;
}
