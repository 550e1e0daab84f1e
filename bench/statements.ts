/**
 * PostgreSQL's side of a profile, from two witnesses: pg_stat_statements knows what each statement costs, those
 * inside triggers as well, but not what COMMIT waits for; pg_stat_activity, asked every few milliseconds, knows.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';

/** For a server of our own; loading the library needs a start of the server. */
export const STATEMENT_SETTINGS = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track': 'all',
  'pg_stat_statements.track_planning': 'on',
};

const STATEMENTS_SHOWN = 16;

/** Starts counting. @returns false where the server does not count: a given one without the library. */
export async function countStatements(client: Client): Promise<boolean> {
  try {
    await client.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
    await client.query('SELECT pg_stat_statements_reset()');
    return true;
  } catch {
    return false;
  }
}

/**
 * Time by statement since the count began, as a share of the time that passed. What happens at COMMIT counts under
 * the queries of deferred triggers, and not at all for the log's fsync.
 */
export async function summariseStatements(client: Client, elapsedMs: number): Promise<string> {
  const { rows } = await client.query<{
    query: string;
    toplevel: boolean;
    calls: string;
    rows: string;
    plan: number;
    exec: number;
  }>(
    `SELECT query, toplevel, calls, rows, total_plan_time AS plan, total_exec_time AS exec FROM pg_stat_statements
      WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls > 0
      ORDER BY total_plan_time + total_exec_time DESC LIMIT ${STATEMENTS_SHOWN}`,
  );
  const lines = rows.map(({ query, toplevel, calls, plan, exec, rows: touched }) => {
    const n = Number(calls);
    const share = `${((100 * (plan + exec)) / elapsedMs).toFixed(1)} %`.padStart(8);
    const means = `${(plan / n).toFixed(3)} + ${(exec / n).toFixed(3)} ms`.padStart(17);
    const text = query.replace(/\s+/g, ' ').trim().slice(0, 90);
    const many = (Number(touched) / n).toFixed(0).padStart(5);
    return `  ${share} ${means} ${calls.padStart(7)} × ${many} rows  ${toplevel ? '' : '(in a trigger) '}${text}`;
  });
  return ['  PostgreSQL, share of the time, mean plan + execution:', ...lines].join('\n');
}

/** Looks every few milliseconds at what the connections to the service's database do, until it is told to end. */
export class ActivityWatch {
  private readonly seen = new Map<string, number>();
  private looks = 0;
  private isOver = false;
  private readonly watching: Promise<void>;

  constructor(client: Client) {
    this.watching = this.watch(client);
  }

  /** @returns what was seen, most frequent first, as a share of all looks. */
  async end(): Promise<string> {
    this.isOver = true;
    await this.watching;
    const sorted = [...this.seen].sort(([, a], [, b]) => b - a).slice(0, STATEMENTS_SHOWN);
    const lines = sorted.map(([what, n]) => `  ${`${((100 * n) / this.looks).toFixed(1)} %`.padStart(8)}  ${what}`);
    return [
      `  Connections not idle, in ${this.looks} looks (after a statement: waiting for the service):`,
      ...lines,
    ].join('\n');
  }

  private async watch(client: Client): Promise<void> {
    while (!this.isOver) {
      const { rows } = await client.query<{ what: string }>(ACTIVITY);
      this.looks++;
      for (const { what } of rows) this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
      await delay(LOOK_EVERY_MS);
    }
  }
}

/** Often enough to see groups of 10 ms, rarely enough to take under 2 % of a core. */
const LOOK_EVERY_MS = 7;

const ACTIVITY = `
  SELECT (CASE WHEN state = 'active' THEN coalesce(wait_event_type || ' ' || wait_event, 'computing') || ' in '
               ELSE 'after ' END) || left(regexp_replace(query, '\\s+', ' ', 'g'), 60) AS what
    FROM pg_stat_activity
   WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend'`;
