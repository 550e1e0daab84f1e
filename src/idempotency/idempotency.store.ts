/** The SQL of idempotency keys. A row is written once, with the outcome, and never changed. */
import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import { namesOf, rowsOf, valuesOf, type Columns } from '../database/columns.js';
import { runPrepared, type Write } from '../database/prepared.js';
import type { RawRow } from '../database/raw-row.js';

/** What an earlier request (or an earlier attempt at this one) left under a key or a transaction id. */
export type FoundOutcome =
  | { kind: 'executed'; transactionId: string; fingerprint?: string; createdAt: Date }
  | { kind: 'answered'; statusCode: number; body: Record<string, unknown>; fingerprint: string; createdAt: Date };

/** An outcome to keep: a posted transaction by its id, anything else by status and body. */
export interface KeyRow {
  scope: string;
  key: string;
  fingerprint: string;
  statusCode: number;
  transactionId?: string;
  body?: object;
}

@Injectable()
export class IdempotencyStore {
  /** The outcome under a key, with the database's time. */
  async find(runner: QueryRunner, scope: string, key: string): Promise<{ now: Date; found?: FoundOutcome }> {
    const [row]: RawRow[] = await runner.query(FIND_KEY, [scope, key]);
    return { now: row!.now, found: row!.key === null ? undefined : foundOutcome(row!) };
  }

  /** The callers that have used a key, but for persons. */
  async usersOf(runner: QueryRunner, key: string): Promise<string[]> {
    const rows: RawRow[] = await runner.query(FIND_USERS, [key]);
    return rows.map(({ scope }) => scope as string);
  }

  /** Records an outcome. @returns whether the key was still free. */
  async insert(runner: QueryRunner, row: KeyRow, now: Date): Promise<boolean> {
    const { rowCount } = await runPrepared(runner, INSERT_FREE_KEY, [...valuesOf(KEY, [row]), now]);
    return rowCount === 1;
  }

  /**
   * Records outcomes, in (scope, key) order: two transactions that race for the same keys never wait in a circle.
   * Where one was used meanwhile, that is a unique violation, and nothing is written.
   */
  insertOf(rows: KeyRow[], now: Date): Write {
    const sorted = rows.toSorted((a, b) => compare(a.scope, b.scope) || compare(a.key, b.key));
    return { name: 'keys', text: `kept AS (${INSERT_KEYS})`, values: [...valuesOf(KEY, sorted), now] };
  }
}

/** A row of `idempotency_keys` (or of a query shaped like it) as an outcome. */
export function foundOutcome(row: RawRow): FoundOutcome {
  const { created_at: createdAt, transaction_id: transactionId } = row;
  // A transaction that was found by its own id, in a further attempt, has none.
  const fingerprint: string = row.fingerprint?.toString('hex');
  if (transactionId) return { kind: 'executed', transactionId, fingerprint, createdAt };
  return { kind: 'answered', statusCode: row.status_code, body: row.outcome, fingerprint, createdAt };
}

const FIND_KEY = `
  SELECT clock_time() AS now, k.* FROM (SELECT) one
    LEFT JOIN idempotency_keys k ON k.scope = $1 AND k.key = $2`;

/** By the primary key, caller by caller. */
const FIND_USERS = `
  SELECT k.scope FROM (SELECT 'operator' AS scope UNION ALL SELECT 'key:' || id FROM api_keys) caller
    JOIN LATERAL (SELECT scope FROM idempotency_keys WHERE scope = caller.scope AND key = $1 OFFSET 0) k ON true ORDER BY 1`;

const KEY: Columns<KeyRow> = {
  scope: ['text', (row) => row.scope],
  key: ['text', (row) => row.key],
  fingerprint: ['bytea', (row) => row.fingerprint],
  status_code: ['smallint', (row) => row.statusCode],
  transaction_id: ['uuid', (row) => row.transactionId],
  outcome: ['json', (row) => row.body],
};
const INSERT_KEYS = `
  INSERT INTO idempotency_keys (${namesOf(KEY)}, created_at) SELECT k.*, $7::timestamptz FROM ${rowsOf(KEY)} k`;
const INSERT_FREE_KEY = { name: 'insert_free_key', text: `${INSERT_KEYS} ON CONFLICT DO NOTHING` };

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
