/** The references: what others do with the same PostgreSQL in the same round. */
import path from 'node:path';
import { WALLETS, type Bench } from '../bench.js';
import { oneByOne } from '../one-by-one.js';
import { findPgbench, Pgbench } from '../pgbench.js';
import { serve, type Served } from '../processes.js';
import { fastestOf, sampleOf, type Row } from '../row.js';
import { PEER_STRIPES } from '../wallets.js';

/** `BEGIN; SELECT … FOR UPDATE; UPDATE; INSERT; COMMIT` straight through `pg`. */
class OneByOne implements Row {
  readonly name = 'one-by-one';
  private connections = 0;

  get what(): string {
    return `one transaction at a time through pg, ${this.connections} connections`;
  }

  async warmUp(bench: Bench, seconds: number): Promise<void> {
    const settings = bench.options.quick ? [4, 16, 64] : [1, 4, 8, 16, 32, 64];
    this.connections = await fastestOf(settings, (count) => this.run(bench, count, seconds));
  }

  measure(bench: Bench, seconds: number) {
    return this.run(bench, this.connections, seconds);
  }

  private async run(bench: Bench, connections: number, seconds: number) {
    return oneByOne(await bench.referenceDatabase(), WALLETS, connections, seconds);
  }
}

/** pgbench's default script, where it is installed. */
class DefaultScript implements Row {
  readonly name = 'pgbench';
  private pgbench!: Pgbench;
  private clients = 0;

  get what(): string {
    return `default script, scale 10, ${this.clients} clients`;
  }

  async prepare(bench: Bench): Promise<boolean> {
    const file = await findPgbench();
    if (!file) return false;
    this.pgbench = new Pgbench(file, await bench.referenceDatabase());
    await this.pgbench.prepare();
    return true;
  }

  async warmUp({ options }: Bench, seconds: number): Promise<void> {
    const settings = options.quick ? [16, 32] : [8, 16, 32, 64];
    this.clients = await fastestOf(settings, (count) => this.pgbench.run(count, seconds));
  }

  measure(_bench: Bench, seconds: number) {
    return this.pgbench.run(this.clients, seconds);
  }
}

/** The debit route with one database transaction per request (`peer.ts`). */
class Peer implements Row {
  readonly name = 'peer';
  private readonly peers = new Map<number, Served>();
  private pool = 0;

  get what(): string {
    return `the debit route, one transaction per request, ${this.pool} in the pool`;
  }

  /** A pool of 10 is TypeORM's default; 32 is what somebody tries next. The better one stays. */
  async prepare(bench: Bench): Promise<void> {
    const url = await bench.ledgerWith('peer', WALLETS, PEER_STRIPES);
    const entry = path.join(import.meta.dirname, '..', 'peer.js');
    for (const pool of bench.options.quick ? [10] : [10, 32]) {
      const env = { DATABASE_URL: url, DATABASE_POOL_SIZE_MAX: String(pool) };
      this.peers.set(pool, await serve(entry, env, bench.cleanUp));
    }
  }

  async warmUp(bench: Bench, seconds: number): Promise<void> {
    this.pool = await fastestOf([...this.peers.keys()], (pool) => this.run(bench, pool, seconds));
    for (const [pool, peer] of this.peers) if (pool !== this.pool) await peer.stop();
  }

  measure(bench: Bench, seconds: number) {
    return this.run(bench, this.pool, seconds);
  }

  private async run(bench: Bench, pool: number, seconds: number) {
    return sampleOf(await bench.drive([this.peers.get(pool)!.url], {}, seconds));
  }
}

export const oneByOneRow = new OneByOne();
export const pgbench = new DefaultScript();
export const peer = new Peer();

/** What a single client waits for the same work without HTTP. */
export const lonelyOneByOne: Row = {
  name: 'lonely one-by-one',
  what: 'the same, 1 connection',
  measure: async (bench, seconds) => oneByOne(await bench.referenceDatabase(), WALLETS, 1, seconds),
};
