import { DataSource } from 'typeorm';
import { databaseOptions } from '../../ormconfig.js';
import type { Config } from '../config.js';
import { makeServiceRole, RoleRefused } from './service-role.js';
import { INSUFFICIENT_PRIVILEGE, sqlState } from './sqlstate.js';

/** Any constant; processes that migrate take turns on it. Nothing else depends on it. */
const MIGRATION_LOCK = 4_120_651;

/** The schema is old, and who is connected may not change it. */
export class MigrationRefused extends Error {}

/**
 * Brings the schema up to date, as its owner, and the rights of the role that the service acts as. Several processes may
 * call it at once: one works, the others wait and find it done.
 * @param warn told where the service has to act as the owner.
 * @returns the names of the migrations that ran, and the role; empty where there is none.
 * @throws {MigrationRefused}
 */
export async function migrate(
  config: Config,
  warn: (line: string) => void,
): Promise<{ migrations: string[]; databaseRole: string }> {
  return asOwner(config, async (dataSource) => {
    const turn = dataSource.createQueryRunner();
    try {
      await turn.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
      const migrations = (await dataSource.runMigrations().catch(refused)).map(({ name }) => name);
      return { migrations, databaseRole: await serviceRole(dataSource, config, warn) };
    } finally {
      await turn.release();
    }
  });
}

function refused(error: unknown): never {
  if (sqlState(error) !== INSUFFICIENT_PRIVILEGE) throw error;
  throw new MigrationRefused(
    `The schema is not up to date, and this user may not change it (${(error as Error).message}). ` +
      'Run `asper migrate` with DATABASE_OWNER_URL.',
  );
}

async function serviceRole(owner: DataSource, config: Config, warn: (line: string) => void): Promise<string> {
  const { databaseRole } = config;
  if (databaseRole === '') return '';
  try {
    await makeServiceRole(owner, databaseRole, config);
    return databaseRole;
  } catch (error) {
    if (!(error instanceof RoleRefused)) throw error;
    warn(
      `The service acts as the owner of its tables, as it may not have the role ${databaseRole} (${error.message}). ` +
        'docs/security.md says how it may; DATABASE_ROLE=none says that this is meant.',
    );
    return '';
  }
}

/** Runs `work` connected as the owner of the tables, without the time limits of the service. */
export async function asOwner<T>(config: Config, work: (dataSource: DataSource) => Promise<T>): Promise<T> {
  const { databaseOwnerUrl, databaseUrl } = config;
  const options = databaseOptions({ ...config, databaseUrl: databaseOwnerUrl || databaseUrl, databaseRole: '' });
  const extra = { ...(options.extra as object), statement_timeout: 0, lock_timeout: 0, query_timeout: undefined };
  const dataSource = await new DataSource({ ...options, extra, poolSize: 2 } as typeof options).initialize();
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}
