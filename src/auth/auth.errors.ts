/** The errors of who may call, a part of the table in `errors.ts`. */
import type { ErrorEntry } from '../error.entry.js';

export const AUTH_ERRORS = {
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    retryable: true,
    cause: 'The caller, its address or the number that it asks for has used up what it may do in this time.',
    fix: 'Repeat after `Retry-After` seconds. `RateLimit` on other answers says what is left.',
  },
  unauthenticated: {
    status: 401,
    title: 'Who are you?',
    retryable: false,
    cause: 'The request carries no credentials, or some that are not, or no longer, good.',
    fix: 'Send `Authorization: Bearer` with an access token or an API key. A person signs in with POST /v1/auth/codes.',
  },
  token_expired: {
    status: 401,
    title: 'The access token has expired',
    retryable: false,
    cause: 'Access tokens are good for ten minutes, and this one was longer ago.',
    fix: 'Get a new one with POST /v1/auth/tokens/refresh, and repeat the request with it and the same key.',
  },
  code_refused: {
    status: 401,
    title: 'The code is not good',
    retryable: false,
    cause: 'The code is wrong, expired (5 minutes), tried too often (5 times) or used already.',
    fix: 'Ask for a new code with POST /v1/auth/codes.',
  },
  refresh_token_refused: {
    status: 401,
    title: 'The refresh token is not good',
    retryable: false,
    cause:
      'The token is unknown, expired, or was used before: then its session has been ended, as somebody has a copy.',
    fix: 'Sign in again with POST /v1/auth/codes.',
  },
  forbidden: {
    status: 403,
    title: 'Not for this caller',
    retryable: false,
    cause: 'A person who signed in may do this to nobody, not even themself: it is for servers or operators.',
    fix: 'Let your server do it, with an API key.',
  },
  insufficient_scope: {
    status: 403,
    title: 'The key may not do this',
    retryable: false,
    cause: 'The API key has not the scope that this needs.',
    fix: 'Use a key that has it; `detail` names it. An operator makes one with `asper keys create`.',
  },
  address_not_allowed: {
    status: 403,
    title: 'Not from this address',
    retryable: false,
    cause: 'The API key is bound to addresses, and the request came from another one.',
    fix: 'Call from an allowed address, or have an operator allow this one. Behind a proxy, set TRUSTED_PROXIES.',
  },
} as const satisfies Record<string, ErrorEntry>;

/** The things of access that can be missing. */
export const AUTH_NOT_FOUND = {
  api_key_not_found: {
    status: 404,
    title: 'No such API key',
    retryable: false,
    cause: 'No API key has this id.',
    fix: 'List the keys with GET /v1/api-keys.',
  },
  session_not_found: {
    status: 404,
    title: 'No such session',
    retryable: false,
    cause: 'The caller has no session with this id.',
    fix: 'List the sessions with GET /v1/auth/sessions.',
  },
} as const satisfies Record<string, ErrorEntry>;

/** What can be in the way of an API key, and of signing in. */
export const AUTH_CONFLICTS = {
  sign_in_not_configured: {
    status: 501,
    title: 'Nobody can sign in here',
    retryable: false,
    cause: 'The service has no way to send one-time codes (CODE_SENDER=none), or no place to keep its secret.',
    fix: 'Set CODE_SENDER=webhook and CODE_WEBHOOK_URL, and AUTH_SECRET, and start the service again.',
  },
  api_key_ended: {
    status: 409,
    title: 'The API key has ended',
    retryable: false,
    cause: 'The key is revoked or has expired, and stays so.',
    fix: 'Make a new key.',
  },
  minimum_balance_not_lowered: {
    status: 403,
    title: 'Only an operator lowers a minimum balance',
    retryable: false,
    cause:
      'The debit names a lower `minimum_balance` than the wallet has, without the scope wallets:admin or a `reason`.',
    fix: 'Leave `minimum_balance` out, or have an operator lower it.',
  },
} as const satisfies Record<string, ErrorEntry>;
