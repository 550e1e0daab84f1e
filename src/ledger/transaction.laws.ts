/** The laws of transactions as wholes: legs that add up, the shape of each type, reversals within their originals. */
import { passOf, type Pass } from './law.js';

/** Transactions of the wallet that the check is restricted to. */
export const OF_WALLET = (id: string) =>
  `($1::uuid IS NULL OR ${id} IN (SELECT transaction_id FROM entries WHERE wallet_id = $1))`;

const TRANSACTIONS = passOf(
  'transactions',
  't.id::text',
  `FROM (
     SELECT t.id, t.type, t.currency, t.amount, t.hold_id, t.reverses_id, count(e.amount) AS entries,
            count(DISTINCT e.leg) AS legs, sum(e.amount) AS total, coalesce(sum(greatest(e.amount, 0)), 0) AS positive,
            min(w.id::text) FILTER (WHERE w.currency <> t.currency) AS other,
            min(w.currency) <> max(w.currency) AS has_several,
            count(*) FILTER (WHERE w.kind = 'external') AS outside,
            sum(e.amount) FILTER (WHERE w.kind = 'external') AS outside_total
       FROM transactions t
       LEFT JOIN entries e ON e.transaction_id = t.id
       LEFT JOIN wallets w ON w.id = e.wallet_id
      WHERE ${OF_WALLET('t.id')} GROUP BY t.id
   ) t`,
  'true',
  [
    ['a transaction has entries', 't.entries < 2', `format('has %s entries', t.entries)`],
    ['zero sum', 't.currency IS NOT NULL AND t.total <> 0', `format('its entries add up to %s', t.total)`],
    ['legs are distinct', 't.legs <> t.entries', `format('has %s entries on %s legs', t.entries, t.legs)`],
    [
      'the currency is its wallets’',
      't.currency IS NOT NULL AND t.other IS NOT NULL',
      `format('says %s, wallet %s does not', t.currency, t.other)`,
    ],
    [
      'the amount is what came in',
      't.currency IS NOT NULL AND t.amount IS DISTINCT FROM t.positive',
      `format('amount is %s, its entries put in %s', coalesce(t.amount::text, 'null'), t.positive)`,
    ],
    [
      'several currencies have no amount',
      `t.currency IS NULL AND (t.amount IS NOT NULL OR (t.type <> 'reversal' AND t.has_several IS DISTINCT FROM true))`,
      `format('amount is %s and currency null, of entries in %s', coalesce(t.amount::text, 'null'),
              CASE WHEN t.has_several THEN 'several currencies' ELSE 'one currency' END)`,
    ],
    [
      'a type has its shape',
      `CASE t.type WHEN 'credit' THEN t.entries <> 2 OR t.outside <> 1 OR t.outside_total >= 0
                   WHEN 'debit' THEN t.entries <> 2 OR t.outside <> 1 OR t.outside_total <= 0
                   WHEN 'transfer' THEN t.entries <> 2 OR t.outside <> 0
                   WHEN 'journal' THEN t.outside <> 0
                   WHEN 'capture' THEN t.entries <> 2
                   WHEN 'reversal' THEN false ELSE true END`,
      `format('a %s with %s entries, %s of them outside (%s)', t.type, t.entries, t.outside, coalesce(t.outside_total, 0))`,
    ],
    [
      'a type names its cause',
      `(t.type = 'reversal') <> (t.reverses_id IS NOT NULL) OR (t.type = 'capture') <> (t.hold_id IS NOT NULL)`,
      `format('a %s with reverses_id %s and hold_id %s', t.type, coalesce(t.reverses_id::text, 'null'),
              coalesce(t.hold_id::text, 'null'))`,
    ],
  ],
);

const SEVERAL_CURRENCIES: Pass = {
  sql: `SELECT 'zero sum' AS law, 'transactions' AS "table", t.id::text AS row,
               format('its entries in %s add up to %s', w.currency, sum(e.amount)) AS detail
          FROM transactions t JOIN entries e ON e.transaction_id = t.id LEFT JOIN wallets w ON w.id = e.wallet_id
         WHERE t.currency IS NULL AND ${OF_WALLET('t.id')}
         GROUP BY t.id, w.currency HAVING sum(e.amount) <> 0`,
};

const REVERSALS = passOf(
  'transactions',
  't.id::text',
  `FROM transactions t
   LEFT JOIN transactions o ON o.id = t.reverses_id`,
  `t.reverses_id IS NOT NULL AND ${OF_WALLET('t.id')}`,
  [
    ['a reversal has its original', 'o.id IS NULL', `format('there is no transaction %s', t.reverses_id)`],
    ['a reversal is not reversed', `o.type = 'reversal'`, `format('transaction %s is a reversal itself', o.id)`],
    [
      'a reversal follows its original',
      'o.created_at > t.created_at OR o.currency IS DISTINCT FROM t.currency',
      `format('%s at %s, transaction %s has %s at %s', coalesce(t.currency, 'null'), t.created_at, o.id,
              coalesce(o.currency, 'null'), o.created_at)`,
    ],
  ],
);

const REVERSED_LEGS = passOf(
  'transactions',
  'r.reverses_id::text',
  `FROM (
     SELECT t.reverses_id, e.wallet_id, e.leg, sum(e.amount) AS given, min(sign(e.amount)) AS low, max(sign(e.amount)) AS high
       FROM transactions t JOIN entries e ON e.transaction_id = t.id
      WHERE t.reverses_id IS NOT NULL AND ${OF_WALLET('t.reverses_id')} GROUP BY 1, 2, 3
   ) r
   LEFT JOIN entries o ON o.transaction_id = r.reverses_id AND o.wallet_id = r.wallet_id AND o.leg = r.leg`,
  'true',
  [
    [
      'reversals stay within their original',
      'o.amount IS NULL OR abs(r.given) > abs(o.amount) OR r.low <> r.high OR r.low <> -sign(o.amount)',
      `format('leg %s in wallet %s is %s, its reversals gave back %s', r.leg, r.wallet_id,
              coalesce(o.amount::text, 'not there'), r.given)`,
    ],
  ],
);

export const TRANSACTION_PASSES: readonly Pass[] = [TRANSACTIONS, SEVERAL_CURRENCIES, REVERSALS, REVERSED_LEGS];
