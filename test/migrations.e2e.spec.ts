/**
 * R20: the newest migrations run beside a service that posts: nobody is refused, and nothing waits long for a lock. And each
 * migration goes down and up again on a ledger with something of everything in it.
 *
 * The service is this build, with the newest migrations undone beneath it: its money path does without what they add. That
 * is what a rolling update looks like from the database. Not proven here: that the build before this one can work on the new
 * schema, as only one build is at hand; and the time of a migration on more rows than these.
 *
 * Measured with 200,000 entries and 16 clients: each migration took 2 to 13 ms, nobody waited for the lock of a table (the two
 * newest build indexes that postings do not write to), and the slowest of 1,021 requests took 73 ms; behind a report, the longest wait for a
 * lock was 300 ms, and the slowest of 2,813 requests took 335. An index on a table that grows with the ledger keeps writers
 * waiting while it is built: the one of `retention` 80 ns a key (0.24 s for 3 million), so past 6 million it would be over
 * the limit on a live ledger, and the next of its kind has to be built CONCURRENTLY.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DataSource } from 'typeorm';
import { figure } from '../torture/stage.js';
import { databaseOptions } from '../ormconfig.js';
import { growLedger, growthOf } from '../bench/grow-ledger.js';
import { readConfig } from '../src/config.js';
import { migrate } from '../src/database/migrate.js';
import { fillLedger } from './scenarios/full-ledger.js';
import { startService, TestDatabase, type Service } from './support/service.js';

/** The newest migrations that postings and reads of wallets do without. */
const UNDER_LOAD = 2;
const ROUNDS = 2;
/** 200,000 for the long run. */
const ENTRIES = Number(process.env.MIGRATION_ENTRIES ?? 30_000);
const CLIENTS = 16;
const LOCK_MS_MAX = 500;
/** How long somebody reads a table in one transaction while a migration wants it alone. */
const REPORT_MS = 4_000;

interface Ran {
  name: string;
  /** From the begin of its transaction to the end of its commit: no lock of it was held longer. */
  ms: number;
}

/** A migration that is not written yet: it needs the lock that nobody else may hold. */
const NEXT = `class Next4102444800000 {
  up = (runner) => runner.query('ALTER TABLE wallets ADD COLUMN next integer');
}`;

/**
 * In a process of its own, one after the other: undoes the newest migrations and waits a little, or runs all that are missing, as a
 * service does when it starts.
 * @returns what it did, each with its time, and what it complained of
 */
