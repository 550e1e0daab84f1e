/**
 * The one clock of holds, postings and schedules, as this process sees it. In the database it is `clock_now()` and
 * `clock_time()`. With TEST_CLOCK=on, in development, an operator can put it forward; everything else goes on in real time.
 */
import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { DataSource } from 'typeorm';
import { clockFunctions } from '../../migrations/1764250000000-clock.js';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { asOwner } from '../database/migrate.js';
import { inTransaction } from '../database/transaction.js';
import { Problem } from '../errors.js';
import { ClockAhead } from '../start-failure.js';

/** Any constant. */
const ADVANCE_LOCK = 4_120_652;
/** How soon another process notices. */
const LOOK_EVERY_MS = 500;

@Injectable()
export class Clock implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Clock.name);
  private readonly listeners: Array<() => void> = [];
  private aheadMs = 0;
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Milliseconds since 1970. */
  now(): number {
    return Date.now() + this.aheadMs;
  }

  /** Calls whenever the clock was put forward: what is due by it can be done. */
  onAdvance(listener: () => void): void {
    this.listeners.push(listener);
  }

  async onApplicationBootstrap(): Promise<void> {
    if (!this.config.testClock) return this.assertReal();
    await this.look();
    this.timer = setInterval(() => {
      this.look().catch((error: unknown) => this.logger.warn(`the test clock was not read: ${String(error)}`));
    }, LOOK_EVERY_MS).unref();
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /**
   * Puts the clock so far ahead of the real time, for all processes on the database. It never goes back: history is in order.
   * @throws {Problem} `test_clock_off`, `validation_failed`
   */
  async setAhead(seconds: number): Promise<void> {
    if (!this.config.testClock) throw new Problem('test_clock_off', 'The service runs by the real time.');
    // It replaces functions, which the service's own role may not.
    await asOwner(this.config, (owner) =>
      inTransaction(owner, async (runner) => {
        // One at a time: each reads how far ahead it is, and writes.
        await runner.query('SELECT pg_advisory_xact_lock($1)', [ADVANCE_LOCK]);
        const [row]: RawRow[] = await runner.query(AHEAD);
        if (seconds * 1_000 < Number(row!.ahead_ms)) {
          throw Problem.field(
            'ahead_seconds',
            `must not be less than ${row!.ahead_ms / 1_000}: the clock never goes back`,
          );
        }
        await runner.query(clockFunctions(`${seconds} seconds`));
      }),
    );
    await this.look();
  }

  /** The clock stays ahead in the database when TEST_CLOCK is off again, or its copy becomes another's. */
  private async assertReal(): Promise<void> {
    const aheadMs = this.config.background ? await this.readAhead() : 0; // a command may look at it all the same
    if (aheadMs === 0) return;
    throw new ClockAhead(
      `The clock of this database was put ${aheadMs / 1_000} seconds ahead with TEST_CLOCK=on, and never goes back: ` +
        'holds would expire and schedules be posted early. Use another database, or TEST_CLOCK=on in development.',
    );
  }

  private async readAhead(): Promise<number> {
    const [row]: RawRow[] = await this.dataSource.query(AHEAD);
    return Number(row!.ahead_ms);
  }

  private async look(): Promise<void> {
    const aheadMs = await this.readAhead();
    if (aheadMs === this.aheadMs) return;
    this.aheadMs = aheadMs;
    for (const listener of this.listeners) listener();
  }
}

/** `now()` stands still within a statement, so this is exact. */
const AHEAD = 'SELECT round(extract(epoch FROM clock_now() - now()) * 1000) AS ahead_ms';
