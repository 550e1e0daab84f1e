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
} as const satisfies Record<string, ErrorEntry>;
