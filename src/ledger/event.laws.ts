/** Law 7: an event exists if and only if its transaction does. What is older than the oldest batch is no longer kept. */
import { passOf, type Pass } from './law.js';

/** `seq + 0`: by the index of the wallet's history, the last entry of a transaction would be looked for from its end on. */
const EVENTS = passOf(
  'outbox',
  `e.subject_id || '/' || e.batch || '/' || e.ordinal`,
  `FROM (SELECT * FROM outbox WHERE type = 'transaction.posted' AND ($1::uuid IS NULL OR subject_id = $1)) e
   LEFT JOIN transactions t ON t.id = e.object_id
   LEFT JOIN outbox_batches b ON b.id = e.batch
   LEFT JOIN LATERAL (
     SELECT balance_after FROM entries WHERE transaction_id = e.object_id AND wallet_id = e.subject_id ORDER BY seq + 0 DESC LIMIT 1
   ) entry ON true`,
  'true',
  [
    ['an event has its transaction', 't.id IS NULL', `format('there is no transaction %s', e.object_id)`],
    [
      'an event is of its moment',
      't.created_at IS DISTINCT FROM b.created_at',
      `format('batch %s is of %s, transaction %s of %s', e.batch, b.created_at, t.id, t.created_at)`,
    ],
    [
      'an event says where the wallet stood',
      'entry.balance_after IS DISTINCT FROM e.balance',
      `format('balance is %s, the last entry of transaction %s says %s', e.balance, e.object_id, entry.balance_after)`,
    ],
  ],
);

const TRANSACTIONS = passOf(
  'transactions',
  't.id',
  `FROM transactions t
   LEFT JOIN (SELECT object_id, count(*) FROM outbox WHERE type = 'transaction.posted' AND place = 0 GROUP BY 1) e
     ON e.object_id = t.id`,
  `t.created_at > (SELECT min(created_at) FROM outbox_batches)
     AND ($1::uuid IS NULL OR t.id IN (SELECT transaction_id FROM entries WHERE wallet_id = $1))`,
  [['a transaction has its event', 'e.count IS DISTINCT FROM 1', `format('it has %s events', coalesce(e.count, 0))`]],
);

export const EVENT_PASSES: readonly Pass[] = [EVENTS, TRANSACTIONS];
