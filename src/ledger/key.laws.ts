/** The laws of idempotency keys: one key, one outcome, and the outcome is there. */
import { ERRORS } from '../errors.js';
import { passOf, type Pass } from './law.js';

const KEYS: Pass = {
  ...passOf(
    'idempotency_keys',
    `k.scope || '/' || k.key`,
    `FROM (
       -- Keys of no transaction belong to no wallet; the check of one wallet passes them by.
       SELECT *, count(*) OVER (PARTITION BY transaction_id) AS claims FROM idempotency_keys
        WHERE $1::uuid IS NULL OR transaction_id IN (SELECT transaction_id FROM entries WHERE wallet_id = $1)
     ) k
     LEFT JOIN transactions t ON t.id = k.transaction_id
     LEFT JOIN unnest($2::text[], $3::int[]) AS error (code, status) ON error.code = k.outcome ->> 'code'`,
    'true',
    [
      [
        'an executed key has its transaction',
        'k.transaction_id IS NOT NULL AND t.id IS NULL',
        `format('there is no transaction %s', k.transaction_id)`,
      ],
      [
        'one key, one transaction',
        'k.transaction_id IS NOT NULL AND k.claims > 1',
        `format('%s keys claim transaction %s', k.claims, k.transaction_id)`,
      ],
      [
        'a key is its caller’s',
        'k.scope <> t.actor OR k.created_at <> t.created_at',
        `format('of %s at %s, transaction %s is of %s at %s', k.scope, k.created_at, t.id, t.actor, t.created_at)`,
      ],
      [
        'an executed key says 201',
        'k.transaction_id IS NOT NULL AND (k.status_code <> 201 OR k.outcome IS NOT NULL)',
        `format('status_code is %s, and an outcome %s', k.status_code, CASE WHEN k.outcome IS NULL THEN 'is not kept' ELSE 'is kept beside the transaction' END)`,
      ],
      [
        'an outcome can be told',
        `k.transaction_id IS NULL AND (
           k.outcome IS NULL OR json_typeof(k.outcome) <> 'object' OR k.status_code NOT BETWEEN 200 AND 499
           OR CASE WHEN k.status_code >= 400 THEN error.status IS DISTINCT FROM k.status_code ELSE k.outcome ->> 'code' IS NOT NULL END)`,
        `format('status_code is %s, the outcome %s', k.status_code, left(coalesce(k.outcome::text, 'null'), 100))`,
      ],
      [
        'a fingerprint has 128 bits',
        'octet_length(k.fingerprint) <> 16',
        `format('it has %s bytes', octet_length(k.fingerprint))`,
      ],
    ],
  ),
  values: [Object.keys(ERRORS), Object.values(ERRORS).map(({ status }) => status)],
};

export const KEY_PASSES: readonly Pass[] = [KEYS];
