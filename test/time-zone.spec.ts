/** Time zones: what callers name costs a bounded amount of memory, however they spell it. */
import { describe, expect, it, jest } from '@jest/globals';
import { dayIn, isTimeZone, minuteIn, offsetMsIn } from '../src/time-zone.js';

describe('time zones', () => {
  it('have one formatter of each kind, in whatever letters they are named', () => {
    const made = jest.spyOn(Intl, 'DateTimeFormat');
    const instant = new Date('2026-07-01T22:30:00Z');
    for (let n = 0; n < 64; n++) {
      const letters = [...'Europe/Berlin'].map((letter, i) =>
        (n >> (i % 6)) & 1 ? letter.toUpperCase() : letter.toLowerCase(),
      );
      const zone = letters.join('');
      expect(isTimeZone(zone)).toBe(true);
      expect([dayIn(zone, instant), minuteIn(zone, instant)]).toEqual(['2026-07-02', '2026-07-02 00:30']);
      expect(offsetMsIn(zone, instant.getTime())).toBe(7_200_000);
    }
    expect(made.mock.calls.length).toBeLessThanOrEqual(3);
    made.mockRestore();
  });

  it('are those that ICU knows, and no offsets', () => {
    const names = ['UTC', 'Asia/Kolkata', 'Etc/GMT+5', 'America/Argentina/Ushuaia', 'Nowhere/City', '+05:30', '', 5];
    expect(names.map(isTimeZone)).toEqual([true, true, true, true, false, false, false, false]);
  });

  it('are named by place: PostgreSQL means something else by these than ICU', () => {
    for (const name of ['IST', 'CET', 'BST', 'PST', 'EST5EDT', 'Japan']) expect(isTimeZone(name)).toBe(false);
  });
});