async function migrating(
  database: TestDatabase,
  directions: Array<'down' | 'up'>,
  next = '',
): Promise<{ ran: Ran[]; warnings: string[] }> {
  const code = `
    import { setTimeout as delay } from 'node:timers/promises';
    import { DataSource } from 'typeorm';
    const { databaseOptions } = await import('./dist/ormconfig.js');
    const { readConfig } = await import('./dist/src/config.js');
    const { migrate } = await import('./dist/src/database/migrate.js');
    const [ran, warnings] = [[], []];
    let since;
    const logger = {
      logQuery: (sql) => void (sql === 'START TRANSACTION' && (since = performance.now())),
      logSchemaBuild: (line) => {
        const name = /^Migration (\\w+) has been/.exec(line)?.[1];
        if (name) ran.push({ name, ms: performance.now() - since });
      },
      ...Object.fromEntries(['logQueryError', 'logQuerySlow', 'logMigration', 'log'].map((name) => [name, () => {}])),
    };
    const initialize = DataSource.prototype.initialize;
    DataSource.prototype.initialize = async function () {
      await initialize.call(this);
      this.logger = logger;
      ${next && `this.migrations.push(new (${next})())`}
      return this;
    };
    const config = readConfig(process.env);
    const up = () => migrate(config, (line) => void warnings.push(line));
    const down = async () => {
      const dataSource = await new DataSource(databaseOptions(config)).initialize();
      for (let i = 0; i < ${UNDER_LOAD}; i++) {
        await dataSource.undoLastMigration();
        ran.at(-1).ms = performance.now() - since; // it was told before the commit
      }
      await dataSource.destroy();
      await delay(300);
    };
    for (const direction of [${directions.join()}]) await direction();
    console.log(JSON.stringify({ ran, warnings }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
    env: { PATH: process.env.PATH, DATABASE_URL: database.url, DATABASE_ROLE: 'none' },
  });
  return JSON.parse(stdout) as { ran: Ran[]; warnings: string[] };
}

/** Looks every few milliseconds how long somebody has been waiting for the lock of a table. */
class LockWatch {
  longestMs = 0;
  private isOver = false;
  private readonly watching: Promise<void>;

  constructor(private readonly database: TestDatabase) {
    this.watching = this.watch();
  }

  private async watch(): Promise<void> {
    for (; !this.isOver; await delay(2)) {
      const [{ ms }] = await this.database.query(
        `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)) * 1000, 0)::float AS ms FROM pg_locks
          WHERE NOT granted AND locktype = 'relation'`,
      );
      this.longestMs = Math.max(this.longestMs, ms);
    }
  }

  stop(): Promise<void> {
    this.isOver = true;
    return this.watching;
  }
}

/** Debits, transfers and reads, one after the other from each client, until told to stop. */
class Load {
  readonly latenciesMs: number[] = [];
  readonly failures: string[] = [];
  /** Transactions that were answered 201. */
  private readonly acknowledged: string[] = [];
  private isOver = false;
  private readonly clients: Promise<unknown>;

  constructor(
    private readonly service: Service,
    private readonly wallets: string[],
  ) {
    this.clients = Promise.all(wallets.map((_, i) => this.client(i)));
  }

  private async client(i: number): Promise<void> {
    const { api } = this.service;
    const [own, other] = [this.wallets[i]!, this.wallets[(i + 1) % this.wallets.length]!];
    for (let n = 0; !this.isOver; n++) {
      const startedAt = performance.now();
      const { status, text, body } =
        n % 4 === 0
          ? await api.get(`/v1/wallets/${own}/entries?limit=5`)
          : n % 4 === 1
            ? await api.transfer(own, other, '0.01', {}, `t-${own}-${n}`)
            : await api.debit(own, '0.01', {}, `d-${own}-${n}`);
      this.latenciesMs.push(performance.now() - startedAt);
      if (status >= 300) this.failures.push(`${status} ${text}`);
      if (status === 201) this.acknowledged.push((body as { id: string }).id);
    }
  }

  /** @returns how many were acknowledged, and how many of those are in the ledger. */
  async stop(): Promise<{ acknowledged: number; found: number }> {
    this.isOver = true;
    await this.clients;
    const [{ found }] = await this.service.database.query(
      'SELECT count(*)::int AS found FROM transactions WHERE id = ANY ($1)',
      [this.acknowledged],
    );
    return { acknowledged: this.acknowledged.length, found };
  }
}

describe('migrations beside a service that posts', () => {
  let service: Service;
  beforeAll(async () => {
    const database = await TestDatabase.create();
    await growLedger(database.url, growthOf(ENTRIES), () => undefined);
    service = await startService({ SCHEDULE_POLL_SECONDS: '3600' }, { database });
  });
  afterAll(async () => {
    await service.stop();
    const broken = await service.database.check();
    await service.database.drop();
    expect(broken).toEqual([]);
  });

  it(`refuse nobody, and hold no lock for ${LOCK_MS_MAX} ms: down and up again`, async () => {
    const wallets = await Promise.all(Array.from({ length: CLIENTS }, () => service.api.newWallet('1000.00')));
    const load = new Load(
      service,
      wallets.map(({ id }) => id),
    );
    while (load.latenciesMs.length < 300) await delay(20);
    const locks = new LockWatch(service.database);
    const rounds = Array.from({ length: ROUNDS }, () => ['down', 'up'] as const).flat();
    const { ran } = await migrating(service.database, rounds);
    await locks.stop();
    const { acknowledged, found } = await load.stop();
    const longest = Math.max(...ran.map(({ ms }) => ms));
    const slowest = Math.max(...load.latenciesMs);
    figure(
      `${ENTRIES.toLocaleString('en-US')} entries, ${load.latenciesMs.length} requests, slowest ${slowest.toFixed()} ms; ` +
        `longest wait for a table's lock ${locks.longestMs.toFixed(1)} ms; migrations: ` +
        ran.map(({ name, ms }) => `${name} ${ms.toFixed()} ms`).join(', '),
    );
    expect(ran).toHaveLength(2 * ROUNDS * UNDER_LOAD);
    expect(load.failures.slice(0, 5)).toEqual([]);
    expect(found).toBe(acknowledged);
    expect(load.latenciesMs.length).toBeGreaterThan(500);
    expect(longest).toBeLessThan(LOCK_MS_MAX);
    expect(locks.longestMs).toBeLessThan(LOCK_MS_MAX);
  }, 120_000);

  it('let postings through while a report keeps a migration from its table, and succeed behind it', async () => {
    const wallets = await Promise.all(Array.from({ length: CLIENTS }, () => service.api.newWallet('1000.00')));
    const report = await TestDatabase.join(service.database.name);
    await report.query('BEGIN');
    const [{ pid }] = await report.query('SELECT pg_backend_pid() AS pid FROM wallets LIMIT 1');
    const migration = migrating(service.database, ['up'], NEXT);
    // A busy machine takes its time to begin.
    const waiting = () =>
      service.database.query(`SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))`, [pid]);
    while ((await waiting()).length === 0) await delay(20);
    const load = new Load(
      service,
      wallets.map(({ id }) => id),
    );
    const locks = new LockWatch(service.database);
    await delay(REPORT_MS);
    const before = await service.database.query(`SELECT FROM migrations WHERE name LIKE 'Next%'`);
    await report.query('COMMIT');
    const { ran, warnings } = await migration;
    await locks.stop();
    const { acknowledged, found } = await load.stop();
    await report.close();
    const slowest = Math.max(...load.latenciesMs);
    figure(
      `behind a report of ${REPORT_MS} ms: ${load.latenciesMs.length} requests, slowest ${slowest.toFixed()} ms, ` +
        `longest wait for a lock ${locks.longestMs.toFixed()} ms`,
    );
    expect([before, ran.map(({ name }) => name)]).toEqual([[], ['Next4102444800000']]);
    expect(warnings).toEqual([expect.stringMatching(`locked by process ${pid} \\(asper, .*It is tried again`)]);
    expect(load.failures.slice(0, 5)).toEqual([]);
    expect(found).toBe(acknowledged);
    expect(locks.longestMs).toBeGreaterThan(200);
    expect(locks.longestMs).toBeLessThan(LOCK_MS_MAX);
  }, 60_000);
});

