/**
 * Has holds written down as expired at once where somebody watches: the stream of a wallet is told by events, and the event
 * of a hold that ran out would otherwise come with the next posting of the wallet, or the next sweep.
 */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Background } from '../background.js';
import { HoldSweeper } from '../transactions/hold.sweeper.js';
import { LiveHub } from './live.hub.js';

const PERIOD_MS = 1_000;

/** The time at a wallet may be that of a hold which ended otherwise. */
const DUE = `
  SELECT id FROM wallets w WHERE id = ANY($1::uuid[]) AND holds_expire_at <= clock_now()
     AND EXISTS (SELECT FROM holds WHERE wallet_id = w.id AND status = 'active' AND expires_at <= clock_now())
   LIMIT 500`;

@Injectable()
export class LiveExpiry {
  constructor(
    private readonly dataSource: DataSource,
    private readonly hub: LiveHub,
    private readonly sweeper: HoldSweeper,
    background: Background,
  ) {
    background.every({
      fault: 'live balances show what has expired as held',
      periodMs: PERIOD_MS,
      round: () => this.round(),
    });
  }

  private async round(): Promise<void> {
    const { walletIds } = this.hub;
    if (walletIds.length === 0) return;
    const due: Array<{ id: string }> = await this.dataSource.query(DUE, [walletIds]);
    await Promise.all(due.map(({ id }) => this.sweeper.release(id)));
  }
}
