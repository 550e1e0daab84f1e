/** The errors of requests that cannot be read, a part of the table in `errors.ts`. */
import type { ErrorEntry } from './error.entry.js';

export const TRANSPORT_ERRORS = {
  bad_request: {
    status: 400,
    title: 'The request cannot be read',
    retryable: false,
    cause: 'The request breaks HTTP or JSON itself: a body that is not JSON, a malformed URL or header.',
    fix: 'Send a well-formed JSON object with `Content-Type: application/json`.',
  },
  request_timeout: {
    status: 408,
    title: 'The request did not arrive',
    retryable: true,
    cause:
      'Headers and body did not arrive within 30 seconds, or in one where there is much to do. Nothing was written.',
    fix: 'Repeat with the same key on a new connection.',
  },
  deadline_exceeded: {
    status: 503,
    title: 'No answer in time',
    retryable: true,
    cause:
      'The request was not answered within REQUEST_DEADLINE_MS, as the database is slow or away. What it asked for may be done, ' +
      'or still be done.',
    fix: 'Repeat it; if it writes, with the same key: it is done once.',
  },
  headers_too_large: {
    status: 431,
    title: 'The headers are too large',
    retryable: false,
    cause: 'The request line and the headers exceed 16 KiB together.',
    fix: 'Send fewer or shorter headers and a shorter URL.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    retryable: false,
    cause: 'The body exceeds the limit of this route (64 KiB; 1 MiB for a batch).',
    fix: 'Send less: shorten `metadata`, or split the request.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body is not JSON',
    retryable: false,
    cause: 'The `Content-Type` is not one that the API reads, or the body is compressed, or of another charset.',
    fix: 'Send plain UTF-8 with `Content-Type: application/json`.',
  },
} as const satisfies Record<string, ErrorEntry>;
