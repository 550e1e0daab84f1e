/** What an error means for a group of postings: whether another attempt can help, and what callers are told if not. */
import { isDatabaseError, isDatabaseFault, sqlState } from '../database/sqlstate.js';
import { CommitUnknownError, WriteConflict } from '../database/transaction.js';
import { Problem } from '../errors.js';

/**
 * Another attempt can help: somebody else moved first, or the connection went away. A unique violation (23505) is a key
 * that another process has used meanwhile, or the transaction of an earlier attempt, whose COMMIT was lost and came
 * through late; the next attempt finds it.
 */
export function isRetryable(error: unknown): boolean {
  if (error instanceof CommitUnknownError || error instanceof WriteConflict) return true;
  const state = sqlState(error);
  if (state === undefined) return isDatabaseError(error);
  return /^(40001|40P01|23505|08|57P0|25006)/.test(state);
}

/** Conflicts are over in milliseconds, a lost database in seconds. Full jitter keeps processes from marching in step. */
export function backoffMs(attempt: number, error: unknown): number {
  const capMs = sqlState(error) || error instanceof WriteConflict ? 50 : 1_000;
  return Math.random() * Math.min(capMs, 5 * 2 ** attempt);
}

export function asProblem(error: unknown, commitUnknown: boolean): Problem {
  if (commitUnknown) {
    return new Problem('outcome_unknown', 'The connection was lost during the commit.', { retryAfterSeconds: 1 });
  }
  if (isDatabaseFault(error) || error instanceof WriteConflict || /^40/.test(sqlState(error) ?? '')) {
    return new Problem('database_unavailable', 'The database did not take the posting in time.', {
      retryAfterSeconds: 1,
    });
  }
  return new Problem('internal_error', 'The posting met a state that the service did not expect.', { cause: error });
}

export function describe(error: unknown): string {
  const cause = error instanceof CommitUnknownError ? error.cause : error;
  return `${sqlState(cause) ?? ''} ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`.trim();
}
