/**
 * The primary of several processes (`WORKERS`). It forks workers that share the port, and puts a new one in the place of
 * each that ends. It serves no request itself: connections go round the workers, and any worker may get any request, as
 * all that they share is in the database.
 */
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { EXTERNAL_STRIPES, type Config } from './config.js';
import { connectionsMax } from './database/connections.js';
import type { Serving } from './serve.js';
import { WorkerStartError } from './start-failure.js';
import { answerMetrics } from './telemetry/worker.metrics.js';
import { STOP, type WorkerReport } from './worker.messages.js';

/** A place whose workers keep dying is filled ever more slowly, so a lasting fault is no storm of processes. */
const REFILL_DELAY_MS = 250;
const REFILL_DELAY_MAX_MS = 30_000;
/** Whoever lived this long died of something new. */
const STEADY_AFTER_MS = 60_000;

/** Forks `config.workers` workers, and resolves when all of them listen. `config.databaseUrl` is set and migrated. */
export async function serveByWorkers(config: Config, log: (line: string) => void): Promise<Serving> {
  await warnOfConnections(config, log);
  const workers = new Workers(config, log);
  await workers.start();
  log(`${config.workers} workers: processes ${workers.processIds().join(', ')}.`);
  return workers;
}

class Workers implements Serving {
  url = '';
  private readonly alive = new Set<Worker>();
  private isStarted = false;
  private isStopping = false;

  constructor(
    private readonly config: Config,
    private readonly log: (line: string) => void,
  ) {}

  /** @throws {WorkerStartError} where one ends before all listen: what hits one at the start hits every further one. */
  async start(): Promise<void> {
    const places = Array.from({ length: this.config.workers }, (_, place) => place);
    try {
      await Promise.all(places.map((place) => this.fill(place)));
      this.isStarted = true;
    } catch (error) {
      // Those that listen end in order, those that do not yet at once.
      for (const worker of this.alive) worker.process.kill('SIGTERM');
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all([...this.alive].map((worker) => (tellToStop(worker), once(worker.process, 'close'))));
  }

  processIds(): number[] {
    return [...this.alive].map((worker) => worker.process.pid!);
  }

  /** Resolves when the first worker of a place listens. */
  private fill(place: number): Promise<void> {
    return new Promise((resolve, reject) => void this.keep(place, resolve, reject));
  }

  /** Keeps a place filled, one worker after the other, until the service stops. */
  private async keep(place: number, onFilled: () => void, onFailure: (error: Error) => void): Promise<void> {
    let isFilled = false;
    const onListening = () => {
      isFilled = true;
      onFilled();
    };
    for (let shortLives = 0; !this.isStopping;) {
      const bornAt = Date.now();
      // Where there is no memory for another process, `fork` throws; those that are there serve on.
      const { pid, end, failure } = await this.live(place, onListening).catch((error: Error) => ({
        ...{ pid: undefined, end: `could not be forked: ${error.message}`, failure: undefined },
      }));
      if (this.isStopping) return;
      // Whoever has listened, and ended before all others did, did not die of the start: it is replaced like any other.
      if (!this.isStarted && !isFilled)
        return onFailure(new WorkerStartError(failure ?? `Worker ${place + 1} ${end}.`));
      shortLives = Date.now() - bornAt < STEADY_AFTER_MS ? shortLives + 1 : 1;
      const delayMs = Math.min(REFILL_DELAY_MS * 2 ** (shortLives - 1), REFILL_DELAY_MAX_MS);
      const what = failure ? `did not start (${failure})` : end;
      const who = pid === undefined ? '' : ` process ${pid},`;
      this.log(`Worker ${place + 1},${who} ${what}. Another takes its place in ${delayMs} ms.`);
      await delay(delayMs);
    }
  }

  /** One worker's life; resolves at its end. */
  private async live(place: number, onListening: () => void): Promise<{ pid?: number; end: string; failure?: string }> {
    const { databaseUrl, databaseRole, externalStripe } = this.config;
    const stripe = (externalStripe + place) % EXTERNAL_STRIPES;
    const worker = cluster.fork({
      ...{ DATABASE_URL: databaseUrl, DATABASE_ROLE: databaseRole || 'none', EXTERNAL_STRIPE: String(stripe) },
    });
    this.alive.add(worker);
    worker.on('error', () => undefined); // a message that it did not live to read; its end follows
    let failure: string | undefined;
    worker.on('message', (report: WorkerReport | object) => {
      void answerMetrics(worker, report);
      if ('failure' in report) failure = report.failure;
      else if (!('url' in report)) return;
      else if (this.isStopping)
        tellToStop(worker); // it could not listen to us yet when the others were told
      else {
        this.url = report.url;
        onListening();
      }
    });
    // 'close', not 'exit': only then has all that it said arrived.
    return new Promise((resolve) => {
      worker.process.once('close', (code, signal) => {
        this.alive.delete(worker);
        const end = signal ? `was killed by ${signal}` : `ended with code ${code}`;
        resolve({ pid: worker.process.pid, end, failure });
      });
    });
  }
}

function tellToStop(worker: Worker): void {
  if (worker.isConnected()) worker.send(STOP, () => undefined);
}

/** Each worker has a pool of its own, and together they may want more connections than the server has. */
async function warnOfConnections(config: Config, log: (line: string) => void): Promise<void> {
  const { workers, databasePoolSizeMax } = config;
  const wanted = workers * databasePoolSizeMax;
  const max = await connectionsMax(config.databaseUrl);
  if (wanted <= max) return;
  log(
    `WORKERS=${workers} with DATABASE_POOL_SIZE_MAX=${databasePoolSizeMax} may open ${wanted} connections, and PostgreSQL ` +
      `takes ${max} (max_connections): under load callers would hear 503. Lower one of the two, or raise the server's.`,
  );
}
