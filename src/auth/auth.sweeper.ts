/** Deletes what signing in leaves behind. Nothing depends on it: codes and sessions end by their time alone. */
import { Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { DataSource } from 'typeorm';

const PERIOD_MS = 15 * 60_000;
/** Of each kind in one round; the next round takes the next. */
const ROWS_MAX = 1_000;

/** Codes a day after they expired, and sessions, with their refresh tokens, 30 days after they ended. */
export const LEFTOVERS = [
  `DELETE FROM one_time_codes WHERE id IN (
     SELECT id FROM one_time_codes WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT ${ROWS_MAX})`,
  `WITH old AS (
     SELECT id FROM sessions
      WHERE ended_at < now() - interval '30 days' OR expires_at < now() - interval '30 days' LIMIT ${ROWS_MAX}),
   tokens AS (DELETE FROM refresh_tokens WHERE session_id IN (SELECT id FROM old))
   DELETE FROM sessions WHERE id IN (SELECT id FROM old)`,
];

@Injectable()
export class AuthSweeper implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(AuthSweeper.name);
  private timer?: NodeJS.Timeout;
  private round?: Promise<void>;

  constructor(private readonly dataSource: DataSource) {}

  onApplicationBootstrap(): void {
    // Processes that start together sweep at different times.
    this.timer = setTimeout(() => {
      this.begin();
      this.timer = setInterval(() => this.begin(), PERIOD_MS).unref();
    }, Math.random() * PERIOD_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.round;
  }

  private begin(): void {
    this.round ??= this.sweep().finally(() => (this.round = undefined));
  }

  private async sweep(): Promise<void> {
    try {
      for (const statement of LEFTOVERS) await this.dataSource.query(statement);
    } catch (error) {
      this.logger.warn(`what signing in left behind stays for now: ${String(error)}`);
    }
  }
}
