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

const DUE = `
  SELECT DISTINCT wallet_id FROM holds
   WHERE status = 'active' AND expires_at <= clock_now() AND wallet_id = ANY($1::uuid[]) LIMIT 500`;

@Injectable()
export class LiveExpiry {
  private readonly underWay = new Set<string>();

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

  /** A wallet that somebody has locked holds up no other. */
  private async round(): Promise<void> {
    const walletIds = this.hub.walletIds.filter((id) => !this.underWay.has(id));
    if (walletIds.length === 0) return;
    const due: Array<{ wallet_id: string }> = await this.dataSource.query(DUE, [walletIds]);
    for (const { wallet_id: id } of due) {
      this.underWay.add(id);
      const end = () => this.underWay.delete(id);
      // What fails is due again in a second; that nothing can be posted, others say.
      void this.sweeper.release(id).then(end, end);
    }
  }
}
