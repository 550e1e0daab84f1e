/** IANA time zones, as the machine's ICU knows them. */
const days = formattersOf('en-CA', {}); // Canadian English writes days as ISO 8601 does.
const minutes = formattersOf('sv-SE', { hour: '2-digit', minute: '2-digit' }); // Swedish writes times so.
const seconds = formattersOf('sv-SE', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/**
 * The formatter of each zone, made once: it takes 30 KB. A zone may be spelt in small and capital letters at will, and is kept
 * by one spelling: kept by each, 10,000 requests that spell one name differently took 300 MB for good.
 */
function formattersOf(locale: string, time: Intl.DateTimeFormatOptions): (zone: string) => Intl.DateTimeFormat {
  const formatters = new Map<string, Intl.DateTimeFormat>();
  const day = { year: 'numeric', month: '2-digit', day: '2-digit' } as const;
  return (zone) => {
    const name = zone.toLowerCase();
    let formatter = formatters.get(name);
    if (!formatter) {
      formatter = new Intl.DateTimeFormat(locale, { timeZone: zone, ...day, ...time });
      formatters.set(name, formatter);
    }
    return formatter;
  };
}

/**
 * A zone by its place, such as `Asia/Kolkata`. PostgreSQL, which cuts histories into days, takes short names for abbreviations first: its
 * `IST` is of Israel and its `CET` knows no summer, where ICU, which we have, means India and Brussels.
 */
const ZONE = /^(UTC|[A-Za-z][A-Za-z0-9_+-]*\/[A-Za-z0-9_+/-]+)$/;

/** What {@link isTimeZone} asks for, in words. */
export const TIME_ZONE_RULE = 'an IANA time zone such as "Asia/Kolkata", or "UTC"';

/** Whether a text names a time zone: `Asia/Kolkata`, `UTC`. Offsets such as `+05:30` do not: they know no summer. */
export function isTimeZone(zone: unknown): zone is string {
  if (typeof zone !== 'string' || zone.length > 64 || !ZONE.test(zone)) return false;
  if (zone === 'UTC') return true; // the default: to ask ICU for the first time takes 20 ms of the start
  try {
    days(zone);
    return true;
  } catch {
    return false;
  }
}

/** The calendar day of an instant in a time zone, as `2026-01-31`. */
export function dayIn(zone: string, instant: Date): string {
  if (zone === 'UTC') return instant.toISOString().slice(0, 10);
  return days(zone).format(instant);
}

/** The minute of an instant in a time zone, as `2026-01-31 15:00`. */
export function minuteIn(zone: string, instant: Date): string {
  return minutes(zone).format(instant);
}

/**
 * The first instant of a day in a time zone, both SQL. PostgreSQL takes midnight for the later one where clocks go back over it
 * (Havana); where they go forward over it (Beirut) it finds the first instant after the gap.
 */
export function dayStartSql(day: string, zone: string): string {
  const midnight = `(${day}::timestamp AT TIME ZONE ${zone})`;
  const before = `${midnight} - interval '1 hour'`;
  return `CASE WHEN ((${before}) AT TIME ZONE ${zone})::date = ${day} THEN ${before} ELSE ${midnight} END`;
}

/** How far a time zone is ahead of UTC at an instant. @returns milliseconds, behind: negative */
export function offsetMsIn(zone: string, instantMs: number): number {
  if (zone === 'UTC') return 0;
  const wholeSecondMs = Math.floor(instantMs / 1_000) * 1_000;
  return Date.parse(`${seconds(zone).format(wholeSecondMs).replace(' ', 'T')}Z`) - wholeSecondMs;
}
