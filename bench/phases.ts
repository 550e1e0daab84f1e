/** What is measured: one function a phase, each answering one sample. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Client } from 'pg';
import { migrate } from '../src/database/migrate.js';
import { readConfig } from '../src/config.js';
import { packageFile } from '../src/package-root.js';
import { cpuUs, serverPids, usedBetween } from './cpu.js';
import type { CleanUp } from './clean-up.js';
import { brokenLaws } from './laws.js';
import type { LoadJob } from './load.js';
import { oneByOne, prepareOneByOne } from './one-by-one.js';
import type { Options, Row } from './options.js';
import { findPgbench, Pgbench } from './pgbench.js';
import { Generator, serve, type Served } from './processes.js';
import { summarise } from './profile-summary.js';
import { connectTo, type BenchServer } from './server.js';
import { ActivityWatch, countStatements, summariseStatements } from './statements.js';
import { EXTERNAL_STRIPE, openWallets, PEER_STRIPES } from './wallets.js';

export interface Sample {
  perSecond: number;
  p50Ms?: number;
  p99Ms?: number;
  /** Answers that were not 201, by status. */
  others?: Record<string, number>;
  /** Microseconds of processor time for one 201: service, its connections in PostgreSQL, load generator. */
  cpuUs?: [service: number, postgres: number, generator: number];
}

export type Reference = 'one-by-one' | 'lonely one-by-one' | 'pgbench' | 'peer';
export type Phase = Reference | Row;

const WALLETS = 1_000;
const CONNECTIONS = 256;

export class Bench {
  private readonly generator: Generator;
  private readonly transferWallets: number;
  private referenceUrl = '';
  private service!: Served;
  private ledger!: Client;
  private peer?: Served;
  private pgbench?: Pgbench;
  private acknowledged = 0;
  private unknown = 0;
  /** Connections that suit each reference best, found by trying. */
  readonly best: Record<string, number> = {};

  constructor(
    private readonly server: BenchServer,
    private readonly options: Options,
    private readonly cleanUp: CleanUp,
  ) {
    this.generator = new Generator(cleanUp);
    this.transferWallets = options.quick ? 10_000 : 100_000;
  }

  /** Makes the databases and starts the service. @returns the phases of a round, in order. */
  async prepare(): Promise<Phase[]> {
    const { rows, skip, profile, entry } = this.options;
    const hasMoney = rows.has('P1') || rows.has('P2') || rows.has('P3');
    await this.prepareService(rows.has('P3') ? this.transferWallets : WALLETS, entry, profile !== undefined);
    this.referenceUrl = await this.server.createDatabase('reference');
    const client = await connectTo(this.referenceUrl);
    await prepareOneByOne(client, WALLETS);
    await client.end();

    const phases: Phase[] = [];
    if (hasMoney) {
      phases.push('one-by-one');
      if (!skip.has('pgbench') && (await this.preparePgbench())) phases.push('pgbench');
    }
    if (rows.has('P1')) phases.push('P1');
    if (rows.has('P1') && !skip.has('peer')) phases.push('peer');
    for (const row of ['P2', 'P3'] as const) if (rows.has(row)) phases.push(row);
    if (rows.has('P5')) phases.push('lonely one-by-one', 'P5');
    await this.server.settle();
    return phases;
  }

  /** Finds the best number of connections for each reference, and runs everything else once so that it is warm. */
  async warmUp(phases: Phase[]): Promise<void> {
    const { quick, seconds } = this.options;
    const brief = Math.min(seconds, quick ? 1 : 2);
    const tryEach = async (name: string, counts: number[], run: (count: number) => Promise<Sample>) => {
      let most = 0;
      for (const count of counts) {
        const { perSecond } = await run(count);
        if (perSecond > most) this.best[name] = count;
        most = Math.max(most, perSecond);
      }
    };
    if (phases.includes('one-by-one')) {
      await tryEach('one-by-one', quick ? [4, 16, 64] : [1, 4, 8, 16, 32, 64], (n) =>
        oneByOne(this.referenceUrl, WALLETS, n, brief),
      );
    }
    if (phases.includes('pgbench')) {
      await tryEach('pgbench', quick ? [16, 32] : [8, 16, 32, 64], (n) => this.pgbench!.run(n, brief));
    }
    if (phases.includes('peer')) await this.chooseBestPeer(brief, tryEach);
    for (const phase of phases) if (/^P[123]$/.test(phase)) await this.measure(phase, brief);
  }

