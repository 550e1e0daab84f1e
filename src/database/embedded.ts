/**
 * A PostgreSQL of our own, so that `npm start` needs nothing but node: made, started, shared and stopped here.
 *
 * Who uses it is written where a crash cannot leave it stale: in PostgreSQL's advisory locks, held by one
 * connection per process and released by the server when that process dies. Everybody holds IN_USE shared;
 * a service also holds SERVICE alone; the last one out takes IN_USE alone and stops the server. A pid file
 * or a counter on disk would need repair after every kill -9.
 *
 * The locks live in the database `postgres`, so that `asper` has no guest and can be cloned as a template.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import { findBinaries } from './embedded.binaries.js';
import { type Cluster, prepareCluster, stopPostgres } from './embedded.cluster.js';
import { chooseDataDir, makeDataDir } from './embedded.folder.js';
import { createDatabase, IN_USE, lock, reach, SERVICE } from './embedded.reach.js';
import { causeOf, EmbeddedDatabaseError } from './embedded.system.js';

export interface EmbeddedDatabase {
  /** postgresql://asper:<password>@127.0.0.1:<port>/asper. Stays valid when the server dies and is restarted. */
  url: string;
  /** The folder in use, absolute. */
  dataDir: string;
  /** Leaves; the last one out stops PostgreSQL. May be called twice; never throws. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** DATA_DIR; a relative one starts at the project, not where the command was typed. Unset: see chooseDataDir(). */
  dataDir?: string;
  /** One service per folder; commands join it, or start the server for as long as they run. */
  role: 'service' | 'command';
  /** More PostgreSQL settings, for tests. A server that runs already keeps its own. */
  settings?: Record<string, string>;
  /** Takes friendly lines about progress. */
  log: (line: string) => void;
}

/** The server notices a killed service at once, but not before we can ask. */
const SERVICE_LOCK_GRACE_MS = 1_500;
/** A disk that is full, or files that are out of reach, may take somebody hours. They are told about once a minute. */
const TOLD_EVERY_ATTEMPTS = 30;
const RESTART_DELAY_MS = 200;
const RESTART_DELAY_MAX_MS = 2_000;

/** Joins the PostgreSQL on this folder, or makes and starts it. Throws EmbeddedDatabaseError with advice. */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const { dataDir, account } = await chooseDataDir(options.dataDir);
  const binaries = await findBinaries(account, options.log);
  await makeDataDir(dataDir, account);
  const settings = options.settings ?? {};
  const cluster = await prepareCluster({ dataDir, account, binaries, settings }, options.log);
  const stay = new Stay(cluster, options);
  await stay.begin();
  return stay;
}

/** One process's use of the server, from the first lock to the last. */
class Stay implements EmbeddedDatabase {
  url = '';
  readonly dataDir: string;
  private port = 0;
  private keeper: Client | undefined;
  private leaving: Promise<void> | undefined;
  private restarting: Promise<void> | undefined;

  constructor(
    private readonly cluster: Cluster,
    private readonly options: EmbeddedOptions,
  ) {
    this.dataDir = cluster.dataDir;
  }

  async begin(): Promise<void> {
    try {
      await this.enter();
      await createDatabase(this.keeper!);
    } catch (error) {
      await this.stop();
      if (error instanceof EmbeddedDatabaseError) throw error;
      throw new EmbeddedDatabaseError(`The database in ${this.dataDir} cannot be opened: ${causeOf(error)}`);
    }
    this.url = `postgresql://asper:${this.cluster.password}@127.0.0.1:${this.port}/asper`;
  }

  stop(): Promise<void> {
    return (this.leaving ??= this.leave());
  }

  /** Finds or starts the server, and takes the locks. */
  private async enter(): Promise<void> {
    const isLeaving = () => this.leaving !== undefined;
    const { client, port } = await reach(this.cluster, this.options.log, this.port, isLeaving);
    this.keeper = client;
    this.port ||= port;
    if (this.port !== port) this.options.log(`PostgreSQL is on port ${port} now, not ${this.port}: start this again.`);
    if (this.options.role === 'service' && !(await lockWithin(client, SERVICE, SERVICE_LOCK_GRACE_MS))) {
      await this.giveBack(); // the other may have left in the meantime
      throw new EmbeddedDatabaseError(
        `Another Asper Wallet already runs on this data folder (${this.dataDir}). ` +
          'Stop it, or give this one its own DATA_DIR and PORT.',
      );
    }
    client.once('end', () => this.onLoss(client));
    holdProcess(client, false); // a process that is done must not stay for this connection
  }

  private onLoss(client: Client): void {
    if (this.keeper !== client || this.leaving) return;
    this.keeper = undefined;
    this.restarting ??= this.restart().finally(() => (this.restarting = undefined));
  }

  /** Nobody watches over this PostgreSQL but us. It comes back on the same port, so every pool recovers. */
  private async restart(): Promise<void> {
    this.options.log('The connection to the embedded PostgreSQL was lost; bringing it back …');
    let wait = RESTART_DELAY_MS;
    for (let attempt = 0; ; attempt += 1) {
      await delay(wait);
      if (this.leaving) return;
      try {
        await this.enter();
        return this.options.log('The embedded PostgreSQL is back.');
      } catch (error) {
        if (attempt % TOLD_EVERY_ATTEMPTS === 0)
          this.options.log(`The embedded PostgreSQL does not come back yet: ${causeOf(error)}`);
      }
      wait = Math.min(wait * 1.5, RESTART_DELAY_MAX_MS);
    }
  }

  private async leave(): Promise<void> {
    await this.restarting;
    await this.giveBack();
  }

  /** Lets go of the locks; stops the server if that leaves nobody. A lost connection has let go already. */
  private async giveBack(): Promise<void> {
    const client = this.keeper;
    this.keeper = undefined;
    if (!client) return;
    holdProcess(client, true);
    try {
      await client.query('SELECT pg_advisory_unlock_all()');
      if (await lock(client, IN_USE)) {
        const failure = await stopPostgres(this.cluster);
        this.options.log(failure ? `PostgreSQL did not stop:\n${failure}` : 'PostgreSQL stopped.');
      }
    } catch (error) {
      this.options.log(`PostgreSQL was gone before it could be stopped (${causeOf(error)}).`);
    }
    await client.end().catch(() => undefined);
  }
}

async function lockWithin(client: Client, key: number, graceMs: number): Promise<boolean> {
  for (const until = Date.now() + graceMs; Date.now() < until; await delay(100)) {
    if (await lock(client, key)) return true;
  }
  return false;
}

/** pg's Client has ref() and unref(), its types do not. */
function holdProcess(client: Client, isHeld: boolean): void {
  const socket = client as unknown as { ref(): void; unref(): void };
  if (isHeld) socket.ref();
  else socket.unref();
}
