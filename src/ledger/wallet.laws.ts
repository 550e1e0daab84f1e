/** The laws of wallets, their names, states and limits, as SQL over the rows alone. */
import { dayStartSql } from '../time-zone.js';
import { passOf, type Pass } from './law.js';

const WALLETS = passOf(
  'wallets',
  'w.id::text',
  `FROM wallets w
   LEFT JOIN LATERAL (
     SELECT seq, balance_after, credited_after, hash FROM entries WHERE wallet_id = w.id ORDER BY seq DESC LIMIT 1
   ) e ON true
   LEFT JOIN LATERAL (
     SELECT coalesce(sum(amount - captured), 0) AS held, min(expires_at) AS expires_at
       FROM holds WHERE wallet_id = w.id AND status = 'active' OFFSET 0
   ) h ON true
   CROSS JOIN LATERAL (SELECT w.status || coalesce(' ' || w.freeze_mode, '') AS here) state
   LEFT JOIN LATERAL (
     -- Two changes of one group have one time; either may be the last.
     SELECT array_agg(status || coalesce(' ' || freeze_mode, '')) AS last FROM wallet_status_changes
      WHERE wallet_id = w.id
        AND created_at = (SELECT max(created_at) FROM wallet_status_changes WHERE wallet_id = w.id) OFFSET 0
   ) s ON true
   LEFT JOIN wallet_limits l ON l.wallet_id = w.id
   LEFT JOIN users u ON u.id = w.user_id`,
  '$1::uuid IS NULL OR w.id = $1',
  [
    [
      'balance is history',
      'w.balance <> coalesce(e.balance_after, 0)',
      `format('balance is %s, its last entry says %s', w.balance, coalesce(e.balance_after, 0))`,
    ],
    [
      'credited is history',
      'w.credited <> coalesce(e.credited_after, 0)',
      `format('credited is %s, its last entry says %s', w.credited, coalesce(e.credited_after, 0))`,
    ],
    [
      'every entry is counted',
      'w.entry_count <> coalesce(e.seq, 0)',
      `format('entry_count is %s, its last entry has seq %s', w.entry_count, coalesce(e.seq, 0))`,
    ],
    [
      'the chain has its end',
      'w.last_hash IS DISTINCT FROM e.hash',
      `format('last_hash is %s, its last entry has %s', coalesce(encode(w.last_hash, 'hex'), 'null'),
              coalesce(encode(e.hash, 'hex'), 'no hash'))`,
    ],
    [
      'the floor holds',
      `w.kind = 'customer' AND w.entry_count > 0 AND w.balance - w.held < w.minimum_balance - w.shortfall`,
      `format('available is %s, the minimum balance %s and the shortfall %s', w.balance - w.held, w.minimum_balance,
              w.shortfall)`,
    ],
    [
      'a shortfall is what is missing',
      `w.kind = 'customer' AND w.shortfall > 0
        AND (w.entry_count = 0 OR w.shortfall <> greatest(w.minimum_balance - (w.balance - w.held), 0))`,
      `format('shortfall is %s, the minimum balance %s and available %s', w.shortfall, w.minimum_balance, w.balance - w.held)`,
    ],
    ['held is holds', 'w.held <> h.held', `format('held is %s, its active holds add up to %s', w.held, h.held)`],
    [
      'expiry is noticed',
      'h.held > 0 AND (w.holds_expire_at IS NULL OR w.holds_expire_at > h.expires_at)',
      `format('holds_expire_at is %s, its first hold expires at %s', coalesce(w.holds_expire_at::text, 'null'),
              h.expires_at)`,
    ],
    [
      'closed is empty',
      `w.status = 'closed' AND (w.balance <> 0 OR w.held <> 0)`,
      `format('closed with balance %s and held %s', w.balance, w.held)`,
    ],
    [
      'frozen says how',
      `(w.status = 'frozen') <> (w.freeze_mode IS NOT NULL)`,
      `format('status is %s and freeze_mode %s', w.status, coalesce(w.freeze_mode, 'null'))`,
    ],
    [
      'status is history',
      `NOT state.here = ANY (coalesce(s.last, ARRAY['active']))`,
      `format('status is %s, its last change says %s', state.here, coalesce(array_to_string(s.last, ' or '), 'active'))`,
    ],
    [
      'limits are known',
      'w.limited <> (l.wallet_id IS NOT NULL)',
      `format('limited is %s, and wallet_limits has %s row', w.limited, CASE WHEN l.wallet_id IS NULL THEN 'no' ELSE 'a' END)`,
    ],
    ['a wallet has its user', 'w.user_id IS NOT NULL AND u.id IS NULL', `format('there is no user %s', w.user_id)`],
    [
      'system wallets have no terms',
      `w.kind = 'external' AND (w.user_id IS NOT NULL OR w.held <> 0 OR w.minimum_balance <> 0 OR w.shortfall <> 0
        OR w.status <> 'active')`,
      `format('external with owner %s, held %s, minimum balance %s, shortfall %s, status %s',
              coalesce(w.user_id::text, 'null'), w.held, w.minimum_balance, w.shortfall, w.status)`,
    ],
  ],
);

/** Entries whose wallet is gone: found from the other side, as no wallet's pass reaches them. */
const ORPHANS: Pass = {
  sql: `SELECT 'an entry has a wallet' AS law, 'entries' AS "table", e.wallet_id || '/' || min(e.seq) AS row,
               format('%s entries of a wallet that is not there', count(*)) AS detail
          FROM entries e
         WHERE ($1::uuid IS NULL OR e.wallet_id = $1) AND NOT EXISTS (SELECT FROM wallets WHERE id = e.wallet_id)
         GROUP BY e.wallet_id`,
};

