/**
 * The real service as a process of its own, on a port of its own, over a fresh copy of the migrated template
 * database, started as `npm run start:prod` does.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { NODE_FLAGS } from '../../bench/node-flags.js';
import { WalletClient } from './client.js';
import { onDatabase, TEMPLATE } from './databases.js';
import { brokenLaws } from './laws.js';

export interface Service {
  process: ChildProcess;
  api: WalletClient;
  database: TestDatabase;
  /** What it has printed so far. */
  said(): string;
  /** What it has complained of so far, on stderr. */
  complained(): string;
  stop(): Promise<void>;
}

/** A database of its own, with a connection to look into it. */
export class TestDatabase {
  private constructor(
    readonly name: string,
    readonly url: string,
    private readonly client: pg.Client,
  ) {}

  static async create(): Promise<TestDatabase> {
    const name = `test_${randomUUID().replaceAll('-', '')}`;
    // 42 ms of a processor, and 13 to drop it; through the log, as by default, 69 and 82.
    await asAdmin(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE} STRATEGY FILE_COPY`);
    return TestDatabase.join(name);
  }

  /** One that is there already: the connection to it was lost. */
  static async join(name: string): Promise<TestDatabase> {
    const url = onDatabase(process.env.ASPER_TEST_DATABASE_URL!, name);
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    return new TestDatabase(name, url, client);
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- a row of whatever the test asked for
  async query(sql: string, parameters?: unknown[]): Promise<any[]> {
    return (await this.client.query(sql, parameters)).rows;
  }

  /** The laws that do not hold, one sentence each, and connections that were left inside a transaction. */
  async problems(): Promise<string[]> {
    return [...(await brokenLaws((sql) => this.query(sql))), ...(await this.leftOpen())];
  }

  /** Transactions that wait for a next statement for half a second: work behind the requests may be between two of its own. */
  private async leftOpen(): Promise<string[]> {
    const waiting = () =>
      this.query(
        `SELECT pid || ' ' || state_change AS id, query FROM pg_stat_activity
          WHERE datname = current_database() AND state LIKE 'idle in transaction%'`,
      );
    const before = new Set((await waiting()).map(({ id }) => id as string));
    if (before.size === 0) return [];
    await delay(500);
    return (await waiting()).filter(({ id }) => before.has(id)).map(({ query }) => `left in a transaction: ${query}`);
  }

  /** What `asper check` finds, a line each; nothing on a sound ledger. */
  async check(env: Record<string, string> = {}): Promise<string[]> {
    const run = promisify(execFile)(process.execPath, [CLI, 'check', '--json'], {
      env: { PATH: process.env.PATH, DATABASE_URL: this.url, ...env },
      maxBuffer: 64 * 1024 * 1024,
    });
    const { stdout } = await run.catch((error: { stdout: string }) => error);
    const { findings } = JSON.parse(stdout) as { findings: Array<Record<'law' | 'table' | 'row' | 'detail', string>> };
    return findings.map(({ law, table, row, detail }) => `${law}: ${table} ${row}: ${detail}`);
  }

  /** Runs `asper` on it: what it printed, and its exit code. */
  async asper(...args: string[]): Promise<{ stdout: string; stderr: string; code: number }> {
    const run = promisify(execFile)(process.execPath, [CLI, ...args], {
      env: { PATH: process.env.PATH, DATABASE_URL: this.url },
    });
    return run.then(
      (said) => ({ ...said, code: 0 }),
      (error: { stdout: string; stderr: string; code: number }) => error,
    );
  }

  /** Holds the row lock of a wallet while `meanwhile` runs, so that postings which need it are under way and stay so. */
  locking<T>(walletId: string, meanwhile: () => Promise<T>): Promise<T> {
    return this.holding('SELECT FROM wallets WHERE id = $1 FOR UPDATE', meanwhile, [walletId]);
  }

  /** Holds the locks of a statement while `meanwhile` runs. */
  async holding<T>(statement: string, meanwhile: () => Promise<T>, parameters?: unknown[]): Promise<T> {
    await this.query('BEGIN');
    try {
      await this.query(statement, parameters);
      return await meanwhile();
    } finally {
      await this.query('ROLLBACK');
    }
  }

  /** Waits until so many statements wait for a lock, or more. */
  async locksAwaited(count: number): Promise<void> {
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    for (const until = Date.now() + 20_000; Date.now() < until; await delay(10)) {
      await this.query('SELECT pg_stat_clear_snapshot()'); // within a transaction it would see the same again
      if ((await this.query(waiting)).length >= count) return;
    }
    throw new Error(`there are not ${count} that wait for a lock`);
  }

  /** Refuses new rows of a table while `meanwhile` runs. @param condition of the row, on `NEW`. */
  async refusing(table: string, condition: string, meanwhile: () => Promise<void>): Promise<void> {
    await this.query(`
      CREATE OR REPLACE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
      CREATE TRIGGER refuse_row BEFORE INSERT ON ${table} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION refuse_row()`);
    try {
      await meanwhile();
    } finally {
      await this.query(`DROP TRIGGER refuse_row ON ${table}`);
    }
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  async drop(): Promise<void> {
    await this.close();
    await asAdmin(`DROP DATABASE IF EXISTS ${this.name} WITH (FORCE)`);
  }
}

/**
 * Starts the service on a database of its own, or as one more process on a given one.
 * @param entry another build of the service (the broken ones of `mutants.e2e.spec.ts`).
 * @param quiet keeps the service's warnings and errors to itself, where the test provokes them.
 */
export async function startService(
  env: Record<string, string> = {},
  { database: shared, entry = ENTRY, quiet = false }: { database?: TestDatabase; entry?: string; quiet?: boolean } = {},
): Promise<Service> {
  const database = shared ?? (await TestDatabase.create());
  const child = spawn(process.execPath, [...NODE_FLAGS, entry], {
    env: { PATH: process.env.PATH, PORT: '0', LOG_LEVEL: 'warn', DATABASE_URL: database.url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const url = await listening(child, quiet);
  return {
    process: child,
    api: new WalletClient(url),
    database,
    said: () => output,
    complained: () => complaints,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      if (!shared) await database.drop();
    },
  };
}

/** What ships, made by bundle.js. */
export const ENTRY = path.resolve('dist/service/main.js');
export const CLI = path.join(path.dirname(ENTRY), 'cli.js');

/** Runs the service until it stops by itself; its exit code and everything it said. */
export async function failedStart(env: Record<string, string>): Promise<{ code: number; said: string }> {
  const child = spawn(process.execPath, [...NODE_FLAGS, ENTRY], { env: { PATH: process.env.PATH, PORT: '0', ...env } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, said };
}

/** The URL that the service prints when it listens. Its warnings and errors pass through to the test's output. */
export async function listening(child: ChildProcess, quiet: boolean): Promise<string> {
  let output = '';
  child.stderr!.on('data', (chunk: Buffer) => quiet || process.stderr.write(chunk));
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the service stopped with ${code}: ${output}`)));
    child.stdout!.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const url = /listens on (http:[^\s"]+)/.exec(output)?.[1];
      if (url) resolve(url);
    });
  });
}

async function asAdmin(sql: string): Promise<void> {
  const admin = new pg.Client({ connectionString: process.env.ASPER_TEST_DATABASE_URL });
  await admin.connect();
  try {
    await admin.query(sql);
  } finally {
    await admin.end();
  }
}
