import { describe, expect, it } from '@jest/globals';
import { summaryOf } from '../src/tracing/statement.summary.js';

describe('the summary of a statement', () => {
  it.each([
    ['SELECT "User"."id" AS "User_id" FROM "users" "User" WHERE "User"."phone_number" = $1', 'SELECT users'],
    ['SELECT w.*, (SELECT count(*) FROM holds h WHERE h.wallet_id = w.id) FROM wallets w', 'SELECT wallets'],
    ['SELECT * FROM (SELECT * FROM wallets) w', 'SELECT wallets'],
    ['SELECT clock_time()', 'SELECT'],
    ['SELECT * FROM place_events()', 'SELECT'],
    ['\n  INSERT INTO users (id, name) SELECT $1, $2 FROM wallets', 'INSERT users'],
    ['UPDATE "wallets" SET "version" = $1', 'UPDATE wallets'],
    ['DELETE FROM idempotency_keys WHERE created_at < $1', 'DELETE idempotency_keys'],
    ['WITH moved AS (UPDATE wallets w SET a = 1 RETURNING 1) SELECT count(*) FROM moved', 'UPDATE wallets'],
    ['START TRANSACTION ISOLATION LEVEL READ COMMITTED', 'START TRANSACTION'],
    ['COMMIT', 'COMMIT'],
    ["SELECT set_config('a', 'secret', true)", 'SELECT'],
    ["SET SESSION AUTHORIZATION 'secret'", 'SET'],
    ['', 'OTHER'],
  ])('of %p is %p', (text, summary) => expect(summaryOf(text).summary).toBe(summary));

  it('is the name where the statement is prepared', () => {
    const prepared = summaryOf('INSERT INTO entries SELECT * FROM unnest($1)', 'write_entries');
    expect(prepared).toEqual({ summary: 'write_entries', operation: 'INSERT', table: 'entries' });
  });
});
