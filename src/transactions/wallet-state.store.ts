/** The SQL of status changes and limits on the money path. */
import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
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
    await runPrepared(runner, UPDATE_LIMITS, [
      limits.map((l) => l.walletId),
      limits.map((l) => l.day),
      limits.map((l) => l.dayTotalMinor),
      limits.map((l) => l.dayCount),
      limits.map((l) => l.month),
      limits.map((l) => l.monthTotalMinor),
      limits.map((l) => l.monthCount),
    ]);
  }

  async insertStatusChanges(runner: QueryRunner, changes: StatusChange[]): Promise<void> {
    await runPrepared(runner, INSERT_STATUS_CHANGES, [
      changes.map((c) => c.id),
      changes.map((c) => c.walletId),
      changes.map((c) => c.status),
      changes.map((c) => c.freezeMode),
      changes.map((c) => c.reason),
      changes.map((c) => c.actor),
      changes.map((c) => c.transactionId),
      changes[0]!.createdAt,
    ]);
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

const UPDATE_LIMITS: Prepared = {
  name: 'update_limits',
  text: `
  UPDATE wallet_limits l
     SET day = u.day, day_total = u.day_total, day_count = u.day_count,
         month = u.month, month_total = u.month_total, month_count = u.month_count
    FROM unnest($1::uuid[], $2::date[], $3::bigint[], $4::int[], $5::date[], $6::bigint[], $7::int[])
      AS u (wallet_id, day, day_total, day_count, month, month_total, month_count)
   WHERE l.wallet_id = u.wallet_id`,
};

const INSERT_STATUS_CHANGES: Prepared = {
  name: 'insert_status_changes',
  text: `
  INSERT INTO wallet_status_changes (id, wallet_id, status, freeze_mode, reason, actor, transaction_id, created_at)
  SELECT *, $8::timestamptz
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[])`,
};
