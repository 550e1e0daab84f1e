import type { QueryResult } from 'pg';
import type { QueryRunner } from 'typeorm';
import type { RawRow } from './raw-row.js';

/** A statement of the money path. PostgreSQL parses and plans it once for each connection, under this name. */
export interface Prepared {
  name: string;
  text: string;
}

/**
 * Runs a prepared statement in the runner's transaction. It goes to the runner's own connection, as TypeORM's
 * `query()` cannot name a statement; parsing and planning each time costs a third of what a small group takes.
 */
export async function runPrepared(
  runner: QueryRunner,
  statement: Prepared,
  values: unknown[],
): Promise<QueryResult<RawRow>> {
  const client = (await runner.connect()) as { query(config: object): Promise<QueryResult<RawRow>> };
  return client.query({ ...statement, values });
}
