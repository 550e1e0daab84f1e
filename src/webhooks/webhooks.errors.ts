/** The errors of webhooks, a part of the table in `errors.ts`. */
import type { ErrorEntry } from '../error.entry.js';

export const WEBHOOK_ERRORS = {
  webhook_endpoint_not_found: {
    status: 404,
    title: 'No such webhook endpoint',
    retryable: false,
    cause: 'No webhook endpoint has this id, or it was deleted.',
    fix: 'List the endpoints with GET /v1/webhook-endpoints.',
  },
  webhook_endpoint_disabled: {
    status: 409,
    title: 'The webhook endpoint is disabled',
    retryable: false,
    cause: 'Nothing is sent to an endpoint that failed for long, or that somebody disabled.',
    fix: 'Mend the receiver, then make the endpoint active with PATCH {"status": "active"}.',
  },
  too_many_endpoints: {
    status: 409,
    title: 'Too many webhook endpoints',
    retryable: false,
    cause: 'There are 1,000 webhook endpoints, which is as many as there may be.',
    fix: 'Delete those that nobody needs, or send to one place and share out from there.',
  },
} as const satisfies Record<string, ErrorEntry>;