  async measure(phase: Phase, seconds = this.options.seconds): Promise<Sample> {
    const on = (url: string, job: Partial<LoadJob>) => this.load({ url, seconds, ...job });
    switch (phase) {
      case 'one-by-one':
        return oneByOne(this.referenceUrl, WALLETS, this.best['one-by-one']!, seconds);
      case 'lonely one-by-one':
        return oneByOne(this.referenceUrl, WALLETS, 1, seconds);
      case 'pgbench':
        return this.pgbench!.run(this.best.pgbench!, seconds);
      case 'peer':
        return on(this.peer!.url, {});
      case 'P1':
        return on(this.service.url, {});
      case 'P2':
        return on(this.service.url, { wallets: 1 });
      case 'P3':
        return on(this.service.url, { kind: 'transfers', wallets: this.transferWallets, zipf: 1 });
      case 'P5':
        return on(this.service.url, { connections: 1 });
    }
  }

  /** Measures a row of the service once more under the profiler. @returns where its time went, as text. */
  async profile(row: Row): Promise<string> {
    const folder = path.resolve(this.options.profile!);
    await mkdir(folder, { recursive: true });
    const file = path.join(folder, `${row}.cpuprofile`);
    const isCounting = await countStatements(this.ledger);
    await this.service.tell({ profile: 'start' });
    const watch = new ActivityWatch(this.ledger);
    const begin = performance.now();
    const { perSecond } = await this.measure(row);
    const activity = await watch.end();
    const elapsedMs = performance.now() - begin;
    const statements = isCounting ? `\n${await summariseStatements(this.ledger, elapsedMs)}` : '';
    await this.service.tell({ profile: file });
    return `\n${row} under the profiler: ${perSecond.toFixed(0)}/s\n${await summarise(file)}${statements}\n${activity}`;
  }

  /** What the ledger says to all that was answered. Empty: it is as it should be. */
  brokenLaws(): Promise<string[]> {
    const opened = this.options.rows.has('P3') ? this.transferWallets : WALLETS;
    return brokenLaws(this.ledger, { acknowledged: this.acknowledged, unknown: this.unknown, opened });
  }

  private async load(job: Partial<LoadJob> & Pick<LoadJob, 'url' | 'seconds'>): Promise<Sample> {
    const { token } = this.options;
    const isService = job.url === this.service.url;
    const look = async () => [await cpuUs([this.service.pid]), await cpuUs(await serverPids(this.ledger))] as const;
    const before = await look();
    const result = await this.generator.run({
      kind: 'debits',
      connections: CONNECTIONS,
      wallets: WALLETS,
      zipf: 0,
      token,
      ...job,
    });
    const { perSecond, p50Ms, p99Ms, others, ownCpuUs } = result;
    const sample = { perSecond, p50Ms, p99Ms, others };
    if (!isService) return sample;
    const after = await look();
    const used = [usedBetween(before[0], after[0]), usedBetween(before[1], after[1]), ownCpuUs];
    const cpuUsEach = used.map((us) => us / result.acknowledged) as Sample['cpuUs'];
    this.acknowledged += result.acknowledged;
    this.unknown += result.others.lost ?? 0;
    return { ...sample, cpuUs: cpuUsEach };
  }

  private async prepareService(wallets: number, entry: string, profiled: boolean): Promise<void> {
    const url = await this.ledgerWith('service', wallets, 1);
    this.ledger = await connectTo(url);
    this.cleanUp.add(() => this.ledger.end());
    const env = { DATABASE_URL: url, EXTERNAL_STRIPE: String(EXTERNAL_STRIPE) };
    this.service = await serve(path.resolve(packageFile(), entry), env, this.cleanUp, profiled);
  }

  private async ledgerWith(name: string, wallets: number, externals: number): Promise<string> {
    const url = await this.server.createDatabase(name);
    await migrate({ ...readConfig({}), databaseUrl: url });
    const client = await connectTo(url);
    await openWallets(client, wallets, externals);
    await client.end();
    return url;
  }

  private async preparePgbench(): Promise<boolean> {
    const file = await findPgbench();
    if (!file) return false;
    this.pgbench = new Pgbench(file, this.referenceUrl);
    await this.pgbench.prepare();
    return true;
  }

  /** A pool of 10 is TypeORM's default; 32 is what somebody tries next. The better one stays. */
  private async chooseBestPeer(
    seconds: number,
    tryEach: (name: string, counts: number[], run: (count: number) => Promise<Sample>) => Promise<void>,
  ): Promise<void> {
    const url = await this.ledgerWith('peer', WALLETS, PEER_STRIPES);
    const entry = path.join(import.meta.dirname, 'peer.js');
    const start = (pool: number) =>
      serve(entry, { DATABASE_URL: url, DATABASE_POOL_SIZE_MAX: String(pool) }, this.cleanUp);
    const peers = new Map<number, Served>();
    for (const pool of [10, 32]) peers.set(pool, await start(pool));
    await tryEach('peer', [...peers.keys()], async (pool) => {
      this.peer = peers.get(pool)!;
      return this.measure('peer', seconds);
    });
    this.peer = peers.get(this.best.peer!)!;
    for (const peer of peers.values()) if (peer !== this.peer) await peer.stop();
  }
}
