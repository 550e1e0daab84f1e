/** The SQL of holds on the money path. A hold is written only together with its wallet, whose version guards it. */
import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import { allSettled } from '../database/all-settled.js';
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
      runPrepared(runner, WRITE_HOLDS, [
        holds.map((h) => h.id),
        holds.map((h) => h.walletId),
        holds.map((h) => h.amountMinor),
        holds.map((h) => h.capturedMinor),
        holds.map((h) => h.status),
        holds.map((h) => h.expiresAt),
        holds.map((h) => h.description),
        holds.map((h) => h.reference),
        holds.map((h) => (h.metadata ? JSON.stringify(h.metadata) : null)),
        holds.map((h) => h.actor),
        holds.map((h) => h.version),
        now,
      ]),
      runPrepared(runner, INSERT_HOLD_CHANGES, [
        steps.map(({ hold }) => hold.id),
        steps.map(({ hold }) => hold.version),
        steps.map(({ action }) => action),
        steps.map(({ hold }) => hold.amountMinor),
        steps.map(({ hold }) => hold.capturedMinor),
        steps.map(({ hold }) => hold.status),
        steps.map(({ hold }) => hold.expiresAt),
        steps.map(({ transactionId }) => transactionId),
        steps.map(({ actor }) => actor),
        now,
      ]),
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

const WRITE_HOLDS: Prepared = {
  name: 'write_holds',
  text: `
  INSERT INTO holds (id, wallet_id, amount, captured, status, expires_at, description, reference, metadata, actor,
                     version, created_at, updated_at)
  SELECT *, $12::timestamptz, $12::timestamptz
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[], $7::text[],
                $8::text[], $9::jsonb[], $10::text[], $11::int[])
  ON CONFLICT (id) DO UPDATE
    SET amount = excluded.amount, captured = excluded.captured, status = excluded.status,
        expires_at = excluded.expires_at, version = excluded.version, updated_at = excluded.updated_at`,
};

const INSERT_HOLD_CHANGES: Prepared = {
  name: 'insert_hold_changes',
  text: `
  INSERT INTO hold_changes (hold_id, version, action, amount, captured, status, expires_at, transaction_id, actor,
                            created_at)
  SELECT *, $10::timestamptz
    FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::timestamptz[],
                $8::uuid[], $9::text[])`,
};
