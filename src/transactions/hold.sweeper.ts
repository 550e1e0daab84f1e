/**
 * Writes down what has expired. Nothing depends on it: an expired hold stops counting by its time alone, and the next
 * posting of its wallet releases it. This is for the wallets that nobody touches, so that the record is complete.
 */
import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Clock } from '../clock/clock.js';
import { CONFIG, type Config } from '../config.js';
import { newId } from '../ids.js';
import { PostingEngine } from './posting.engine.js';

/** Wallets released in one round; the next round takes the next. */
const WALLETS_MAX = 500;

@Injectable()
export class HoldSweeper implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(HoldSweeper.name);
  private timer?: NodeJS.Timeout;
  private round?: Promise<void>;

  constructor(
    private readonly dataSource: DataSource,
    private readonly engine: PostingEngine,
    private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    this.clock.onAdvance(() => this.begin());
    // Processes that start together sweep at different times, so what one has released the next need not lock again.
    const periodMs = this.config.holdSweepSeconds * 1_000;
    this.timer = setTimeout(() => {
      this.begin();
      this.timer = setInterval(() => this.begin(), periodMs).unref();
    }, Math.random() * periodMs).unref();
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
      const due: Array<{ wallet_id: string }> = await this.dataSource.query(
        `SELECT DISTINCT wallet_id FROM (
           SELECT wallet_id FROM holds WHERE status = 'active' AND expires_at <= clock_now() ORDER BY expires_at LIMIT $1) due`,
        [WALLETS_MAX],
      );
      await Promise.all(due.map(({ wallet_id: walletId }) => this.release(walletId)));
    } catch (error) {
      this.logger.warn(`expired holds were not written down this time: ${String(error)}`);
    }
  }

  private release(walletId: string): Promise<unknown> {
    const id = newId();
    const postings = [{ kind: 'release_expired' as const, id, actor: 'system', walletId }];
    return this.engine.post({ id, scope: 'system', postings });
  }
}
