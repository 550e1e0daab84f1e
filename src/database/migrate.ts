import { setTimeout as delay } from 'node:timers/promises';
import { DataSource, MigrationExecutor, type QueryRunner } from 'typeorm';
import { databaseOptions } from '../../ormconfig.js';
import type { Config } from '../config.js';
import { MigrationRefused } from './migration-refused.js';
import { makeServiceRole, RoleRefused } from './service-role.js';
import { INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, sqlState, UNDEFINED_TABLE } from './sqlstate.js';

/** Any constant; processes that migrate take turns on it. Nothing else depends on it. */
const MIGRATION_LOCK = 4_120_651;

/**
 * No migration stands in line for a table longer than this. Behind a report that reads for ten minutes it would wait ten minutes,
 * and every posting of the service behind it: postings wait this long at most, and go on while it pauses. Half a
 * second is promised; what is left of it is for a machine that is slow to wake who waited.
 */
const LOCK_WAIT_MS_MAX = 300;
const LOCK_ATTEMPTS_MAX = 40;
const LOCK_PAUSE_MS = 1_000;

/**
 * Brings the schema up to date, as its owner, and the rights of the role that the service acts as. Several processes may
 * call it at once: one works, the others wait and find it done.
 * @param warn told where the service has to act as the owner, and where a migration has to wait.
 * @returns the names of the migrations that ran, and the role; empty where there is none.
 * @throws {MigrationRefused}
 */
export async function migrate(
  config: Config,
  warn: (line: string) => void,
): Promise<{ migrations: string[]; databaseRole: string }> {
  const work = async (dataSource: DataSource) => {
    const turn = dataSource.createQueryRunner();
    try {
      // Here one waits as long as another migrates; nobody else stands in this line.
      await turn.query('SET lock_timeout = 0');
      await turn.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
      const migrations = await runMigrations(dataSource, turn, warn).catch(refused);
      return { migrations, databaseRole: await serviceRole(dataSource, config, warn) };
    } finally {
      await turn.release();
    }
  };
  return asOwner(config, work, LOCK_WAIT_MS_MAX);
}

/** The migrations of this build that the database has not had. It only looks. */
export async function missingMigrations(dataSource: DataSource): Promise<string[]> {
  const names = dataSource.migrations.map(({ name, constructor }) => name ?? constructor.name);
  const rows = await dataSource
    .query<Array<{ name: string }>>('SELECT name FROM migrations WHERE name = ANY($1)', [names])
    .catch((error: unknown) => {
      if (sqlState(error) === UNDEFINED_TABLE) return [];
      throw error;
    });
  const had = new Set(rows.map(({ name }) => name));
  return names.filter((name) => !had.has(name));
}

/** Each migration is a transaction of its own, so after one that did not get its lock those before it stay, and it begins anew. */
async function runMigrations(
  dataSource: DataSource,
  turn: QueryRunner,
  warn: (line: string) => void,
): Promise<string[]> {
  const executor = new MigrationExecutor(dataSource);
  const pending = (await executor.getPendingMigrations()).map(({ name }) => name);
  for (let attempt = 1; ; attempt++) {
    try {
      await dataSource.runMigrations();
      return pending;
    } catch (error) {
      if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
      const holders = await holdersOfLocks(turn);
      if (attempt === LOCK_ATTEMPTS_MAX) throw lockedOut(holders);
      if (attempt === 1) warn(`A migration waits for a table that is locked by ${holders}. It is tried again …`);
      await delay(LOCK_PAUSE_MS);
    }
  }
}

/** Whoever has kept a migration waiting is in a transaction that is older than the wait. */
async function holdersOfLocks(turn: QueryRunner): Promise<string> {
  const rows = (await turn.query(
    `SELECT format('process %s (%s, %s%s)', pid, usename, coalesce(nullif(application_name, ''), 'no name'),
              ', for ' || round(extract(epoch FROM clock_timestamp() - xact_start)) || ' s') AS holder
       FROM pg_stat_activity a
      WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND (xact_start IS NULL OR xact_start < clock_timestamp() - interval '${LOCK_WAIT_MS_MAX} ms')
        AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND locktype = 'relation' AND granted)
      ORDER BY xact_start LIMIT 3`,
  )) as Array<{ holder: string }>;
  return rows.map(({ holder }) => holder).join(', ') || 'somebody who is gone by now';
}

function lockedOut(holders: string): MigrationRefused {
  return new MigrationRefused(
    `The schema is not up to date: a table is locked by ${holders}. The migration asked for it ${LOCK_ATTEMPTS_MAX} times, for ` +
      `${LOCK_WAIT_MS_MAX} ms each, and not longer, as postings would have waited behind it. Let that transaction end, or end it ` +
      '(SELECT pg_terminate_backend(<process>)), and migrate again. What was applied stays.',
  );
}

function refused(error: unknown): never {
  if (sqlState(error) !== INSUFFICIENT_PRIVILEGE) throw error;
  throw new MigrationRefused(
    `The schema is not up to date, and this user may not change it (${(error as Error).message}). ` +
      'Run `asper migrate` with DATABASE_OWNER_URL.',
  );
}

async function serviceRole(owner: DataSource, config: Config, warn: (line: string) => void): Promise<string> {
  const { databaseRole, databaseRoleNeeded } = config;
  if (databaseRole === '') return '';
  try {
    const hasItsRights = await makeServiceRole(owner, databaseRole, config);
    if (!hasItsRights)
      warn(`The role ${databaseRole} has other rights than it should: \`asper migrate\` as the owner mends that.`);
    return databaseRole;
  } catch (error) {
    if (!(error instanceof RoleRefused)) throw error;
    const why = `as it may not have the role ${databaseRole} (${error.message})`;
    const help = 'docs/security.md says how it may; DATABASE_ROLE=none says that this is meant.';
    // SECURITY: what protects the ledger from the service's own mistakes is not given up in passing.
    if (databaseRoleNeeded)
      throw new MigrationRefused(`The service would act as the owner of its tables, ${why}. ${help}`);
    warn(`The service acts as the owner of its tables, ${why}. ${help}`);
    return '';
  }
}

/** Runs `work` connected as the owner of the tables, without the time limits of the service. @param lockTimeoutMs 0: none */
export async function asOwner<T>(
  config: Config,
  work: (dataSource: DataSource) => Promise<T>,
  lockTimeoutMs = 0,
): Promise<T> {
  const { databaseOwnerUrl, databaseUrl } = config;
  const options = databaseOptions({ ...config, databaseUrl: databaseOwnerUrl || databaseUrl, databaseRole: '' });
  const extra = {
    ...(options.extra as object),
    statement_timeout: 0,
    lock_timeout: lockTimeoutMs,
    query_timeout: undefined,
  };
  // TypeORM's own logger prints each migration that fails; who called hears of it, once (DEBUG=typeorm:* prints it all the same).
  const quiet = { logger: 'debug' as const, poolSize: 2 };
  const dataSource = await new DataSource({ ...options, ...quiet, extra } as typeof options).initialize();
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}
