import { DataSource } from 'typeorm';
import { databaseOptions } from '../../ormconfig.js';
import type { Config } from '../config.js';

/** Any constant; processes that migrate take turns on it. Nothing else depends on it. */
const MIGRATION_LOCK = 4_120_651;

/**
 * Brings the schema up to date. Several processes may call it at once: one works, the others wait and find it done.
 * @returns the names of the migrations that ran.
 */
export async function migrate(config: Config): Promise<string[]> {
  const options = databaseOptions(config);
  const extra = { ...(options.extra as object), statement_timeout: 0, lock_timeout: 0, query_timeout: undefined };
  const dataSource = await new DataSource({ ...options, extra, poolSize: 2 } as typeof options).initialize();
  const turn = dataSource.createQueryRunner();
  try {
    await turn.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    return (await dataSource.runMigrations()).map(({ name }) => name);
  } finally {
    await turn.release();
    await dataSource.destroy();
  }
}
