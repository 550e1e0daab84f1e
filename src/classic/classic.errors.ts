/** Errors of the six original calls: `{"error": "…"}` with 400, in the original's words where it had any. */
import type { Problem } from '../errors.js';

const CLASSIC_ROUTES = new Set([
  '/register',
  '/wallet/create',
  '/wallet/credit',
  '/wallet/debit',
  '/wallet/balance/:wallet_id',
  '/wallet/transactions',
]);

/** Who calls, and how often: the original knew neither. */
const STATUSES_KEPT = new Set([401, 403, 429]);

/**
 * The original's body for a problem, or nothing where the route is not one of the six. Faults (5xx) stay problems:
 * a client that reads a 400 would take an outcome for refused that is merely unknown. So does what is wrong with the
 * credentials, not with the request.
 */
export function classicErrorBody(route: string | undefined, problem: Problem): { error: string } | undefined {
  if (route === undefined || !CLASSIC_ROUTES.has(route) || problem.status >= 500) return undefined;
  if (STATUSES_KEPT.has(problem.status)) return undefined;
  return { error: message(problem) };
}

function message({ code, detail }: Problem): string {
  switch (code) {
    case 'insufficient_funds':
      return 'Insufficient balance';
    case 'below_minimum_balance':
      return `Balance cannot drop below minimum required balance of ${floor(detail)}`;
    case 'minimum_balance_unmet':
      return `You need to add minimum ${floor(detail)}`;
    case 'wallet_exists':
      return 'Wallet already exists for this user';
    case 'phone_number_taken':
      return 'User already exists';
    case 'user_not_found':
      return 'User not found';
    case 'wallet_not_found':
      return 'Wallet not found';
    default:
      return detail;
  }
}

/** The minimum balance that a detail ends with, as the original printed it: `100`, not `100.00`. */
function floor(detail: string): string {
  return (/minimum balance of (-?[\d.]+)/.exec(detail)?.[1] ?? '').replace(/\.0*$/, '');
}
