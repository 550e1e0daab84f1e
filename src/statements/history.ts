/** Entries of a wallet with what their transactions say about them. */
import type { DataSource } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import type { TransactionType } from '../transactions/transaction.entity.js';

/** An entry with what its transaction says about it. Amounts in minor units. */
export interface HistoryRow {
  seq: number;
  transactionId: string;
  type: TransactionType;
  amountMinor: bigint;
  balanceAfterMinor: bigint;
  description: string | null;
  reference: string | null;
  /** The same object as `createdAt` where nothing else was said. */
  effectiveAt: Date;
  createdAt: Date;
}

const millisecondsOf = (column: string) => `floor(extract(epoch FROM ${column}) * 1000)::float8`;

/**
 * What a history reads of `e`, an entry, and `t`, its transaction. Times as numbers: two texts to read into dates were a third of
 * what the driver did for a row, and with the cells of a CSV line a third of the garbage.
 */
export const HISTORY_COLUMNS = `
  e.seq, e.transaction_id, e.amount, e.balance_after, t.type, t.description, t.reference,
  ${millisecondsOf('e.created_at')} AS created_ms, ${millisecondsOf('e.effective_at')} AS effective_ms`;

/** Entries of one wallet, those numbered after `afterSeq` to `lastSeq`. */
export interface SeqRange {
  walletId: string;
  afterSeq: number;
  lastSeq: number;
}

const PAGE_SIZE = 500;
const PAGE = `
  SELECT ${HISTORY_COLUMNS} FROM entries e JOIN transactions t ON t.id = e.transaction_id
   WHERE e.wallet_id = $1 AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq`;

/** Entries, oldest first, a page at a time. @throws {Error} where one is missing */
export function pagesOf(dataSource: DataSource, range: SeqRange): AsyncGenerator<HistoryRow[], void> {
  return inPages(dataSource, range, { sql: PAGE, toLine: toHistoryRow });
}

/**
 * What a query says of a range of entries, a page at a time, and the next page only when it is asked for: no statement is open
 * and no connection taken while a slow reader makes up its mind. Entries never change, so a range is the same at every
 * look. A page is emptied once the next one is asked for.
 * @param query one row an entry, of wallet $1, those numbered after $2 to $3; further parameters from $4
 * @throws {Error} where one is missing: numbers have no gaps, and a statement that is a line short does not add up
 */
export async function* inPages<Line>(
  dataSource: DataSource,
  { walletId, afterSeq, lastSeq }: SeqRange,
  { sql, more = [], toLine }: { sql: string; more?: unknown[]; toLine: (row: RawRow) => Line },
): AsyncGenerator<Line[], void> {
  for (let after = afterSeq; after < lastSeq; after += PAGE_SIZE) {
    const last = Math.min(after + PAGE_SIZE, lastSeq);
    const rows: RawRow[] = await dataSource.query(sql, [walletId, after, last, ...more]);
    if (rows.length !== last - after)
      throw new Error(`entries ${after + 1} to ${last} of ${walletId} are not all there`);
    const page = rows.map(toLine);
    // Emptied by hand: each page is reachable from the one before, through promises that have grown old, so a collection
    // of the young keeps them all. A million lines took 140 MB without these two lines, 25 MB with them, and twice as long.
    rows.length = 0;
    yield page;
    page.length = 0;
  }
}

export function toHistoryRow(row: RawRow): HistoryRow {
  const createdAt = new Date(row.created_ms);
  return {
    seq: Number(row.seq),
    transactionId: row.transaction_id,
    type: row.type,
    amountMinor: BigInt(row.amount),
    balanceAfterMinor: BigInt(row.balance_after),
    description: row.description,
    reference: row.reference,
    effectiveAt: row.effective_ms === null ? createdAt : new Date(row.effective_ms),
    createdAt,
  };
}
