/** The history of a wallet, read only. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import { formatAmount } from '../money.js';
import { CURSOR_SEQ, pageOf, readCursor, type Page } from '../paging.js';
import { filterConditions } from '../transactions/transactions.queries.js';
import type { Wallet } from '../wallets/wallet.entity.js';
import { WalletsService } from '../wallets/wallets.service.js';
import type { EntryBody, ListEntriesQuery, SummaryBody, SummaryQuery } from './statements.dto.js';

/** An entry with what its transaction says about it. Amounts in minor units. */
export interface HistoryRow {
  seq: number;
  transactionId: string;
  type: EntryBody['type'];
  amountMinor: bigint;
  balanceAfterMinor: bigint;
  description: string | null;
  reference: string | null;
  effectiveAt: Date;
  createdAt: Date;
}

/** Opening + credit - debit = closing, in minor units. */
export interface Totals {
  openingMinor: bigint;
  creditMinor: bigint;
  debitMinor: bigint;
  closingMinor: bigint;
  entryCount: number;
}

@Injectable()
export class StatementsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wallets: WalletsService,
  ) {}

  /** Entries of a wallet, newest first. @throws {Problem} `wallet_not_found` */
  async entries(walletId: string, query: ListEntriesQuery): Promise<Page<EntryBody>> {
    const { currency } = await this.wallets.read(walletId);
    if (query.currency !== undefined && query.currency !== currency) {
      throw Problem.field('currency', `must be ${currency}, the currency of the wallet, or left out`);
    }
    const parameters: unknown[] = [walletId, query.limit + 1];
    const bind = (value: unknown) => `$${parameters.push(value)}`;
    const where = ['e.wallet_id = $1', ...filterConditions({ ...query, currency }, bind)];
    const after = readCursor(query.cursor, CURSOR_SEQ);
    if (after !== undefined) where.push(`e.seq < ${bind(after)}`);
    const rows = await this.dataSource.query(
      `${SELECT_HISTORY} WHERE ${where.join(' AND ')} ORDER BY e.seq DESC LIMIT $2`,
      parameters,
    );
    return pageOf(
      (rows as RawRow[]).map(toHistoryRow),
      query.limit,
      (row) => String(row.seq),
      (row) => entryBody(row, currency),
    );
  }

  /** Totals of a wallet over days. @throws {Problem} `wallet_not_found`; `validation_failed` on days upside down */
  async summary(walletId: string, { start_date, end_date }: SummaryQuery): Promise<SummaryBody> {
    const wallet = await this.wallets.read(walletId);
    const totals = await this.totals(wallet, daysBetween(start_date, end_date));
    const money = (minor: bigint) => formatAmount(minor, wallet.currency);
    return {
      wallet_id: wallet.id,
      currency: wallet.currency,
      start_date: start_date ?? null,
      end_date: end_date ?? null,
      opening_balance: money(totals.openingMinor),
      total_credit: money(totals.creditMinor),
      total_debit: money(totals.debitMinor),
      closing_balance: money(totals.closingMinor),
      entry_count: totals.entryCount,
    };
  }

  /** Totals of the entries posted from `from` to just before `before`. */
  async totals(wallet: Wallet, { from, before }: TimeRange): Promise<Totals> {
    const [row] = await this.dataSource.query(
      `SELECT coalesce(sum(amount) FILTER (WHERE created_at < $2), 0) AS opening,
              coalesce(sum(amount) FILTER (WHERE created_at >= $2 AND amount > 0), 0) AS credit,
              coalesce(-sum(amount) FILTER (WHERE created_at >= $2 AND amount < 0), 0) AS debit,
              count(*) FILTER (WHERE created_at >= $2) AS entry_count
         FROM entries WHERE wallet_id = $1 AND created_at < $3`,
      [wallet.id, from, before],
    );
    const [openingMinor, creditMinor, debitMinor] = [BigInt(row.opening), BigInt(row.credit), BigInt(row.debit)];
    const closingMinor = openingMinor + creditMinor - debitMinor;
    return { openingMinor, creditMinor, debitMinor, closingMinor, entryCount: Number(row.entry_count) };
  }

  /** The history of a time range in one piece, oldest first; at most `limit` rows. */
  async history(wallet: Wallet, { from, before }: TimeRange, limit: number): Promise<HistoryRow[]> {
    const rows: RawRow[] = await this.dataSource.query(
      `${SELECT_HISTORY} WHERE e.wallet_id = $1 AND e.created_at >= $2 AND e.created_at < $3 ORDER BY e.seq LIMIT $4`,
      [wallet.id, from, before, limit],
    );
    return rows.map(toHistoryRow);
  }
}

export interface TimeRange {
  from: Date;
  before: Date;
}

/** The time range of whole days in UTC, both included. @throws {Problem} where the last day is before the first. */
export function daysBetween(startDay: string | undefined, endDay: string | undefined): TimeRange {
  if (startDay !== undefined && endDay !== undefined && endDay < startDay) {
    throw Problem.field('end_date', 'must not be before start_date');
  }
  const from = new Date(`${startDay ?? '1900-01-01'}T00:00:00Z`);
  const lastDay = new Date(`${endDay ?? '2199-12-31'}T00:00:00Z`);
  return { from, before: new Date(lastDay.getTime() + 24 * 3_600_000) };
}

const SELECT_HISTORY = `
  SELECT e.seq, e.transaction_id, e.amount, e.balance_after, e.created_at, t.type, t.description, t.reference,
         t.effective_at
    FROM entries e JOIN transactions t ON t.id = e.transaction_id`;

function toHistoryRow(row: RawRow): HistoryRow {
  return {
    seq: Number(row.seq),
    transactionId: row.transaction_id,
    type: row.type,
    amountMinor: BigInt(row.amount),
    balanceAfterMinor: BigInt(row.balance_after),
    description: row.description,
    reference: row.reference,
    effectiveAt: row.effective_at,
    createdAt: row.created_at,
  };
}

function entryBody(row: HistoryRow, currency: string): EntryBody {
  return {
    seq: row.seq,
    transaction_id: row.transactionId,
    type: row.type,
    amount: formatAmount(row.amountMinor, currency),
    balance_after: formatAmount(row.balanceAfterMinor, currency),
    description: row.description,
    reference: row.reference,
    effective_at: row.effectiveAt.toISOString(),
    created_at: row.createdAt.toISOString(),
  };
}
