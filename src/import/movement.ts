/** A row of the file as a movement of money. Pure: what is wrong is answered as a sentence, nothing is thrown. */
import { IDEMPOTENCY_KEY_LENGTH_MAX } from '../caller.js';
import { AmountError, isAmountShaped, parseAmount, parseBalance } from '../money.js';
import { readInstant, textProblem } from '../validation.js';

export const COLUMNS_NEEDED = ['transaction_id', 'date', 'account_id', 'type', 'amount'] as const;
export const COLUMNS_OPTIONAL = ['balance_after', 'operation'] as const;
export const COLUMNS = [...COLUMNS_NEEDED, ...COLUMNS_OPTIONAL] as const;
export type Column = (typeof COLUMNS)[number];
/** Place of each column in a row. */
export type Columns = Partial<Record<Column, number>>;

export interface Movement {
  line: number;
  fields: string[];
  transactionId: string;
  accountId: string;
  type: 'credit' | 'debit';
  amount: string;
  amountMinor: bigint;
  /** RFC 3339. */
  effectiveAt: string;
  operation?: string;
  /** What the file says the account holds afterwards. */
  balanceAfterMinor?: bigint;
}

const ACCOUNT_LENGTH_MAX = 100;
const OPERATION_LENGTH_MAX = 500;

/**
 * Finds the columns by their headings, in any order and case; other columns are ignored.
 * @param map our names by theirs. A mapped heading wins over one that has our name by accident.
 * @throws {Error} naming what is missing or there twice.
 */
export function columnsOf(headings: string[], map: ReadonlyMap<string, string>, delimiter: string): Columns {
  const columns: Columns = {};
  const problems: string[] = [];
  const places = (heading: string) =>
    headings.flatMap((name, place) => (name.trim().toLowerCase() === heading.toLowerCase() ? [place] : []));
  const take = (column: Column, heading: string) => {
    const found = places(heading);
    if (found.length > 1) problems.push(`the heading "${heading}" is there ${found.length} times`);
    columns[column] = found[0];
  };
  for (const [theirs, ours] of map) {
    take(ours as Column, theirs);
    if (columns[ours as Column] === undefined)
      problems.push(`--map names "${theirs}", which is no heading of the file`);
  }
  const mapped = new Set(map.values());
  for (const column of COLUMNS) if (!mapped.has(column)) take(column, column);
  const missing = COLUMNS_NEEDED.filter((column) => columns[column] === undefined && !mapped.has(column));
  if (missing.length > 0) {
    problems.push(`no column ${missing.join(', ')}; name yours with --map <theirs>=${missing[0]}`);
    const other = [';', '\t', '|', ','].find((mark) => mark !== delimiter && headings.join(delimiter).includes(mark));
    if (headings.length === 1 && other) {
      problems.push(
        `the file seems to be separated otherwise: try --delimiter ${other === '\t' ? 'tab' : `'${other}'`}`,
      );
    }
  }
  if (problems.length > 0) {
    throw new Error(
      `The headings do not fit (found: ${headings.join(', ')}):\n${problems.map((p) => `  - ${p}`).join('\n')}`,
    );
  }
  return columns;
}

/** The movement of a row, or what is wrong with it. */
export function readMovement(fields: string[], columns: Columns, line: number, currency: string): Movement | string {
  const field = (column: Column) => fields[columns[column] ?? -1] ?? '';
  const problems: string[] = [];
  const text = (column: Column, lengthMax: number) => {
    const value = field(column);
    const problem = value === '' ? 'is empty' : textProblem(value, lengthMax);
    if (problem) problems.push(`${column} ${problem}`);
    return value;
  };
  const transactionId = text('transaction_id', IDEMPOTENCY_KEY_LENGTH_MAX);
  const accountId = text('account_id', ACCOUNT_LENGTH_MAX);
  const operation = field('operation') === '' ? undefined : text('operation', OPERATION_LENGTH_MAX);
  const effectiveAt = instantOf(field('date'));
  if (!effectiveAt) problems.push('date must be a day such as 2026-01-31 or an RFC 3339 time, from 1900 to 2199');
  const type = field('type').toLowerCase();
  if (type !== 'credit' && type !== 'debit') problems.push('type must be credit or debit');
  const money = (column: Column, parse: (text: string, currency: string) => bigint) => {
    const minor = readMoney(field(column), currency, parse);
    if (typeof minor === 'bigint') return minor;
    problems.push(`${column} ${minor}`);
    return 0n;
  };
  const amountMinor = money('amount', parsePositive);
  const balanceAfterMinor = field('balance_after') === '' ? undefined : money('balance_after', parseBalance);
  if (problems.length > 0) return problems.join('; ');
  return {
    line,
    fields,
    transactionId,
    accountId,
    type: type as 'credit' | 'debit',
    amount: field('amount'),
    amountMinor,
    effectiveAt: effectiveAt!,
    operation,
    balanceAfterMinor,
  };
}

/** A day counts from its first moment, UTC. */
function instantOf(text: string): string | undefined {
  const instant = text.length === 10 ? `${text}T00:00:00Z` : text;
  return readInstant(instant) && instant;
}

function parsePositive(text: string, currency: string): bigint {
  if (!isAmountShaped(text)) throw new AmountError('must be a positive decimal number such as "150.00"');
  if (!/[1-9]/.test(text)) throw new AmountError('must be more than zero');
  return parseAmount(text, currency);
}

function readMoney(text: string, currency: string, parse: (text: string, currency: string) => bigint): bigint | string {
  try {
    return parse(text, currency);
  } catch (error) {
    if (error instanceof AmountError) return error.message;
    throw error;
  }
}
