/**
 * Every error that a caller can meet, in one table, in order of precedence: the first that applies is the one
 * answered. `docs/errors.md` and the pages under `/errors/…` are written from it.
 */
import { AUTH_CONFLICTS, AUTH_ERRORS, AUTH_NOT_FOUND } from './auth/auth.errors.js';
import { EVENT_ERRORS } from './events/events.errors.js';
import type { ErrorEntry, FieldError, ProblemExtra } from './error.entry.js';
import { SCHEDULE_ERRORS } from './schedules/schedules.errors.js';
import { TRANSPORT_ERRORS } from './transport.errors.js';
import { WEBHOOK_ERRORS } from './webhooks/webhooks.errors.js';

export type { FieldError } from './error.entry.js';

export const ERRORS = {
  not_found: {
    status: 404,
    title: 'No such route',
    retryable: false,
    cause: 'The path or the method is not one that the API has.',
    fix: 'Compare method and path with /docs.',
  },
  ...TRANSPORT_ERRORS,
  ...AUTH_ERRORS,
  not_acceptable: {
    status: 406,
    title: 'No such form of the answer',
    retryable: false,
    cause: 'The `Accept` header names no media type that this route answers with.',
    fix: 'Send an `Accept` that the route has, such as `application/json`, or none.',
  },
  validation_failed: {
    status: 422,
    title: 'A field is wrong',
    retryable: false,
    cause: 'A field is missing, unknown, of the wrong shape or out of range. `errors` names each with its reason.',
    fix: 'Correct the named fields. Nothing was written and the idempotency key is not used up.',
  },
  user_not_found: {
    status: 404,
    title: 'No such user',
    retryable: false,
    cause: 'No user has this id.',
    fix: 'Look the user up with GET /v1/users?phone_number=… (+ is written %2B in a URL).',
  },
  wallet_not_found: {
    status: 404,
    title: 'No such wallet',
    retryable: false,
    cause: 'No wallet has this id.',
    fix: 'List the wallets of a user with GET /v1/wallets?user_id=…',
  },
  transaction_not_found: {
    status: 404,
    title: 'No such transaction',
    retryable: false,
    cause: 'No transaction has this id.',
    fix: 'Check the id, or list transactions with GET /v1/transactions.',
  },
  hold_not_found: {
    status: 404,
    title: 'No such hold',
    retryable: false,
    cause: 'No hold has this id.',
    fix: 'List the holds of a wallet with GET /v1/wallets/{wallet_id}/holds.',
  },
  entry_not_found: {
    status: 404,
    title: 'No such entry',
    retryable: false,
    cause: 'The wallet has no entry with this number.',
    fix: 'List the entries of the wallet with GET /v1/wallets/{wallet_id}/entries.',
  },
  ...AUTH_NOT_FOUND,
  ...EVENT_ERRORS,
  ...WEBHOOK_ERRORS,
  ...SCHEDULE_ERRORS,
  idempotency_key_not_found: {
    status: 404,
    title: 'This caller never used the key',
    retryable: false,
    cause: 'No request of this caller with this idempotency key has an outcome. Other callers may have used the same.',
    fix: 'Where it was this caller’s request, it is safe to send it again with the key. Operators name others with `caller`.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The key belongs to another request',
    retryable: false,
    cause: 'This idempotency key was already used for a request with other contents.',
    fix: 'Use a new key for a new request; repeat a request unchanged with its old key.',
  },
  idempotency_key_expired: {
    status: 409,
    title: 'The key was used long ago',
    retryable: false,
    cause: 'The key was used, and its outcome is older than the retention (72 hours unless configured).',
    fix: 'Do not repeat: the request was executed or refused then. Look for it in GET /v1/transactions.',
  },
  precondition_failed: {
    status: 412,
    title: 'It changed since you looked',
    retryable: false,
    cause: '`If-Match` names a version that is no longer the current one.',
    fix: 'Read it again, decide again, and send the new ETag, with a new key.',
  },
  phone_number_taken: {
    status: 409,
    title: 'The phone number is registered',
    retryable: false,
    cause: 'A user with this phone number exists.',
    fix: 'Find the user with GET /v1/users?phone_number=… (+ is written %2B in a URL).',
  },
  user_suspended: {
    status: 409,
    title: 'The user is suspended',
    retryable: false,
    cause: 'No wallet can be opened for a suspended user, and what they have scheduled is not posted.',
    fix: 'Set the status of the user to `active` first.',
  },
  wallet_exists: {
    status: 409,
    title: 'The wallet exists',
    retryable: false,
    cause: 'A user has one wallet for each currency and label, and this one is there.',
    fix: 'Use the existing wallet, or open one with another `label`. A closed wallet keeps its name for its history.',
  },
  too_many_wallets: {
    status: 409,
    title: 'Too many wallets',
    retryable: false,
    cause: 'A person may open 100 wallets.',
    fix: 'Use one of them. Servers and operators may open more for them.',
  },
  system_wallet: {
    status: 409,
    title: 'A system wallet is not for callers',
    retryable: false,
    cause: 'The wallet stands for the outside world; it moves only as the other side of credits and debits.',
    fix: 'Name a customer wallet.',
  },
  ...AUTH_CONFLICTS,
  hold_not_active: {
    status: 409,
    title: 'The hold has ended',
    retryable: false,
    cause: 'The hold is captured, voided or expired, and stays so.',
    fix: 'Read the hold; if money is still owed, make a new hold or debit the wallet.',
  },
  not_reversible: {
    status: 409,
    title: 'A reversal cannot be reversed',
    retryable: false,
    cause: 'The transaction is a reversal itself.',
    fix: 'Post what it undid again, as a new transaction.',
  },
  capture_exceeds_hold: {
    status: 422,
    title: 'More than was held',
    retryable: false,
    cause: 'Captures may not exceed the hold, beyond the tolerance of the service.',
    fix: 'Capture less, raise the hold first, or debit the wallet for the rest.',
  },
  hold_too_low: {
    status: 422,
    title: 'Less than was captured',
    retryable: false,
    cause: 'A hold cannot be lowered to what has been captured of it, or less.',
    fix: 'Void the hold to release the rest.',
  },
  reversal_exceeds_original: {
    status: 422,
    title: 'More than there is to reverse',
    retryable: false,
    cause: 'Reversals of a transaction may not add up to more than it.',
    fix: 'Look at GET /v1/transactions/{transaction_id}/reversals, and reverse at most what is left.',
  },
  wallet_closed: {
    status: 409,
    title: 'The wallet is closed',
    retryable: false,
    cause: 'A closed wallet takes no postings, and closing is final.',
    fix: 'Use another wallet.',
  },
  wallet_frozen: {
    status: 409,
    title: 'The wallet is frozen',
    retryable: false,
    cause: 'An operator has frozen the wallet: nothing may leave it, or nothing may move at all.',
    fix: 'Ask an operator to unfreeze it, then send the request with a new key.',
  },
  wallet_not_frozen: {
    status: 409,
    title: 'The wallet is not frozen',
    retryable: false,
    cause: 'Only a frozen wallet can be unfrozen.',
    fix: 'Nothing is to be done: the wallet is in use.',
  },
  wallet_has_holds: {
    status: 409,
    title: 'The wallet has holds',
    retryable: false,
    cause: 'A wallet is closed with nothing held, and some of its money is.',
    fix: 'Capture or void its holds first, or wait until they expire.',
  },
  wallet_not_empty: {
    status: 409,
    title: 'The wallet is not empty',
    retryable: false,
    cause: 'A wallet is closed with a balance of zero.',
    fix: 'Name a wallet of the same currency in `sweep_to_wallet_id`, or settle what is owed first.',
  },
  currency_mismatch: {
    status: 422,
    title: 'The wallets hold different currencies',
    retryable: false,
    cause: 'Money moves between wallets of one currency.',
    fix: 'Choose a wallet of the same currency.',
  },
  limit_exceeded: {
    status: 422,
    title: 'A limit of the wallet is reached',
    retryable: false,
    cause: 'The debit would pass a daily or monthly limit of the wallet.',
    fix: 'See GET /v1/wallets/{wallet_id}/limits for what is left and when it begins anew; then use a new key.',
  },
  minimum_balance_unmet: {
    status: 422,
    title: 'The first credit is under the minimum balance',
    retryable: false,
    cause: 'The first credit of a wallet must lift it to its minimum balance.',
    fix: 'Credit at least the minimum balance, or lower it: PATCH the wallet with `minimum_balance` and a `reason`. A wallet that takes small amounts, such as fees, is best opened with "0".',
  },
  insufficient_funds: {
    status: 422,
    title: 'Not enough money',
    retryable: false,
    cause: 'The available balance (balance less holds) is smaller than the amount.',
    fix: 'Credit the wallet first, or debit less; then use a new key. A reversal may let it go under with `on_shortfall: "allow_negative"`.',
  },
  below_minimum_balance: {
    status: 422,
    title: 'Below the minimum balance',
    retryable: false,
    cause: 'After every debit the available balance must still be at least the minimum balance.',
    fix: 'Debit less, or have an operator lower the minimum balance; then use a new key.',
  },
  balance_out_of_range: {
    status: 422,
    title: 'The balance would be too large to count',
    retryable: false,
    cause: 'A balance is kept exactly in 63 bits, and this posting would leave that range.',
    fix: 'Spread the money over several wallets.',
  },
  batch_refused: {
    status: 422,
    title: 'An item of an atomic batch is refused',
    retryable: false,
    cause: 'At least one item cannot be posted, so none was. `errors` names the items and their reasons.',
    fix: 'Correct or leave out those items, and send the batch with a new key.',
  },
  ledger_too_large: {
    status: 422,
    title: 'Too much to check while you wait',
    retryable: false,
    cause: 'There are more entries than a request may check (LEDGER_CHECK_ENTRIES_MAX).',
    fix: 'Run `asper check` on the command line, or name a smaller wallet in `wallet_id`.',
  },
  receipts_not_configured: {
    status: 501,
    title: 'This service signs no receipts',
    retryable: false,
    cause: 'The service has no key to sign receipts with: RECEIPT_KEY is not set.',
    fix: 'Set RECEIPT_KEY (`asper receipts new-key` makes one) and start the service again.',
  },
  overloaded: {
    status: 503,
    title: 'Too much to do at once',
    retryable: true,
    cause:
      'The queue of postings is full, or one-time codes are asked for faster than they go out. Nothing was written.',
    fix: 'Repeat with the same key after `Retry-After` seconds, with backoff.',
  },
  shutting_down: {
    status: 503,
    title: 'This process is stopping',
    retryable: true,
    cause: 'The service is being stopped or replaced. Nothing was written.',
    fix: 'Repeat with the same key; another process will answer.',
  },
  database_unavailable: {
    status: 503,
    title: 'The database does not answer',
    retryable: true,
    cause: 'The database is down, unreachable, full, or too slow. Nothing was written.',
    fix: 'Repeat with the same key after `Retry-After` seconds.',
  },
  outcome_unknown: {
    status: 503,
    title: 'The outcome is not known yet',
    retryable: true,
    cause: 'The connection to the database was lost while the commit was under way: it may or may not have happened.',
    fix: 'Repeat with the same key: it returns the outcome or executes once. Without a key, look before you repeat.',
  },
  internal_error: {
    status: 500,
    title: 'A fault of ours',
    retryable: false,
    cause: 'The service met a state that it did not expect. Nothing of this request was written.',
    fix: 'Report it with the `request_id`; the log holds the cause under that id.',
  },
} as const satisfies Record<string, ErrorEntry>;

