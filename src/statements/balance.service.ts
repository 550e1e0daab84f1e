/** The balance of a wallet at any instant, past or future. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Problem } from '../errors.js';
import { formatAmount } from '../money.js';
import { WalletsService } from '../wallets/wallets.service.js';
import type { BalanceBody, BalanceQuery } from './balance.dto.js';
import { CurrentBalances } from './current-balances.js';

@Injectable()
export class BalanceService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wallets: WalletsService,
    private readonly current: CurrentBalances,
  ) {}

  /** @throws {Problem} `wallet_not_found` */
  async read(walletId: string, { at, basis }: BalanceQuery): Promise<BalanceBody> {
    if (at === undefined) return this.now(walletId, basis);
    const { id, currency } = await this.wallets.read(walletId);
    const instant = new Date(at);
    const { seq, balanceMinor } =
      basis === 'posted' ? await this.posted(id, instant) : await this.effective(id, instant);
    const balance = formatAmount(balanceMinor, currency);
    return { wallet_id: id, currency, at: instant.toISOString(), basis, balance, seq };
  }

  /** Now is the database's: the clock that dates entries. What is held, and so what is available, has no history. */
  private async now(walletId: string, basis: BalanceQuery['basis']): Promise<BalanceBody> {
    const current = await this.current.of(walletId);
    if (!current) throw new Problem('wallet_not_found', `There is no wallet ${walletId}.`);
    const { at, currency, heldMinor } = current;
    const money = (minor: bigint) => formatAmount(minor, currency);
    const { seq, balanceMinor } = basis === 'posted' ? current : await this.effective(walletId, at);
    return {
      wallet_id: walletId,
      currency,
      at: at.toISOString(),
      basis,
      balance: money(balanceMinor),
      seq,
      held: money(heldMinor),
      available: money(current.balanceMinor - heldMinor),
    };
  }

  private async posted(walletId: string, at: Date): Promise<Counted> {
    const [row] = await this.dataSource.query(POSTED, [walletId, at]);
    return row ? { seq: Number(row.seq), balanceMinor: BigInt(row.balance_after) } : { seq: 0, balanceMinor: 0n };
  }

  private async effective(walletId: string, at: Date): Promise<Counted> {
    const [row] = await this.dataSource.query(EFFECTIVE, [walletId, at]);
    return { seq: null, balanceMinor: BigInt(row.balance) };
  }
}

interface Counted {
  seq: number | null;
  balanceMinor: bigint;
}

const POSTED = `
  SELECT seq, balance_after FROM entries WHERE wallet_id = $1 AND seq = (SELECT entries_before($1, $2, true))`;

/**
 * The posted balance, less what was posted by then for a later time, and with what was posted later for a time up to
 * then. Where nothing was posted later, which is so for every instant from the last entry on, that half is not read: on
 * a wallet whose million entries were all imported with dates of their own it would be all of them.
 */
const EFFECTIVE = `
  WITH posted AS MATERIALIZED (SELECT entries_before($1, $2, true) AS seq)
  SELECT coalesce((SELECT balance_after FROM entries WHERE wallet_id = $1 AND seq = (SELECT seq FROM posted)), 0)
       - CASE WHEN (SELECT seq FROM posted) = 0 THEN 0 ELSE coalesce((
           SELECT sum(amount) FROM entries
            WHERE wallet_id = $1 AND effective_at IS NOT NULL AND effective_at > $2 AND created_at <= $2), 0) END
       + CASE WHEN (SELECT seq FROM posted) = (SELECT max(seq) FROM entries WHERE wallet_id = $1) THEN 0 ELSE coalesce((
           SELECT sum(amount) FROM entries
            WHERE wallet_id = $1 AND effective_at IS NOT NULL AND effective_at <= $2 AND created_at > $2), 0) END
      AS balance`;
