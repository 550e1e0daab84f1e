/**
 * What goes on beside requests: expired holds are written down, schedules posted, old rows deleted. One round of each kind at
 * a time; a round that fails is told of and comes again. Commands (`asper`) run none of it, a shutdown waits for what runs.
 */
import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { CONFIG, type Config } from './config.js';
import { Metrics } from './telemetry/metrics.js';

export interface Job {
  /** What does not happen for now where a round fails, for the log: "expired holds are not written down". */
  fault: string;
  periodMs: number;
  /** @param signal the service stops: a long round ends early. */
  round: (signal: AbortSignal) => Promise<void>;
}

@Injectable()
export class Background implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly jobs: RunningJob[] = [];

  constructor(
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Has a round run in every period, once the service has started. @returns begins one now, or right after the one that runs. */
  every(job: Job): () => void {
    const running = new RunningJob(job, () => this.metrics.backgroundFailures.inc());
    this.jobs.push(running);
    return () => running.begin();
  }

  onApplicationBootstrap(): void {
    if (this.config.background) for (const job of this.jobs) job.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.jobs.map((job) => job.stop()));
  }
}

class RunningJob {
  private readonly logger = new Logger(Background.name);
  private timer?: NodeJS.Timeout;
  private running?: Promise<void>;
  private isAgain = false;
  private isOn = false;
  private readonly stopping = new AbortController();

  constructor(
    private readonly job: Job,
    private readonly onFailure: () => void,
  ) {}

  /** Processes that start together take their turns at different times: what one has done, the next need not lock again. */
  start(): void {
    const { periodMs } = this.job;
    this.isOn = true;
    this.timer = setTimeout(() => {
      this.begin();
      this.timer = setInterval(() => this.begin(), periodMs).unref();
    }, Math.random() * periodMs).unref();
  }

  begin(): void {
    if (!this.isOn) return;
    if (this.running) return void (this.isAgain = true);
    this.running = this.job
      .round(this.stopping.signal)
      .catch((error: unknown) => {
        this.onFailure();
        this.logger.warn(`${this.job.fault} for now: ${String(error)}`);
      })
      .finally(() => {
        this.running = undefined;
        if (!this.isAgain) return;
        this.isAgain = false;
        this.begin();
      });
  }

  async stop(): Promise<void> {
    this.isOn = false;
    this.stopping.abort();
    clearInterval(this.timer);
    await this.running;
  }
}
