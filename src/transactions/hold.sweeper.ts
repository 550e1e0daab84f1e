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

/** Holds looked for at once; their wallets are released together. */
const HOLDS_MAX = 500;
/** In one round: 100,000 holds, far more than expire in a minute. */
const SWEEPS_MAX = 200;

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
      round: async (signal) => {
        for (let n = 0; n < SWEEPS_MAX && !signal.aborted && (await this.sweep()); n++);
      },
    });
    clock.onAdvance(begin);
  }

  /** @returns whether there may be more. */
  private async sweep(): Promise<boolean> {
    const due: Array<{ wallet_id: string; count: number }> = await this.dataSource.query(
      `SELECT wallet_id, count(*)::int AS count FROM (
         SELECT wallet_id FROM holds WHERE status = 'active' AND expires_at <= clock_now() ORDER BY expires_at LIMIT $1) due
        GROUP BY wallet_id`,
      [HOLDS_MAX],
    );
    await Promise.all(due.map(({ wallet_id: walletId }) => this.release(walletId)));
    return due.reduce((sum, { count }) => sum + count, 0) === HOLDS_MAX;
  }

  /** Ends what has expired of a wallet's holds, and tells so. */
  release(walletId: string): Promise<unknown> {
    const id = newId();
    const postings = [{ kind: 'release_expired' as const, id, actor: 'system', walletId }];
    return this.engine.post({ id, scope: 'system', postings });
  }
}
