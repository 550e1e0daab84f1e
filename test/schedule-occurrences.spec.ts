/** When the occurrences of a schedule are: the same time on the wall, whatever the clocks and the calendar do. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { missedOf, occurrence, occurrenceAfter, RHYTHMS, type Times } from '../src/schedules/occurrences.js';
import { offsetMsIn } from '../src/time-zone.js';

const DAY_MS = 86_400_000;
const ZONES = [
  ...['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/Sao_Paulo'],
  ...['Africa/Cairo', 'America/St_Johns', 'Pacific/Chatham', 'Pacific/Apia', 'Asia/Tehran'],
];

const times = (every: Times['every'], startsAt: string, timeZone = 'UTC', endsAt?: string): Times => ({
  ...{ every, startsAt: new Date(startsAt), timeZone, endsAt: endsAt === undefined ? null : new Date(endsAt) },
});
const list = (of: Times, count: number, from = 0) =>
  Array.from({ length: count }, (_, i) =>
    occurrence(of, from + i)
      ?.at.toISOString()
      .replace('.000Z', 'Z'),
  );
/** The time on the wall, as if it were UTC. */
const wall = (zone: string, at: Date) => new Date(at.getTime() + offsetMsIn(zone, at.getTime()));

describe('the occurrences of a schedule', () => {
  it('keep the time of day in Berlin, summer and winter', () => {
    expect(list(times('daily', '2026-03-28T09:00:00+01:00', 'Europe/Berlin'), 3)).toEqual([
      ...['2026-03-28T08:00:00Z', '2026-03-29T07:00:00Z', '2026-03-30T07:00:00Z'],
    ]);
    expect(list(times('weekly', '2026-10-18T09:00:00+02:00', 'Europe/Berlin'), 3)).toEqual([
      ...['2026-10-18T07:00:00Z', '2026-10-25T08:00:00Z', '2026-11-01T08:00:00Z'],
    ]);
  });

  it('that fall into the hour left out in spring are later by it, that day alone', () => {
    // Berlin 02:30 → 03:30 on the 29th of March.
    expect(list(times('daily', '2026-03-28T02:30:00+01:00', 'Europe/Berlin'), 3)).toEqual([
      ...['2026-03-28T01:30:00Z', '2026-03-29T01:30:00Z', '2026-03-30T00:30:00Z'],
    ]);
    // New York 02:30 → 03:30 on the 8th of March.
    expect(list(times('daily', '2026-03-07T02:30:00-05:00', 'America/New_York'), 3)).toEqual([
      ...['2026-03-07T07:30:00Z', '2026-03-08T07:30:00Z', '2026-03-09T06:30:00Z'],
    ]);
    // Lord Howe changes by half an hour: 02:15 → 02:45 on the 4th of October.
    expect(list(times('daily', '2026-10-03T02:15:00+10:30', 'Australia/Lord_Howe'), 3)).toEqual([
      ...['2026-10-02T15:45:00Z', '2026-10-03T15:45:00Z', '2026-10-04T15:15:00Z'],
    ]);
  });

  it('that fall into the hour shown twice in autumn are at the first', () => {
    expect(list(times('daily', '2026-10-24T02:30:00+02:00', 'Europe/Berlin'), 3)).toEqual([
      ...['2026-10-24T00:30:00Z', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
    ]);
    expect(list(times('daily', '2026-10-31T01:30:00-04:00', 'America/New_York'), 3)).toEqual([
      ...['2026-10-31T05:30:00Z', '2026-11-01T05:30:00Z', '2026-11-02T06:30:00Z'],
    ]);
    expect(list(times('daily', '2026-04-04T01:45:00+11:00', 'Australia/Lord_Howe'), 3)).toEqual([
      ...['2026-04-03T14:45:00Z', '2026-04-04T14:45:00Z', '2026-04-05T15:15:00Z'],
    ]);
    // The first occurrence is what was said, also the second of the two.
    expect(list(times('daily', '2026-10-25T02:30:00+01:00', 'Europe/Berlin'), 2)).toEqual([
      ...['2026-10-25T01:30:00Z', '2026-10-26T01:30:00Z'],
    ]);
  });

  it('on the 31st are on the last day of shorter months, and on the 31st again after them', () => {
    expect(list(times('monthly', '2027-12-31T00:00:00+05:30', 'Asia/Kolkata'), 5)).toEqual([
      ...['2027-12-30T18:30:00Z', '2028-01-30T18:30:00Z', '2028-02-28T18:30:00Z', '2028-03-30T18:30:00Z'],
      '2028-04-29T18:30:00Z',
    ]);
    expect(list(times('monthly', '2026-01-31T23:30:00-05:00', 'America/New_York'), 3)).toEqual([
      ...['2026-02-01T04:30:00Z', '2026-03-01T04:30:00Z', '2026-04-01T03:30:00Z'],
    ]);
  });

  it('end with their end, which may be an occurrence itself', () => {
    const daily = times('daily', '2026-01-01T12:00:00Z', 'UTC', '2026-01-03T12:00:00Z');
    expect(list(daily, 4)).toEqual([
      ...['2026-01-01T12:00:00Z', '2026-01-02T12:00:00Z', '2026-01-03T12:00:00Z', undefined],
    ]);
    expect(list(times('once', '2026-01-01T12:00:00Z'), 2)).toEqual(['2026-01-01T12:00:00Z', undefined]);
  });

  it('on a day that a zone left out and on the next are one', () => {
    // Samoa had no 30th of December 2011.
    const daily = times('daily', '2011-12-29T10:00:00-10:00', 'Pacific/Apia');
    const second = occurrenceAfter(daily, occurrence(daily, 0)!)!;
    const third = occurrenceAfter(daily, second)!;
    expect([second, third].map(({ n, at }) => [n, wall('Pacific/Apia', at).toISOString().slice(0, 10)])).toEqual([
      [1, '2011-12-31'],
      [3, '2012-01-01'],
    ]);
  });
});

const anyTimes = fc.record({
  every: fc.constantFrom(...RHYTHMS),
  startsAt: fc.date({ min: new Date('1970-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }),
  timeZone: fc.constantFrom(...ZONES),
  endsAt: fc.constant(null),
});
const regular = anyTimes.filter(({ every }) => every !== 'once');

describe('whatever the start, the rhythm and the zone', () => {
  it('each occurrence is later than the one before, and about a period', () => {
    fc.assert(
      fc.property(regular, fc.nat(400), (of, n) => {
        const one = occurrence(of, n)!;
        const next = occurrenceAfter(of, one)!;
        const days = (next.at.getTime() - one.at.getTime()) / DAY_MS;
        const [least, most] = { daily: [0, 2], weekly: [5.9, 8.1], monthly: [26.9, 32.1], once: [0, 0] }[of.every];
        expect(days).toBeGreaterThan(least!);
        expect(days).toBeLessThan(most!);
      }),
    );
  });

  it('the clock on the wall shows the same time, or one that is later by a gap; a month has one', () => {
    fc.assert(
      fc.property(regular, fc.nat(400), (of, n) => {
        const first = wall(of.timeZone, of.startsAt);
        const shown = wall(of.timeZone, occurrence(of, n)!.at);
        const laterMs = (((shown.getTime() - first.getTime()) % DAY_MS) + DAY_MS) % DAY_MS;
        expect([0, 1_800_000, 3_600_000]).toContain(laterMs);
        if (laterMs > 0) {
          // Nobody's clock showed the time that was meant: an hour before, they were set otherwise.
          const at = occurrence(of, n)!.at.getTime();
          expect(offsetMsIn(of.timeZone, at) - offsetMsIn(of.timeZone, at - 3_600_001)).toBe(laterMs);
        }
        if (of.every !== 'monthly' || laterMs > 0) return;
        expect(shown.getUTCDate()).toBe(
          Math.min(
            first.getUTCDate(),
            new Date(Date.UTC(shown.getUTCFullYear(), shown.getUTCMonth() + 1, 0)).getUTCDate(),
          ),
        );
        const months = (date: Date) => date.getUTCFullYear() * 12 + date.getUTCMonth();
        const isDateLine = of.timeZone === 'Pacific/Apia' && shown.getUTCFullYear() === 2011;
        if (!isDateLine) expect(months(shown) - months(first)).toBe(n);
      }),
    );
  });

  it('what is missed is what was gone through one by one', () => {
    const ends = fc.option(fc.nat(4_000), { nil: null });
    fc.assert(
      fc.property(anyTimes, ends, fc.nat(20), fc.nat(3_000), fc.option(fc.nat(3_000)), (base, end, n, days, back) => {
        const start = base.startsAt.getTime();
        const of = { ...base, endsAt: end === null ? null : new Date(start + end * DAY_MS) };
        const from = occurrence(of, n);
        if (!from) return;
        const now = new Date(start + days * DAY_MS + 1);
        const missedBefore = back === null ? null : new Date(now.getTime() - back * DAY_MS);
        // The plain way: an occurrence is missed where the next is due as well, or where it is before that time.
        let next: typeof from | undefined = from;
        let last: typeof from | undefined;
        while (next && next.at <= now) {
          const after = occurrenceAfter(of, next);
          if (!(after && after.at <= now) && !(missedBefore && next.at < missedBefore)) break;
          [last, next] = [next, after];
        }
        const missed = missedOf(of, from, now, missedBefore);
        expect(missed?.next).toEqual(last && next);
        expect(missed?.last.at).toEqual(last?.at);
      }),
      { numRuns: 60 },
    );
  });
});
