/** Wallets with plenty of money, made by SQL because 100,000 through the API would take minutes. */
import type { Client } from 'pg';
import { externalWalletId } from '../src/wallets/external-wallets.js';

export const CURRENCY = 'INR';
/** The stripe that the measured service runs with. */
export const EXTERNAL_STRIPE = 0;
/** The peer takes one of these at random, so that it is not measured waiting for a single row. */
export const PEER_STRIPES = 256;
/** Minor units: 100 million INR; no run comes near it. */
const OPENING_BALANCE = 10_000_000_000;

/**
 * Opens `count` wallets and credits each from outside, in one database transaction that obeys the triggers: the
 * wallets stand where their entries will end before the entries arrive.
 */
export async function openWallets(client: Client, count: number, externals: number): Promise<void> {
  const externalId = externalWalletId(CURRENCY, EXTERNAL_STRIPE);
  await client.query('BEGIN');
  await client.query('SET LOCAL statement_timeout = 0');
  for (let stripe = 0; stripe < externals; stripe++) {
    await client.query(INSERT_EXTERNAL, [externalWalletId(CURRENCY, stripe), CURRENCY, `external:${stripe}`]);
  }
  await client.query('UPDATE wallets SET balance = $2, entry_count = $3, version = version + 1 WHERE id = $1', [
    externalId,
    -OPENING_BALANCE * count,
    count,
  ]);
  await client.query(INSERT_WALLETS, [count, CURRENCY, OPENING_BALANCE]);
  await client.query(INSERT_TRANSACTIONS, [count, CURRENCY, OPENING_BALANCE]);
  await client.query(INSERT_ENTRIES, [count, OPENING_BALANCE, externalId]);
  await client.query('COMMIT');
  await client.query('VACUUM (ANALYZE) wallets, transactions, entries');
}

const WALLET_ID = `('01990000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid`;
const TRANSACTION_ID = `('01990000-0000-7000-9000-' || lpad(to_hex(i), 12, '0'))::uuid`;

const INSERT_EXTERNAL = `
  INSERT INTO wallets (id, kind, currency, label, status, minimum_balance) VALUES ($1, 'external', $2, $3, 'active', 0)`;

const INSERT_WALLETS = `
  INSERT INTO wallets (id, kind, currency, label, status, balance, minimum_balance, entry_count, version)
  SELECT ${WALLET_ID}, 'customer', $2, 'bench ' || i, 'active', $3, 0, 1, 2 FROM generate_series(0, $1::int - 1) i`;

const INSERT_TRANSACTIONS = `
  INSERT INTO transactions (id, type, currency, amount, actor, effective_at, created_at)
  SELECT ${TRANSACTION_ID}, 'credit', $2, $3, 'operator', now(), now() FROM generate_series(0, $1::int - 1) i`;

const INSERT_ENTRIES = `
  INSERT INTO entries (wallet_id, seq, transaction_id, amount, balance_after, created_at)
  SELECT ${WALLET_ID}, 1, ${TRANSACTION_ID}, $2::bigint, $2::bigint, now() FROM generate_series(0, $1::int - 1) i
  UNION ALL
  SELECT $3, i + 1, ${TRANSACTION_ID}, -$2::bigint, -$2::bigint * (i + 1), now() FROM generate_series(0, $1::int - 1) i`;
