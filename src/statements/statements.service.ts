/** The history of a wallet, read only. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import { CURSOR_SEQ, pageOf, readCursor, type Page } from '../paging.js';
import { checkTimes, entriesOfWallet, firstOf } from '../transactions/entry.filters.js';
import { filterConditions } from '../transactions/transactions.queries.js';
import type { Wallet } from '../wallets/wallet.entity.js';
import { WalletsService } from '../wallets/wallets.service.js';
import { HISTORY_COLUMNS, pagesOf, toHistoryRow, type HistoryRow } from './history.js';
import { standingsBefore, totalsBetween, type Totals } from './standings.js';
import { entryBody, type EntryBody, type ListEntriesQuery } from './statements.dto.js';

@Injectable()
export class StatementsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wallets: WalletsService,
  ) {}

  /** Entries of a wallet, newest first. @throws {Problem} `wallet_not_found`; `validation_failed` on wrong filters */
  async entries(walletId: string, query: ListEntriesQuery): Promise<Page<EntryBody>> {
    const { currency } = await this.wallets.read(walletId);
    if (query.currency !== undefined && query.currency !== currency) {
      throw Problem.field('currency', `must be ${currency}, the currency of the wallet, or left out`);
    }
    checkTimes(query);
    const parameters: unknown[] = [walletId, query.limit + 1];
    const bind = (value: unknown) => `$${parameters.push(value)}`;
    const parts = entriesOfWallet('$1::uuid', query, bind);
    const where = filterConditions({ ...query, currency }, bind, 'entry');
    if (query.direction !== undefined) where.push(query.direction === 'credit' ? 'e.amount > 0' : 'e.amount < 0');
    const list = `entries/${walletId}`;
    const after = readCursor(list, query.cursor, CURSOR_SEQ);
    if (after !== undefined) where.push(`e.seq < ${bind(after)}`);
    const from = 'FROM entries e JOIN transactions t ON t.id = e.transaction_id';
    const lists = parts.map((own) => `SELECT ${HISTORY_COLUMNS} ${from} WHERE ${[...own, ...where].join(' AND ')}`);
    const rows = await this.dataSource.query(firstOf(lists, 'seq DESC', '$2'), parameters);
    return pageOf(
      list,
      (rows as RawRow[]).map(toHistoryRow),
      query.limit,
      (row) => String(row.seq),
      (row) => entryBody(row, currency),
    );
  }

  /**
   * The history of a time range in one piece, oldest first, and its totals. Both go by one look at where the wallet stands, so that
   * what is posted meanwhile is in neither. @returns no history where it has more than `rowsMax` rows
   */
  async history(wallet: Wallet, { from, before }: TimeRange, rowsMax: number): Promise<History> {
    const [opening, closing] = await standingsBefore(this.dataSource, wallet.id, { instants: [from, before] });
    const totals = totalsBetween(opening!, closing!);
    if (totals.entryCount > rowsMax) return { totals };
    const rows: HistoryRow[] = [];
    const range = { walletId: wallet.id, afterSeq: opening!.count, lastSeq: closing!.count };
    for await (const page of pagesOf(this.dataSource, range)) rows.push(...page);
    return { totals, rows };
  }
}

interface History {
  totals: Totals;
  rows?: HistoryRow[];
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
