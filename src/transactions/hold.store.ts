/** The SQL of holds on the money path. A hold is written only together with its wallet, whose version guards it. */
import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import { allSettled } from '../database/all-settled.js';
import { namesOf, rowsOf, valuesOf, type Columns } from '../database/columns.js';
import { runPrepared, type Prepared } from '../database/prepared.js';
import type { RawRow } from '../database/raw-row.js';
import type { HoldState, HoldStep } from './ledger.js';

@Injectable()
export class HoldStore {
  async read(runner: QueryRunner, ids: string[]): Promise<HoldState[]> {
    const { rows } = await runPrepared(runner, READ_HOLDS, [ids]);
    return rows.map(holdState);
  }

  /**
   * The holds of these wallets that have expired and are not released, the first {@link EXPIRED_MAX} of them, and when the next of each
   * wallet expires.
   */
  async readExpired(runner: QueryRunner, walletIds: string[], now: Date) {
    if (walletIds.length === 0) return { holds: [], isAll: true, next: new Map<string, Date>() };
    const [expired, coming] = await allSettled(
      runPrepared(runner, READ_EXPIRED, [walletIds, now]),
      runPrepared(runner, READ_NEXT_EXPIRY, [walletIds, now]),
    );
    return {
      holds: expired.rows.map(holdState),
      isAll: expired.rows.length < EXPIRED_MAX,
      next: new Map(coming.rows.map((row) => [row.wallet_id as string, row.expires_at as Date])),
    };
  }

  /** Writes holds as their last step left them, and every step. One statement for new and old, as one law binds both. */
  write(runner: QueryRunner, steps: HoldStep[], now: Date): Promise<unknown>[] {
    const holds = [...new Map(steps.map(({ hold }) => [hold.id, hold])).values()];
    return [
      runPrepared(runner, WRITE_HOLDS, [...valuesOf(HOLD, holds), now]),
      runPrepared(runner, INSERT_HOLD_CHANGES, [...valuesOf(HOLD_CHANGE, steps), now]),
    ];
  }
}

/** A row of `holds` as the rules see it. */
export function holdState(row: RawRow): HoldState {
  return {
    id: row.id,
    walletId: row.wallet_id,
    amountMinor: BigInt(row.amount),
    capturedMinor: BigInt(row.captured),
    status: row.status,
    expiresAt: row.expires_at,
    description: row.description,
    reference: row.reference,
    metadata: row.metadata,
    actor: row.actor,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/**
 * One release takes 90 µs. All 60,000 of one wallet in one group kept everybody waiting for 5.4 s; 2,000 are 0.2 s, and the next group
 * goes on.
 */
const EXPIRED_MAX = 2_000;

const READ_HOLDS: Prepared = { name: 'read_holds', text: 'SELECT * FROM holds WHERE id = ANY($1::uuid[])' };

const READ_EXPIRED: Prepared = {
  name: 'read_expired_holds',
  text: `
  SELECT * FROM holds WHERE wallet_id = ANY($1::uuid[]) AND status = 'active' AND expires_at <= $2
   ORDER BY expires_at, id LIMIT ${EXPIRED_MAX}`,
};

const READ_NEXT_EXPIRY: Prepared = {
  name: 'read_next_expiry',
  text: `
  SELECT wallet_id, min(expires_at) AS expires_at FROM holds
   WHERE wallet_id = ANY($1::uuid[]) AND status = 'active' AND expires_at > $2 GROUP BY wallet_id`,
};

const HOLD: Columns<HoldState> = {
  id: ['uuid', (h) => h.id],
  wallet_id: ['uuid', (h) => h.walletId],
  amount: ['bigint', (h) => h.amountMinor],
  captured: ['bigint', (h) => h.capturedMinor],
  status: ['text', (h) => h.status],
  expires_at: ['timestamptz', (h) => h.expiresAt],
  description: ['text', (h) => h.description],
  reference: ['text', (h) => h.reference],
  metadata: ['jsonb', (h) => h.metadata],
  actor: ['text', (h) => h.actor],
  version: ['int', (h) => h.version],
};

const WRITE_HOLDS: Prepared = {
  name: 'write_holds',
  text: `
  INSERT INTO holds (${namesOf(HOLD)}, created_at, updated_at)
  SELECT h.*, $12::timestamptz, $12::timestamptz FROM ${rowsOf(HOLD)} h
  ON CONFLICT (id) DO UPDATE
    SET amount = excluded.amount, captured = excluded.captured, status = excluded.status,
        expires_at = excluded.expires_at, version = excluded.version, updated_at = excluded.updated_at`,
};

const HOLD_CHANGE: Columns<HoldStep> = {
  hold_id: ['uuid', ({ hold }) => hold.id],
  version: ['int', ({ hold }) => hold.version],
  action: ['text', ({ action }) => action],
  amount: ['bigint', ({ hold }) => hold.amountMinor],
  captured: ['bigint', ({ hold }) => hold.capturedMinor],
  status: ['text', ({ hold }) => hold.status],
  expires_at: ['timestamptz', ({ hold }) => hold.expiresAt],
  transaction_id: ['uuid', ({ transactionId }) => transactionId],
  actor: ['text', ({ actor }) => actor],
};

const INSERT_HOLD_CHANGES: Prepared = {
  name: 'insert_hold_changes',
  text: `
  INSERT INTO hold_changes (${namesOf(HOLD_CHANGE)}, created_at)
  SELECT c.*, $10::timestamptz FROM ${rowsOf(HOLD_CHANGE)} c`,
};
