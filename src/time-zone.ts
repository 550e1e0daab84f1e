/** IANA time zones, as the machine's ICU knows them. */
const formatters = new Map<string, Intl.DateTimeFormat>();
const minuteFormatters = new Map<string, Intl.DateTimeFormat>();
const secondFormatters = new Map<string, Intl.DateTimeFormat>();

/** Whether a text names a time zone: `Asia/Kolkata`, `UTC`. Offsets such as `+05:30` do not: they know no summer. */
export function isTimeZone(zone: unknown): zone is string {
  if (typeof zone !== 'string' || !/^[A-Za-z][A-Za-z0-9_+/-]{1,63}$/.test(zone)) return false;
  try {
    formatterOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** The calendar day of an instant in a time zone, as `2026-01-31`. */
export function dayIn(zone: string, instant: Date): string {
  if (zone === 'UTC') return instant.toISOString().slice(0, 10);
  return formatterOf(zone).format(instant);
}

/** The minute of an instant in a time zone, as `2026-01-31 15:00`. */
export function minuteIn(zone: string, instant: Date): string {
  let formatter = minuteFormatters.get(zone);
  if (!formatter) {
    // Swedish writes times as ISO 8601 does.
    const parts = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' } as const;
    formatter = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, ...parts });
    minuteFormatters.set(zone, formatter);
  }
  return formatter.format(instant);
}

function formatterOf(zone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(zone);
  if (!formatter) {
    // Canadian English writes days as ISO 8601 does.
    formatter = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' });
    formatters.set(zone, formatter);
  }
  return formatter;
}

/** How far a time zone is ahead of UTC at an instant. @returns milliseconds, behind: negative */
export function offsetMsIn(zone: string, instantMs: number): number {
  if (zone === 'UTC') return 0;
  let formatter = secondFormatters.get(zone);
  if (!formatter) {
    const parts = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
    const day = { year: 'numeric', month: '2-digit', day: '2-digit' } as const;
    formatter = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, ...day, ...parts });
    secondFormatters.set(zone, formatter);
  }
  const wholeSecondMs = Math.floor(instantMs / 1_000) * 1_000;
  return Date.parse(`${formatter.format(wholeSecondMs).replace(' ', 'T')}Z`) - wholeSecondMs;
}