/** The machine-readable name of an error: the `code` of the body and the end of its `type`. */
export type ErrorCode = keyof typeof ERRORS;
/** A batch has a thousand items, and may have as many times the same mistake. */
const FIELD_ERRORS_MAX = 50;

/** An error on its way to the caller. Thrown at the edge only; the posting rules return refusals as values. */
export class Problem extends Error {
  readonly status: number;

  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    readonly extra: ProblemExtra = {},
  ) {
    super(`${code}: ${detail}`);
    this.status = ERRORS[code].status;
  }

  /** A 422 that names one field. */
  static field(field: string, message: string): Problem {
    return Problem.fields([{ field, message }]);
  }

  /** A 422 that names the fields that are wrong: all, or the first of very many. */
  static fields(all: FieldError[]): Problem {
    const errors = all.slice(0, FIELD_ERRORS_MAX);
    const detail = errors.map(({ field, message }) => `${field} ${message}`).join('; ');
    const more = all.length - errors.length;
    return new Problem('validation_failed', more > 0 ? `${detail}; and ${more} more` : detail, { errors });
  }
}

/** The body of RFC 9457 for an error, without the request's id. */
export function problemBody(code: ErrorCode, detail: string, errors?: FieldError[]) {
  const { status, title, retryable } = ERRORS[code];
  return { type: `/errors/${code}`, title, status, detail, code, retryable, ...(errors ? { errors } : {}) };
}
