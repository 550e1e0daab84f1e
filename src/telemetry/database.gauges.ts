/** What the metrics tell of the database: the pool of this process, and what waits in the tables. */
import { Inject, Injectable } from '@nestjs/common';
import type { Pool } from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { Metrics } from './metrics.js';

/** A database that does not answer by then is told as away; scrapers themselves wait for a few seconds, or as long as their interval. */
const ANSWER_MS_MAX = 1_000;
/** The gauges of one scrape share one look. */
const FRESH_MS = 100;

@Injectable()
export class DatabaseGauges {
  private lookedAt = -Infinity;
  private looking: Promise<RawRow | undefined> = Promise.resolve(undefined);

  constructor(
    metrics: Metrics,
    private readonly dataSource: DataSource,
    @Inject(CONFIG) config: Config,
  ) {
    const pool = () => (dataSource.driver as unknown as { master?: Pool }).master;
    const connections = 'Connections of the pool to the database';
    metrics.gauge('asper_database_connections', `${connections}: open`, () => pool()?.totalCount);
    metrics.gauge('asper_database_connections_idle', `${connections}: open and unused`, () => pool()?.idleCount);
    metrics.gauge('asper_database_connections_max', `${connections}: at most`, () => config.databasePoolSizeMax);
    metrics.gauge('asper_database_waiting', 'Work that waits for a connection', () => pool()?.waitingCount);
    metrics.gauge(
      'asper_database_up',
      '1 where the database answers within 1 s',
      async () => ((await this.look()) ? 1 : 0),
      'min',
    );
    for (const [name, help] of Object.entries(IN_TABLES)) {
      metrics.gauge(`asper_${name}`, help, async () => (await this.look())?.[name] as number | undefined, 'max');
    }
  }

  private look(): Promise<RawRow | undefined> {
    if (performance.now() - this.lookedAt < FRESH_MS) return this.looking;
    this.lookedAt = performance.now();
    const late = delay(ANSWER_MS_MAX, undefined, { ref: false });
    const rows = this.dataSource.query<RawRow[]>(LOOK).then(([row]) => row);
    this.looking = Promise.race([rows.catch(() => undefined), late]);
    return this.looking;
  }
}

/** By their columns in {@link LOOK}; the same in every process. */
const IN_TABLES = {
  outbox_unplaced_batches:
    'Batches of events without a position yet, at most 10,000: they get one every five seconds, and when events are read or sent',
  webhook_endpoints_active: 'Endpoints that are sent events',
  webhook_endpoints_disabled: 'Endpoints that are disabled, by an operator or because they failed for days',
  webhook_endpoints_failing: 'Active endpoints whose last attempt failed',
  webhook_deliveries_pending:
    'Deliveries that wait for their first or next attempt, also of disabled endpoints, at most 10,000',
  webhook_lag_seconds: 'Age of the oldest event that an active endpoint was not yet dealt',
  schedules_due: 'Schedules whose time has come and that no process works at',
  schedules_lag_seconds:
    'How late the oldest is that has not happened, also while a process works at it or has put it off',
};

/** 5 ms with a million deliveries of which 50,000 wait, and 90,000 batches without a position. */
const LOOK = `
  WITH active AS (SELECT id, position FROM webhook_endpoints WHERE status = 'active'),
  due AS (SELECT due_at FROM schedules WHERE due_at <= clock_now() ORDER BY due_at LIMIT 10000),
  -- What a process works at, or has put off after a fault, is due again in five minutes at most, and late all the same.
  late AS (SELECT coalesce(begun_at, due_at) AS since FROM schedules
            WHERE due_at <= clock_now() + interval '6 minutes' ORDER BY due_at LIMIT 10000)
  SELECT
    (SELECT count(*)::int FROM (SELECT FROM outbox_batches WHERE position IS NULL LIMIT 10000) b) AS outbox_unplaced_batches,
    (SELECT count(*)::int FROM active) AS webhook_endpoints_active,
    (SELECT count(*)::int FROM webhook_endpoints WHERE status = 'disabled') AS webhook_endpoints_disabled,
    (SELECT count(*)::int FROM webhook_endpoints WHERE status = 'active' AND failing_since IS NOT NULL)
      AS webhook_endpoints_failing,
    (SELECT count(*)::int FROM (SELECT FROM webhook_deliveries WHERE status = 'pending' LIMIT 10000) d)
      AS webhook_deliveries_pending,
    (SELECT coalesce(max(extract(epoch FROM clock_now() - coalesce(
              (SELECT created_at FROM outbox_batches b WHERE b.position = active.position + 1),
              (SELECT created_at FROM outbox_batches b WHERE b.position IS NULL ORDER BY id LIMIT 1)))), 0)::float8
       FROM active) AS webhook_lag_seconds,
    (SELECT count(*)::int FROM due) AS schedules_due,
    (SELECT coalesce(greatest(extract(epoch FROM clock_now() - min(since)), 0), 0)::float8 FROM late) AS schedules_lag_seconds`;
