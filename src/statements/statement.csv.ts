/**
 * A statement as CSV (RFC 4180): a header, a line of type `opening`, the entries, a line of type `closing`. The two say
 * nothing under credit and debit, so that a sum over the columns is the total.
 */
import { formatAmount } from '../money.js';
import type { HistoryRow } from './history.js';
import type { Statement } from './statement.service.js';

const HEADER = [
  ...['seq', 'posted_at', 'effective_at', 'type', 'description', 'reference', 'transaction_id'],
  ...['credit', 'debit', 'balance'],
];

/** @returns pieces of text, one a page of lines. */
export async function* csvOf({ wallet, totals, from, before, pages }: Statement): AsyncGenerator<string> {
  const money = (minor: bigint) => formatAmount(minor, wallet.currency);
  yield record(HEADER) + record(edge('opening', from, money(totals.openingMinor)));
  for await (const rows of pages) yield rows.map((row) => record(lineOf(row, money))).join('');
  yield record(edge('closing', before, money(totals.closingMinor)));
}

function lineOf(row: HistoryRow, money: (minor: bigint) => string): string[] {
  const isCredit = row.amountMinor > 0n;
  return [
    String(row.seq),
    row.createdAt.toISOString(),
    row.effectiveAt.toISOString(),
    row.type,
    safeText(row.description),
    safeText(row.reference),
    row.transactionId,
    isCredit ? money(row.amountMinor) : '',
    isCredit ? '' : money(-row.amountMinor),
    money(row.balanceAfterMinor),
  ];
}

function edge(type: 'opening' | 'closing', instant: Date | null, balance: string): string[] {
  return ['', instant?.toISOString() ?? '', '', type, '', '', '', '', '', balance];
}

/**
 * SECURITY: spreadsheets run a cell that begins like a formula, and whoever sends money writes its description. An
 * apostrophe makes it text. Amounts are ours and stay plain: `-150.00` is a number to every reader.
 */
function safeText(text: string | null): string {
  if (text === null) return '';
  return /^[\s]*[=+\-@\t\r＝＋－＠]/.test(text) ? `'${text}` : text;
}

function record(cells: string[]): string {
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`;
}