describe('every migration', () => {
  /** What no migration may lose, as long as the tables are there. */
  const LEDGER = ['users', 'wallets', 'transactions', 'entries', 'holds', 'hold_changes', 'idempotency_keys'];
  let database: TestDatabase;
  beforeAll(async () => {
    database = await TestDatabase.create();
    const service = await startService({}, { database });
    const dataSource = await new DataSource(
      databaseOptions({ ...readConfig({}), databaseUrl: database.url, databaseRole: '' }),
    ).initialize();
    await fillLedger(service, dataSource);
    await dataSource.destroy();
    await service.stop();
  });
  afterAll(() => database.drop());

  /** A table's rows as one number. @param columns that the rows have had from the start. */
  const content = async (table: string, columns: string[]) => {
    const [row] = await database.query(
      `SELECT count(*)::int AS n, md5(string_agg(line, '' ORDER BY line)) AS sum
         FROM (SELECT ROW(${columns.map((name) => `"${name}"`).join()})::text AS line FROM ${table}) x`,
    );
    return `${table}: ${row.n} rows, ${row.sum}`;
  };
  const columnsOf = async (table: string): Promise<string[]> =>
    (
      await database.query(
        `SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY column_name`,
        [table],
      )
    ).map(({ column_name }) => column_name as string);

  it('goes down and up again and leaves the ledger as it was, or refuses to go down', async () => {
    const schema = () =>
      database.query(
        `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2`,
      );
    const whole = await schema();
    const config = { ...readConfig({}), databaseUrl: database.url, databaseRole: '' };
    const dataSource = await new DataSource(databaseOptions(config)).initialize();
    /** Undoes so many. @returns the last of them, if it could be undone */
    const undo = async (count: number): Promise<string | undefined> => {
      for (let i = 1; i < count; i++) await dataSource.undoLastMigration();
      const [newest] = await database.query('SELECT name FROM migrations ORDER BY id DESC LIMIT 1');
      return dataSource.undoLastMigration().then(
        () => newest.name as string,
        () => undefined,
      );
    };
    const reached: string[] = [];
    for (let depth = 1; ; depth++) {
      const name = await undo(depth);
      if (!name) break;
      const there = new Map<string, string[]>();
      for (const table of LEDGER) there.set(table, await columnsOf(table));
      const read = () => Promise.all([...there].map(([table, columns]) => content(table, columns)));
      const before = await read();
      await migrate(config, () => undefined);
      expect([name, await read()]).toEqual([name, before]);
      expect([name, await schema()]).toEqual([name, whole]);
      reached.push(name);
    }
    await dataSource.destroy();
    figure(`down and up again with data: ${reached.join(', ')}`);
    // The one before the first of these brought holds and reversals; with any in the ledger it does not go down.
    expect(reached.at(-1)).toBe('CommitBehind1763950000000');
    await migrate(config, () => undefined);
    expect(await schema()).toEqual(whole);
  }, 120_000);
});
