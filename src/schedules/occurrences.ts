/**
 * When the occurrences of a schedule are. Pure. The n-th is computed from the start and n alone, never from the one before:
 * so a month that is too short does not shorten those after it, and nothing drifts.
 *
 * The time on the wall in the schedule's zone stays the same all year. Where that time does not exist, as clocks are put
 * forward, the occurrence is later by as much as they are; where it exists twice, it is the first.
 */
import { offsetMsIn } from '../time-zone.js';

export const RHYTHMS = ['once', 'daily', 'weekly', 'monthly'] as const;
export type Rhythm = (typeof RHYTHMS)[number];

/** What decides when the occurrences are. */
export interface Times {
  every: Rhythm;
  /** Occurrence 0. */
  startsAt: Date;
  timeZone: string;
  /** No occurrence is after it. */
  endsAt: Date | null;
}

/** One of the occurrences, counted from 0. */
export interface Occurrence {
  n: number;
  at: Date;
}

const DAY_MS = 24 * 3_600_000;
/** At most so long after the one before. */
const PERIOD_MS = { daily: DAY_MS, weekly: 7 * DAY_MS, monthly: 31 * DAY_MS } as const;
/** Zones have moved over the date line and left out a day. With that, an occurrence may be so late beside its period. */
const SHIFT_MS = 2 * DAY_MS;

/** The n-th occurrence, or nothing where it would be after the end. */
export function occurrence(times: Times, n: number): Occurrence | undefined {
  const { every, startsAt, timeZone, endsAt } = times;
  if (every === 'once' && n > 0) return undefined;
  // The first is what the caller said, also in an hour that the clocks show twice.
  const at = n === 0 ? startsAt : new Date(instantOf(wallMs(times, n), timeZone));
  return endsAt !== null && at > endsAt ? undefined : { n, at };
}

/** The next occurrence that is later; on a day that a zone left out, two fall together and are one. */
export function occurrenceAfter(times: Times, { n, at }: Occurrence): Occurrence | undefined {
  for (let next = occurrence(times, n + 1); ; next = occurrence(times, next.n + 1)) {
    if (next === undefined || next.at > at) return next;
  }
}

/** Occurrences that are passed over, the last of them, and where to go on; no `next` where none is left. */
export interface Passed {
  count: number;
  last: Occurrence;
  next: Occurrence | undefined;
}

/**
 * Which occurrences were missed: those for which a later one is due as well, and those before `missedBefore`.
 * @param from what would be next.
 * @returns nothing where none was missed: `from` is due, or still to come.
 */
export function missedOf(times: Times, from: Occurrence, now: Date, missedBefore: Date | null): Passed | undefined {
  if (from.at > now) return undefined;
  const due = lastDue(times, from, now);
  if (missedBefore !== null && due.at < missedBefore) {
    return { count: due.n + 1 - from.n, last: due, next: occurrenceAfter(times, due) };
  }
  if (due.n === from.n) return undefined;
  return { count: due.n - from.n, last: occurrence(times, due.n - 1)!, next: due };
}

/** The last occurrence up to `now`. @param from one that is not after it */
function lastDue(times: Times, from: Occurrence, now: Date): Occurrence {
  if (times.every === 'once') return from;
  const { startsAt, endsAt, every } = times;
  const until = endsAt !== null && endsAt < now ? endsAt : now;
  // Counted with the longest period this one is surely due, so that years need not be gone through day by day.
  const surely = Math.floor((until.getTime() - startsAt.getTime() - SHIFT_MS) / PERIOD_MS[every]);
  let last = surely > from.n ? occurrence(times, surely)! : from;
  for (;;) {
    const next = occurrenceAfter(times, last);
    if (next === undefined || next.at > now) return last;
    last = next;
  }
}

/** The time on the wall of the n-th occurrence, as if it were UTC. */
function wallMs({ every, startsAt, timeZone }: Times, n: number): number {
  const startMs = startsAt.getTime();
  const first = startMs + offsetMsIn(timeZone, startMs);
  if (every !== 'monthly') return first + n * (every === 'weekly' ? 7 : 1) * DAY_MS;
  const date = new Date(first);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + n];
  const daysInMonth = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const day = Date.UTC(year, month, Math.min(date.getUTCDate(), daysInMonth));
  return day + (((first % DAY_MS) + DAY_MS) % DAY_MS);
}

/** The instant at which clocks in a zone show a time. */
function instantOf(wall: number, zone: string): number {
  // No zone changes twice within two days, so its offset is the one before or the one after.
  const before = offsetMsIn(zone, wall - DAY_MS);
  const after = offsetMsIn(zone, wall + DAY_MS);
  const found = [wall - before, wall - after].filter((instant) => instant + offsetMsIn(zone, instant) === wall);
  // Where none shows it, clocks are put forward over it: by the offset of before it comes out later by the gap.
  return found.length > 0 ? Math.min(...found) : wall - before;
}
