/** The SQL of status changes and limits on the money path. */
import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import { namesOf, rowsOf, valuesOf, type Columns } from '../database/columns.js';
import { runPrepared, type Prepared } from '../database/prepared.js';
import type { RawRow } from '../database/raw-row.js';
import type { LimitState, StatusChange } from './ledger.js';

@Injectable()
export class WalletStateStore {
  async readLimits(runner: QueryRunner, walletIds: string[]): Promise<LimitState[]> {
    if (walletIds.length === 0) return [];
    const { rows } = await runPrepared(runner, READ_LIMITS, [walletIds]);
    return rows.map(limitState);
  }

  /** Writes what is used. The wallets move in the same transaction, so their versions guard these rows too. */
  async updateLimits(runner: QueryRunner, limits: LimitState[]): Promise<void> {
    await runPrepared(runner, UPDATE_LIMITS, valuesOf(USE, limits));
  }

  async insertStatusChanges(runner: QueryRunner, changes: StatusChange[]): Promise<void> {
    await runPrepared(runner, INSERT_STATUS_CHANGES, [...valuesOf(STATUS_CHANGE, changes), changes[0]!.createdAt]);
  }
}

/** A row of `wallet_limits` as the rules see it. */
export function limitState(row: RawRow): LimitState {
  const minor = (value: string | null) => (value === null ? null : BigInt(value));
  return {
    walletId: row.wallet_id,
    dailyTotalMaxMinor: minor(row.daily_total_max),
    dailyCountMax: row.daily_count_max,
    monthlyTotalMaxMinor: minor(row.monthly_total_max),
    monthlyCountMax: row.monthly_count_max,
    day: row.day_text,
    dayTotalMinor: BigInt(row.day_total),
    dayCount: row.day_count,
    month: row.month_text,
    monthTotalMinor: BigInt(row.month_total),
    monthCount: row.month_count,
    isUsed: false,
  };
}

/** Days as text: the driver would make them midnights of the machine's own time zone. */
export const SELECT_LIMITS = `SELECT *, day::text AS day_text, month::text AS month_text FROM wallet_limits`;

const READ_LIMITS: Prepared = { name: 'read_limits', text: `${SELECT_LIMITS} WHERE wallet_id = ANY($1::uuid[])` };

const USE: Columns<LimitState> = {
  wallet_id: ['uuid', (l) => l.walletId],
  day: ['date', (l) => l.day],
  day_total: ['bigint', (l) => l.dayTotalMinor],
  day_count: ['int', (l) => l.dayCount],
  month: ['date', (l) => l.month],
  month_total: ['bigint', (l) => l.monthTotalMinor],
  month_count: ['int', (l) => l.monthCount],
};

const UPDATE_LIMITS: Prepared = {
  name: 'update_limits',
  text: `
  UPDATE wallet_limits l
     SET day = u.day, day_total = u.day_total, day_count = u.day_count,
         month = u.month, month_total = u.month_total, month_count = u.month_count
    FROM ${rowsOf(USE)} u
   WHERE l.wallet_id = u.wallet_id`,
};

const STATUS_CHANGE: Columns<StatusChange> = {
  id: ['uuid', (c) => c.id],
  wallet_id: ['uuid', (c) => c.walletId],
  status: ['text', (c) => c.status],
  freeze_mode: ['text', (c) => c.freezeMode],
  reason: ['text', (c) => c.reason],
  actor: ['text', (c) => c.actor],
  transaction_id: ['uuid', (c) => c.transactionId],
};

const INSERT_STATUS_CHANGES: Prepared = {
  name: 'insert_status_changes',
  text: `
  INSERT INTO wallet_status_changes (${namesOf(STATUS_CHANGE)}, created_at)
  SELECT c.*, $8::timestamptz FROM ${rowsOf(STATUS_CHANGE)} c`,
};
