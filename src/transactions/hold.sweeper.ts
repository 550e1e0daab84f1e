/**
 * Writes down what has expired. Nothing depends on it: an expired hold stops counting by its time alone, and the next
 * posting of its wallet releases it. This is for the wallets that nobody touches, so that the record is complete.
 */
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Background } from '../background.js';
import { Clock } from '../clock/clock.js';
import { CONFIG, type Config } from '../config.js';
import { newId } from '../ids.js';
import { PostingEngine } from './posting.engine.js';

/** Wallets released in one round; the next round takes the next. */
const WALLETS_MAX = 500;

@Injectable()
export class HoldSweeper {
  constructor(
    private readonly dataSource: DataSource,
    private readonly engine: PostingEngine,
    background: Background,
    clock: Clock,
    @Inject(CONFIG) { holdSweepSeconds }: Config,
  ) {
    const begin = background.every({
      fault: 'expired holds are not written down',
      periodMs: holdSweepSeconds * 1_000,
      round: () => this.sweep(),
    });
    clock.onAdvance(begin);
  }

  private async sweep(): Promise<void> {
    const due: Array<{ wallet_id: string }> = await this.dataSource.query(
      `SELECT DISTINCT wallet_id FROM (
         SELECT wallet_id FROM holds WHERE status = 'active' AND expires_at <= clock_now() ORDER BY expires_at LIMIT $1) due`,
      [WALLETS_MAX],
    );
    await Promise.all(due.map(({ wallet_id: walletId }) => this.release(walletId)));
  }

  private release(walletId: string): Promise<unknown> {
    const id = newId();
    const postings = [{ kind: 'release_expired' as const, id, actor: 'system', walletId }];
    return this.engine.post({ id, scope: 'system', postings });
  }
}
