/** The laws of holds: each is what its steps made of it, and what was captured went somewhere. */
import { passOf, type Pass } from './law.js';

const HOLDS = passOf(
  'holds',
  'h.id::text',
  `FROM holds h
   LEFT JOIN wallets w ON w.id = h.wallet_id
   LEFT JOIN LATERAL (SELECT * FROM hold_changes WHERE hold_id = h.id ORDER BY version DESC LIMIT 1) c ON true
   LEFT JOIN LATERAL (SELECT * FROM hold_changes WHERE hold_id = h.id ORDER BY version LIMIT 1) f ON true
   LEFT JOIN LATERAL (
     SELECT coalesce(sum(amount), 0) AS captured FROM transactions WHERE hold_id = h.id OFFSET 0
   ) t ON true`,
  '$1::uuid IS NULL OR h.wallet_id = $1',
  [
    [
      'a hold has its wallet',
      `w.kind IS DISTINCT FROM 'customer'`,
      `format('there is no customer wallet %s', h.wallet_id)`,
    ],
    [
      'a hold is its last step',
      `(h.amount, h.captured, h.status, h.expires_at, h.version, h.updated_at) IS DISTINCT FROM
         (c.amount, c.captured, c.status, c.expires_at, c.version, c.created_at)`,
      `format('amount %s, captured %s, %s, expires %s, version %s, updated %s; its last step says %s, %s, %s, %s, %s, %s',
              h.amount, h.captured, h.status, h.expires_at, h.version, h.updated_at,
              c.amount, c.captured, c.status, c.expires_at, c.version, c.created_at)`,
    ],
    [
      'a hold begins with its first step',
      '(h.actor, h.created_at) IS DISTINCT FROM (f.actor, f.created_at)',
      `format('made by %s at %s, its first step by %s at %s', h.actor, h.created_at, f.actor, f.created_at)`,
    ],
    [
      'captured is captures',
      'h.captured <> t.captured',
      `format('captured is %s, its captures add up to %s', h.captured, t.captured)`,
    ],
    [
      'an active hold has a rest',
      `h.amount <= 0 OR h.captured < 0 OR (h.status = 'active' AND h.captured >= h.amount)`,
      `format('%s with %s of %s captured', h.status, h.captured, h.amount)`,
    ],
  ],
);

const STEPS = passOf(
  'hold_changes',
  `c.hold_id || '/' || c.version`,
  `FROM (
     SELECT *, row_number() OVER steps AS number, lag(status) OVER steps AS status_before,
            lag(amount) OVER steps AS amount_before, lag(captured) OVER steps AS captured_before,
            lag(expires_at) OVER steps AS expires_before, lag(created_at) OVER steps AS created_before
       FROM hold_changes
      WHERE $1::uuid IS NULL OR hold_id IN (SELECT id FROM holds WHERE wallet_id = $1)
     WINDOW steps AS (PARTITION BY hold_id ORDER BY version)
   ) c
   LEFT JOIN holds h ON h.id = c.hold_id
   LEFT JOIN transactions t ON t.id = c.transaction_id`,
  'true',
  [
    ['a step has its hold', 'h.id IS NULL', `format('there is no hold %s', c.hold_id)`],
    ['steps are numbered', 'c.version <> c.number', `format('version %s is step %s', c.version, c.number)`],
    ['a hold is made once', `(c.number = 1) <> (c.action = 'created')`, `format('step %s is %s', c.number, c.action)`],
    [
      'an end is an end',
      `c.number > 1 AND c.status_before <> 'active'`,
      `format('%s after the hold was %s', c.action, c.status_before)`,
    ],
    [
      'steps follow in time',
      'c.created_at < c.created_before',
      `format('%s, after %s', c.created_at, c.created_before)`,
    ],
    [
      'a step does what it says',
      `CASE c.action
         WHEN 'created' THEN c.captured <> 0 OR c.status <> 'active' OR c.transaction_id IS NOT NULL
         WHEN 'changed' THEN c.status <> 'active' OR c.captured <> c.captured_before OR c.transaction_id IS NOT NULL
         WHEN 'captured' THEN c.status NOT IN ('active', 'captured') OR c.amount <> c.amount_before
           OR c.expires_at <> c.expires_before OR t.id IS NULL OR t.hold_id IS DISTINCT FROM c.hold_id
           OR c.captured <> c.captured_before + t.amount OR c.actor <> t.actor OR c.created_at <> t.created_at
         WHEN 'voided' THEN c.status <> 'voided' OR (c.amount, c.captured, c.expires_at) <>
           (c.amount_before, c.captured_before, c.expires_before) OR c.transaction_id IS NOT NULL
         WHEN 'expired' THEN c.status <> 'expired' OR (c.amount, c.captured, c.expires_at) <>
           (c.amount_before, c.captured_before, c.expires_before) OR c.transaction_id IS NOT NULL
           OR c.actor <> 'system' OR c.created_at < c.expires_at
         ELSE true END`,
      `format('%s by %s at %s: %s of %s captured, %s, expires %s, transaction %s (of %s); before: %s of %s, expires %s',
              c.action, c.actor, c.created_at, c.captured, c.amount, c.status, c.expires_at,
              coalesce(c.transaction_id::text, 'none'), coalesce(t.amount::text, 'nothing'),
              c.captured_before, c.amount_before, c.expires_before)`,
    ],
  ],
);

const CAPTURES = passOf(
  'transactions',
  't.id::text',
  `FROM transactions t
   LEFT JOIN holds h ON h.id = t.hold_id
   LEFT JOIN LATERAL (
     SELECT sum(amount) AS amount FROM entries WHERE transaction_id = t.id AND wallet_id = h.wallet_id OFFSET 0
   ) e ON true
   LEFT JOIN LATERAL (
     SELECT count(*) AS steps FROM hold_changes WHERE hold_id = h.id AND transaction_id = t.id OFFSET 0
   ) c ON true`,
  't.hold_id IS NOT NULL AND ($1::uuid IS NULL OR t.id IN (SELECT transaction_id FROM entries WHERE wallet_id = $1))',
  [
    ['a capture has its hold', 'h.id IS NULL', `format('there is no hold %s', t.hold_id)`],
    [
      'the wallet of the hold pays',
      'h.id IS NOT NULL AND e.amount IS DISTINCT FROM -t.amount',
      `format('hold %s is of wallet %s, which has %s of it and not %s', h.id, h.wallet_id, coalesce(e.amount, 0), -t.amount)`,
    ],
    [
      'a capture is a step',
      'h.id IS NOT NULL AND c.steps <> 1',
      `format('hold %s has %s steps for it', h.id, c.steps)`,
    ],
  ],
);

export const HOLD_PASSES: readonly Pass[] = [HOLDS, STEPS, CAPTURES];