/** The nil UUID stands for the house, which has no row in `users`. */
const NAMES = passOf(
  'wallet_names',
  `coalesce(n.owner_id::text || '/' || n.currency || '/' || n.label, w.owner_id::text || '/' || w.currency || '/' || w.label)`,
  `FROM (
     SELECT id, currency, label, coalesce(user_id, '00000000-0000-0000-0000-000000000000') AS owner_id
       FROM wallets WHERE kind = 'customer' AND ($1::uuid IS NULL OR id = $1)
   ) w
   FULL JOIN (SELECT * FROM wallet_names WHERE $1::uuid IS NULL OR wallet_id = $1) n ON n.wallet_id = w.id`,
  'true',
  [
    ['a wallet has its name', 'n.wallet_id IS NULL', `format('wallet %s has no row', w.id)`],
    ['a name has its wallet', 'w.id IS NULL', `format('there is no customer wallet %s', n.wallet_id)`],
    [
      'a name is its wallet’s',
      '(n.owner_id, n.currency, n.label) <> (w.owner_id, w.currency, w.label)',
      `format('wallet %s is %s/%s/%s', w.id, w.owner_id, w.currency, w.label)`,
    ],
  ],
);

const STATUS_CHANGES = passOf(
  'wallet_status_changes',
  `c.wallet_id || '/' || c.id`,
  `FROM (
     SELECT *, lag(status) OVER (PARTITION BY wallet_id ORDER BY created_at, id) AS status_before,
            lag(created_at) OVER (PARTITION BY wallet_id ORDER BY created_at, id) AS created_before
       FROM wallet_status_changes WHERE $1::uuid IS NULL OR wallet_id = $1
   ) c
   LEFT JOIN wallets w ON w.id = c.wallet_id
   LEFT JOIN transactions t ON t.id = c.transaction_id
   LEFT JOIN LATERAL (
     SELECT sum(amount) AS amount FROM entries WHERE wallet_id = c.wallet_id AND transaction_id = t.id OFFSET 0
   ) e ON true`,
  'true',
  [
    [
      'states follow one another',
      // Within one group the ids need not stand in the order in which it was decided.
      `c.created_at IS DISTINCT FROM c.created_before AND (c.status_before = 'closed'
        OR (c.status = 'active' AND c.status_before IS DISTINCT FROM 'frozen'))`,
      `format('%s after %s', c.status, coalesce(c.status_before, 'nothing'))`,
    ],
    ['a change has its wallet', 'w.id IS NULL', `format('there is no wallet %s', c.wallet_id)`],
    [
      'a sweep is a transfer of its closing',
      `c.transaction_id IS NOT NULL AND (t.id IS NULL OR t.type <> 'transfer' OR c.status <> 'closed'
        OR t.created_at <> c.created_at OR t.actor <> c.actor OR coalesce(e.amount, 0) >= 0)`,
      `format('%s at %s with transaction %s, which is %s at %s', c.status, c.created_at, c.transaction_id,
              coalesce(t.type, 'not there'), t.created_at)`,
    ],
  ],
);

/** What is used of limits, for the day and the month that the row is about. */
function limits(timeZone: string): Pass {
  const pass = passOf(
    'wallet_limits',
    'l.wallet_id::text',
    `FROM wallet_limits l
     LEFT JOIN wallets w ON w.id = l.wallet_id
     CROSS JOIN LATERAL (
       SELECT coalesce(sum(d.amount) FILTER (WHERE d.day = l.day), 0) AS day_total,
              count(DISTINCT d.transaction_id) FILTER (WHERE d.day = l.day) AS day_count,
              coalesce(sum(d.amount) FILTER (WHERE date_trunc('month', d.day) = l.month), 0) AS month_total,
              count(DISTINCT d.transaction_id) FILTER (WHERE date_trunc('month', d.day) = l.month) AS month_count
         FROM (SELECT -e.amount AS amount, e.transaction_id, (e.created_at AT TIME ZONE $2)::date AS day
                 FROM entries e JOIN transactions t ON t.id = e.transaction_id
                WHERE e.wallet_id = l.wallet_id AND e.amount < 0 AND t.type <> 'reversal'
                  AND e.seq > entries_before(l.wallet_id, ${dayStartSql('l.month', '$2')}, false)
                  AND NOT EXISTS (SELECT FROM wallet_status_changes c
                                   WHERE c.wallet_id = e.wallet_id AND c.transaction_id = t.id)) d
     ) used`,
    '$1::uuid IS NULL OR l.wallet_id = $1',
    [
      ['a limit has its wallet', 'w.id IS NULL', `format('there is no wallet %s', l.wallet_id)`],
      [
        'limits count what left',
        '(l.day_total, l.day_count, l.month_total, l.month_count) <> (used.day_total, used.day_count, used.month_total, used.month_count)',
        `format('says %s in %s on %s and %s in %s in the month of %s; the entries say %s in %s and %s in %s (days of %s)',
                l.day_total, l.day_count, l.day, l.month_total, l.month_count, l.month,
                used.day_total, used.day_count, used.month_total, used.month_count, $2)`,
      ],
    ],
  );
  return { ...pass, values: [timeZone] };
}

/** @param timeZone where the days of limits begin. */
export function walletPasses(timeZone: string): Pass[] {
  return [WALLETS, ORPHANS, NAMES, STATUS_CHANGES, limits(timeZone)];
}
