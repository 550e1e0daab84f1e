/**
 * Where a wallet stood at instants: how many entries counted, what they came to, what had come in. The totals between
 * two instants are the difference of two standings, so that ranges next to each other always chain.
 *
 * By posting time a standing is one entry, whose number `entries_before_each` finds: `balance_after` and
 * `credited_after` hold the sums, however many entries lie between. By effective time it is that, corrected by the
 * entries dated apart from their posting; one statement reads both, so that what is posted meanwhile is in neither or
 * in both.
 */
import type { DataSource } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { dayStartSql } from '../time-zone.js';

/** Which time decides: when an entry was posted, or when it counts for the business. */
export const BASES = ['posted', 'effective'] as const;
export type Basis = (typeof BASES)[number];

/** What counts of a wallet before an instant. Amounts in minor units. */
export interface Standing {
  /** The instant; null for the beginning or the end of time. */
  instant: Date | null;
  /** Entries that count: by posting time also the `seq` of the last one, 0 for none. */
  count: number;
  balanceMinor: bigint;
  creditedMinor: bigint;
}

/** Opening + credit - debit = closing, in minor units. */
export interface Totals {
  openingMinor: bigint;
  creditMinor: bigint;
  debitMinor: bigint;
  closingMinor: bigint;
  entryCount: number;
}

/** Beginnings of days in a time zone, or instants, in order. `-infinity` and `infinity` are days too. */
export type Bounds = { days: string[]; timeZone: string } | { instants: Date[] };

/** The standings of a wallet just before each bound. */
export async function standingsBefore(
  dataSource: DataSource,
  walletId: string,
  bounds: Bounds,
  basis: Basis = 'posted',
): Promise<Standing[]> {
  const isDays = 'days' in bounds;
  const rows: RawRow[] = await dataSource.query(
    `WITH bound AS (${isDays ? DAYS : INSTANTS}),
          posted AS MATERIALIZED (${POSTED}) ${basis === 'posted' ? 'SELECT * FROM posted ORDER BY n' : EFFECTIVE}`,
    isDays ? [walletId, bounds.days, bounds.timeZone] : [walletId, bounds.instants],
  );
  return rows.map((row) => ({
    instant: row.instant instanceof Date ? row.instant : null,
    count: Number(row.count),
    balanceMinor: BigInt(row.balance),
    creditedMinor: BigInt(row.credited),
  }));
}

/** What happened between two standings. */
export function totalsBetween(opening: Standing, closing: Standing): Totals {
  const creditMinor = closing.creditedMinor - opening.creditedMinor;
  return {
    openingMinor: opening.balanceMinor,
    creditMinor,
    debitMinor: opening.balanceMinor + creditMinor - closing.balanceMinor,
    closingMinor: closing.balanceMinor,
    entryCount: closing.count - opening.count,
  };
}

const INSTANTS = 'SELECT n, instant FROM unnest($2::timestamptz[]) WITH ORDINALITY AS b (instant, n)';

const DAYS = `SELECT n, ${dayStartSql('day', '$3')} AS instant FROM unnest($2::date[]) WITH ORDINALITY AS b (day, n)`;

const POSTED = `
  SELECT n, instant, seq AS count, coalesce(e.balance_after, 0) AS balance, coalesce(e.credited_after, 0) AS credited
    FROM bound JOIN unnest(entries_before_each($1, (SELECT array_agg(instant ORDER BY n) FROM bound)))
                      WITH ORDINALITY AS b (seq, n) USING (n)
    LEFT JOIN LATERAL (SELECT balance_after, credited_after FROM entries
                        WHERE wallet_id = $1 AND seq = b.seq OFFSET 0) e ON true`;

/**
 * `width_bucket` says how many bounds lie at or before a time, so an entry counts before each bound past that many. One
 * pass over the entries dated apart takes them away at their posting time and adds them at their effective time;
 * running sums over the bounds do the rest.
 */
const EFFECTIVE = `,
  moved AS (
    SELECT sign, width_bucket(time, b.instants) + 1 AS n, sign * amount AS amount, sign * greatest(amount, 0) AS credit
      FROM (SELECT array_agg(instant ORDER BY n) AS instants FROM posted) b, entries e
     CROSS JOIN LATERAL (VALUES (1, effective_at), (-1, created_at)) AS side (sign, time)
     WHERE e.wallet_id = $1 AND e.effective_at IS NOT NULL),
  correction AS (
    SELECT n, sum(sign) AS count, sum(amount) AS amount, sum(credit) AS credit FROM moved GROUP BY n)
  SELECT n, instant, p.count + coalesce(sum(c.count) OVER upto, 0) AS count,
         balance + coalesce(sum(c.amount) OVER upto, 0) AS balance,
         credited + coalesce(sum(c.credit) OVER upto, 0) AS credited
    FROM posted p LEFT JOIN correction c USING (n) WINDOW upto AS (ORDER BY n) ORDER BY n`;
