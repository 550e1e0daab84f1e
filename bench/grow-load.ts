/** Debits on a grown and on an empty ledger, and what each costs: speed, processor, write-ahead log, HOT updates. */
import type { Client } from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuUs, serverPids, usedBetween } from './cpu.js';
import type { LoadJob } from './load.js';
import type { Generator, Served } from './processes.js';

/** A service on its database. */
export interface Ledger {
  service: Served;
  client: Client;
}

export interface DebitSample {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Microseconds of processor time of service and PostgreSQL for one debit. */
  cpuUs: number;
  /** Bytes of write-ahead log for one debit, and how many images of whole pages are among them. */
  walBytes: number;
  pageImages: number;
  /** Part of the updates of wallets that touched no index. */
  hotPart: number;
  acknowledged: number;
  lost: number;
  others: Record<string, number>;
}

/** Idle connections report what they counted within a second. */
const REPORTED_AFTER_MS = 1_500;

export async function measureDebits(
  generator: Generator,
  { service, client }: Ledger,
  job: Omit<LoadJob, 'urls' | 'kind' | 'zipf'>,
): Promise<DebitSample> {
  const look = async () => ({
    counts: await counters(client),
    service: await cpuUs([service.pid]),
    postgres: await cpuUs(await serverPids(client)),
  });
  const before = await look();
  const result = await generator.run({ kind: 'debits', zipf: 0, urls: [service.url], ...job });
  const busy = await look();
  await delay(REPORTED_AFTER_MS);
  const counts = await counters(client);
  const used = usedBetween(before.service, busy.service) + usedBetween(before.postgres, busy.postgres);
  const each = (name: keyof Counters) => (counts[name] - before.counts[name]) / result.acknowledged;
  return {
    perSecond: result.perSecond,
    // Without a single answer there is no median, and NaN comes from another process as null.
    p50Ms: result.p50Ms ?? NaN,
    p99Ms: result.p99Ms ?? NaN,
    cpuUs: used / result.acknowledged,
    walBytes: each('wal'),
    pageImages: each('images'),
    hotPart: each('hot') / each('updated'),
    acknowledged: result.acknowledged,
    lost: result.unknown,
    others: result.others,
  };
}

type Counters = Record<'wal' | 'images' | 'updated' | 'hot', number>;

async function counters(client: Client): Promise<Counters> {
  const { rows } = await client.query<Record<keyof Counters, string>>(
    `SELECT pg_current_wal_lsn() - '0/0' AS wal, (SELECT wal_fpi FROM pg_stat_wal) AS images,
            n_tup_upd AS updated, n_tup_hot_upd AS hot
       FROM pg_stat_user_tables WHERE relname = 'wallets'`,
  );
  const [{ wal, images, updated, hot }] = rows as [Record<keyof Counters, string>];
  return { wal: Number(wal), images: Number(images), updated: Number(updated), hot: Number(hot) };
}
