/**
 * What all rows share: the databases, the measured service, the load generator, and the account of what clients were
 * told, which the ledger must agree with in the end.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import { readConfig } from '../src/config.js';
import { migrate } from '../src/database/migrate.js';
import { packageFile } from '../src/package-root.js';
import type { CleanUp } from './clean-up.js';
import { cpuUs, serverPids, usedBetween } from './cpu.js';
import { brokenLaws } from './laws.js';
import type { LoadJob, LoadResult } from './load.js';
import { MemoryWatch } from './memory.js';
import { prepareOneByOne } from './one-by-one.js';
import type { Options } from './options.js';
import { Generator, serve, type Served } from './processes.js';
import { summarise } from './profile-summary.js';
import { sampleOf, type Row, type Sample } from './row.js';
import { connectTo, type BenchServer } from './server.js';
import { makeKey, SIGN_IN_ENV, signInOwners } from './sign-in.js';
import { ActivityWatch, countStatements, summariseStatements } from './statements.js';
import { EXTERNAL_STRIPE, openWallets } from './wallets.js';

export const WALLETS = 1_000;
export const CONNECTIONS = 256;
/** After this long a process that nobody calls is idle, and has given back the memory that only its start took. */
export const IDLE_AFTER_MS = 3_000;
/** Often enough to meet the peak between two collections of garbage. */
const MEMORY_LOOK_MS = 100;

/** What a row asks of the load generator; the rest is as in P1. */
export type Job = Partial<Omit<LoadJob, 'urls' | 'seconds'>>;

export class Bench {
  readonly transferWallets: number;
  /** What the round under way has brought so far, by row. */
  readonly thisRound = new Map<string, Sample>();
  service!: Served;
  private readonly generator: Generator;
  private readonly services: Served[] = [];
  private ledgerUrl!: string;
  private ledger!: Client;
  private referenceUrl?: Promise<string>;
  private opened = 0;
  private acknowledged = 0;
  private unknown = 0;

  constructor(
    private readonly server: BenchServer,
    readonly options: Options,
    readonly cleanUp: CleanUp,
  ) {
    this.generator = new Generator(cleanUp);
    this.transferWallets = options.quick ? 10_000 : 100_000;
  }

  /** Makes the ledger, starts the service, and lets each row make what it needs. @returns the rows that can be measured. */
  async prepare(rows: Row[]): Promise<Row[]> {
    this.opened = rows.some(({ name }) => name === 'P3') ? this.transferWallets : WALLETS;
    this.ledgerUrl = await this.ledgerWith('service', this.opened, 1);
    this.ledger = await connectTo(this.ledgerUrl);
    this.cleanUp.add(() => this.ledger.end());
    this.service = await this.startService(EXTERNAL_STRIPE, this.options.profile !== undefined);
    const prepared: Row[] = [];
    for (const row of rows) if ((await row.prepare?.(this)) !== false) prepared.push(row);
    await this.server.settle();
    return prepared;
  }

  /** One more process of the service on the ledger. */
  async startService(externalStripe: number, profiled = false): Promise<Served> {
    const env = { ...SIGN_IN_ENV, EXTERNAL_STRIPE: String(externalStripe) };
    const service = await this.serve(this.ledgerUrl, env, profiled);
    this.services.push(service);
    return service;
  }

  /** The service as a process of its own on any database. */
  serve(databaseUrl: string, env: Record<string, string> = {}, profiled = false): Promise<Served> {
    const entry = path.resolve(packageFile(), this.options.entry);
    return serve(entry, { DATABASE_URL: databaseUrl, ...env }, this.cleanUp, profiled);
  }

  /** The same, idle by now. */
  async serveIdle(databaseUrl: string): Promise<Served> {
    const service = await this.serve(databaseUrl);
    await delay(IDLE_AFTER_MS);
    return service;
  }

