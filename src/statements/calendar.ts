/** Days in a time zone: which are asked for, and how they part into weeks and months. */
import type { DataSource } from 'typeorm';
import { sqlState } from '../database/sqlstate.js';
import { Problem } from '../errors.js';

export const INTERVALS = ['day', 'week', 'month'] as const;
export type Interval = (typeof INTERVALS)[number];
/** At 400 a year fits by day; each interval costs one search of the wallet's history. */
export const INTERVALS_MAX = 400;

/** Whole days, both included, as `2026-01-31`. Without a first day: from the beginning. */
export interface DayRange {
  startDay: string | undefined;
  endDay: string;
}

const INVALID_PARAMETER_VALUE = '22023';
/**
 * The first entry by order, not as `seq = 1`: one entry in ten is a first one, and the planner, which multiplies that
 * with the part of a busy wallet, expected 100,000 rows and started parallel workers (a summary took 20 ms, not 4).
 */
const TODAY = `
  SELECT (clock_now() AT TIME ZONE $2)::date::text AS today,
         (least((SELECT created_at FROM entries WHERE wallet_id = $1 ORDER BY seq LIMIT 1),
                (SELECT min(effective_at) FROM entries WHERE wallet_id = $1 AND effective_at IS NOT NULL AND $3))
            AT TIME ZONE $2)::date::text AS first_day`;

/**
 * The days that a request means: to today in its time zone where it does not say, from the day of the wallet's first
 * entry where it wants `wholeDays` and does not say.
 * @throws {Problem} `validation_failed` on days upside down, and on a time zone that the database does not know.
 */
export async function daysMeant(
  dataSource: DataSource,
  walletId: string,
  asked: { start_date?: string; end_date?: string; time_zone: string },
  { wholeDays, effective }: { wholeDays: boolean; effective: boolean },
): Promise<DayRange> {
  const [row] = await dataSource.query(TODAY, [walletId, asked.time_zone, effective]).catch((error: unknown) => {
    if (sqlState(error) !== INVALID_PARAMETER_VALUE) throw error;
    throw Problem.field('time_zone', 'must be an IANA time zone such as "Asia/Kolkata" that PostgreSQL knows too');
  });
  // A first day that lies ahead is its own last day: nothing is posted there yet, but the question has an answer.
  const { start_date: start, end_date: end } = asked;
  const endDay = end ?? (start !== undefined && start > row.today ? start : row.today);
  const startDay = start ?? (wholeDays ? earlier(row.first_day ?? endDay, endDay) : undefined);
  if (startDay !== undefined && endDay < startDay) throw Problem.field('end_date', 'must not be before start_date');
  return { startDay, endDay };
}

/**
 * Parts days into days, weeks from Monday or months, clipped to the range.
 * @returns the first day of each part.
 * @throws {Problem} where there are more than {@link INTERVALS_MAX}.
 */
export function startsOf(interval: Interval, startDay: string, endDay: string): string[] {
  const starts: string[] = [];
  for (let day = startDay; day <= endDay; day = startAfter(interval, day)) {
    if (starts.push(day) <= INTERVALS_MAX) continue;
    const message = `is too fine for the days asked for: at most ${INTERVALS_MAX} intervals are answered`;
    throw new Problem('validation_failed', `interval ${message}`, {
      errors: [
        { field: 'interval', message },
        { field: 'start_date', message: 'must be later, or the interval longer' },
      ],
    });
  }
  return starts;
}

/** The first day of the interval after the one that a day is in. */
function startAfter(interval: Interval, day: string): string {
  if (interval === 'day') return addDays(day, 1);
  const date = new Date(`${day}T00:00:00Z`);
  if (interval === 'week') return addDays(day, 7 - ((date.getUTCDay() + 6) % 7));
  return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)).toISOString().slice(0, 10);
}

/** The day so many days later. */
export function addDays(day: string, count: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + count * 24 * 3_600_000).toISOString().slice(0, 10);
}

function earlier(a: string, b: string): string {
  return a < b ? a : b;
}
