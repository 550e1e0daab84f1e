/** The errors of events, a part of the table in `errors.ts`. */
import type { ErrorEntry } from '../error.entry.js';

export const EVENT_ERRORS = {
  events_expired: {
    status: 410,
    title: 'These events are no longer kept',
    retryable: false,
    cause: 'Events are deleted after a time (EVENT_RETENTION_DAYS), and what came right after this place is gone.',
    fix: 'Read wallets and transactions as they are, then events without `after`: from the oldest that is kept.',
  },
  too_many_streams: {
    status: 429,
    title: 'Too many streams',
    retryable: true,
    cause: 'The process has as many live streams open as it may (STREAMS_MAX), or four fifths of them are yours.',
    fix: 'Close streams that nobody looks at; one page needs one. Repeat after `Retry-After` seconds.',
  },
  test_clock_off: {
    status: 409,
    title: 'The clock cannot be put forward',
    retryable: false,
    cause: 'The service runs by the real time, as it always does in production.',
    fix: 'In development, start it with TEST_CLOCK=on.',
  },
} as const satisfies Record<string, ErrorEntry>;