  /** An access token for each wallet of P1, of its owner. */
  signInOwners(): Promise<string[]> {
    return signInOwners(this.ledger, this.service, WALLETS);
  }

  makeKey(): Promise<string> {
    return makeKey(this.ledger);
  }

  /** A migrated database. */
  async migrated(name: string): Promise<string> {
    const url = await this.server.createDatabase(name);
    await migrate({ ...readConfig({}), databaseUrl: url }, console.error);
    return url;
  }

  /** A migrated database with wallets that have plenty of money. */
  async ledgerWith(name: string, wallets: number, externals: number): Promise<string> {
    const url = await this.migrated(name);
    const client = await connectTo(url);
    await openWallets(client, wallets, externals);
    await client.end();
    return url;
  }

  /** The database of the references that work without our schema; made at the first call. */
  referenceDatabase(): Promise<string> {
    return (this.referenceUrl ??= (async () => {
      const url = await this.server.createDatabase('reference');
      const client = await connectTo(url);
      await prepareOneByOne(client, WALLETS);
      await client.end();
      return url;
    })());
  }

  /** Drives any server. */
  drive(urls: string[], job: Job, seconds: number): Promise<LoadResult> {
    const { token } = this.options;
    const usual = { kind: 'debits', connections: CONNECTIONS, wallets: WALLETS, zipf: 0, token } as const;
    return this.generator.run({ ...usual, ...job, urls, seconds });
  }

  /** Drives processes of the service on the ledger, with an eye on what it costs, and keeps account. */
  async load(job: Job, seconds: number, services = [this.service]): Promise<Sample> {
    const look = async () => ({
      service: await cpuUs(services.map(({ pid }) => pid)),
      postgres: await cpuUs(await serverPids(this.ledger)),
    });
    const before = await look();
    const memory = new MemoryWatch(services[0]!.pid, MEMORY_LOOK_MS);
    const urls = services.map(({ url }) => url);
    const result = await this.drive(urls, job, seconds);
    const { acknowledged, unknown, ownCpuUs } = result;
    const residentMB = await memory.end();
    const after = await look();
    if (job.kind !== 'balances') this.account(acknowledged, unknown);
    const used = [usedBetween(before.service, after.service), usedBetween(before.postgres, after.postgres), ownCpuUs];
    return { ...sampleOf(result), residentMB, cpuUs: used.map((us) => us / acknowledged) as Sample['cpuUs'] };
  }

  /** Transactions that clients were told of, and that they must reckon with. */
  account(acknowledged: number, unknown = 0): void {
    this.acknowledged += acknowledged;
    this.unknown += unknown;
  }

  /** Measures a row of the service once more under the profiler. @returns where its time went, as text. */
  async profile(row: Row): Promise<string> {
    const folder = path.resolve(this.options.profile!);
    await mkdir(folder, { recursive: true });
    const file = path.join(folder, `${row.name}.cpuprofile`);
    const isCounting = await countStatements(this.ledger);
    await this.service.tell({ profile: 'start' });
    const watch = new ActivityWatch(this.ledger);
    const begin = performance.now();
    const { perSecond } = await row.measure(this, this.options.seconds);
    const activity = await watch.end();
    const elapsedMs = performance.now() - begin;
    const statements = isCounting ? `\n${await summariseStatements(this.ledger, elapsedMs)}` : '';
    await this.service.tell({ profile: file });
    const title = `${row.name} under the profiler: ${perSecond!.toFixed(0)}/s`;
    return `\n${title}\n${await summarise(file)}${statements}\n${activity}`;
  }

  /**
   * What the ledger says to all that was answered, once the service is stopped: a connection tells PostgreSQL of its
   * last deadlock when it ends. @returns what is wrong; empty: it is as it should be.
   */
  async brokenLaws(): Promise<string[]> {
    for (const service of this.services) await service.stop();
    const { acknowledged, unknown, opened } = this;
    return brokenLaws(this.ledger, { acknowledged, unknown, opened });
  }
}
