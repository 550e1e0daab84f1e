/** Wallets with plenty of money, made by SQL because 100,000 through the API would take minutes. */
import type { Client } from 'pg';
import { CHAIN_START, entryHash, transactionDigest, type Hash } from '../src/transactions/entry.hash.js';
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
 * wallets stand where their entries will end before the entries arrive. Hashes and all, so that `asper check` passes.
 */
export async function openWallets(client: Client, count: number, externals: number): Promise<void> {
  const externalId = externalWalletId(CURRENCY, EXTERNAL_STRIPE);
  const at = new Date();
  const { outside, inside } = chains(count, externalId, at);
  await client.query('BEGIN');
  await client.query('SET LOCAL statement_timeout = 0');
  for (let stripe = 0; stripe < externals; stripe++) {
    await client.query(INSERT_EXTERNAL, [externalWalletId(CURRENCY, stripe), CURRENCY, `external:${stripe}`]);
  }
  await client.query(
    `UPDATE wallets SET balance = $2, entry_count = $3, last_hash = decode($4, 'hex'), version = version + 1 WHERE id = $1`,
    [externalId, -OPENING_BALANCE * count, count, outside.at(-1)],
  );
  await client.query(INSERT_WALLETS, [inside, CURRENCY, OPENING_BALANCE]);
  await client.query('SET LOCAL session_replication_role = replica'); // they have no events
  await client.query(INSERT_TRANSACTIONS, [count, CURRENCY, OPENING_BALANCE, at]);
  await client.query('SET LOCAL session_replication_role = origin');
  await client.query(INSERT_ENTRIES, [inside, OPENING_BALANCE, at, externalId, outside]);
  await client.query('COMMIT');
  await client.query('VACUUM (ANALYZE) wallets, transactions, entries');
}

/** The hashes of the opening credits, in the external wallet's chain and each in its own wallet. */
function chains(count: number, externalId: string, at: Date): { outside: Hash[]; inside: Hash[] } {
  const amountMinor = BigInt(OPENING_BALANCE);
  const [outside, inside]: [Hash[], Hash[]] = [[], []];
  for (let i = 0; i < count; i++) {
    const digest = transactionDigest({
      ...{ id: idOf('9000', i), type: 'credit', currency: CURRENCY, amountMinor, actor: 'operator' },
      ...{ description: null, reference: null, metadata: null, reversesId: null, holdId: null, reason: null },
      ...{ effectiveAt: at, createdAt: at },
    });
    const seq = i + 1;
    outside.push(
      entryHash(outside.at(-1) ?? CHAIN_START, digest, {
        ...{
          walletId: externalId,
          seq,
          leg: 0,
          amountMinor: -amountMinor,
          balanceAfterMinor: -amountMinor * BigInt(seq),
        },
      }),
    );
    inside.push(
      entryHash(CHAIN_START, digest, {
        ...{ walletId: idOf('8000', i), seq: 1, leg: 1, amountMinor, balanceAfterMinor: amountMinor },
      }),
    );
  }
  return { outside, inside };
}

const idOf = (kind: string, i: number): string => `01990000-0000-7000-${kind}-${i.toString(16).padStart(12, '0')}`;

const WALLET_ID = `('01990000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid`;
const TRANSACTION_ID = `('01990000-0000-7000-9000-' || lpad(to_hex(i), 12, '0'))::uuid`;

const INSERT_EXTERNAL = `
  INSERT INTO wallets (id, kind, currency, label, status, minimum_balance) VALUES ($1, 'external', $2, $3, 'active', 0)`;

/** Hashes with their place, from 0. */
const FROM_HASHES = `FROM (SELECT decode(hash, 'hex') AS hash, (n - 1)::int AS i FROM unnest($1::text[]) WITH ORDINALITY AS u (hash, n)) h`;

const INSERT_WALLETS = `
  INSERT INTO wallets (id, kind, currency, label, status, balance, credited, minimum_balance, entry_count, last_hash, version)
  SELECT ${WALLET_ID}, 'customer', $2, 'bench ' || i, 'active', $3, $3, 0, 1, hash, 2 ${FROM_HASHES}`;

const INSERT_TRANSACTIONS = `
  INSERT INTO transactions (id, type, currency, amount, actor, effective_at, created_at)
  SELECT ${TRANSACTION_ID}, 'credit', $2, $3, 'operator', $4, $4 FROM generate_series(0, $1::int - 1) i`;

/** Both sides in one statement: that is what the law of zero sum is held against. */
const INSERT_ENTRIES = `
  INSERT INTO entries (wallet_id, seq, transaction_id, leg, amount, balance_after, credited_after, hash, created_at)
  SELECT ${WALLET_ID}, 1, ${TRANSACTION_ID}, 1, $2::bigint, $2::bigint, $2::bigint, hash, $3::timestamptz ${FROM_HASHES}
  UNION ALL
  SELECT $4::uuid, i + 1, ${TRANSACTION_ID}, 0, -$2::bigint, -$2::bigint * (i + 1), 0, hash, $3
    FROM (SELECT decode(hash, 'hex') AS hash, (n - 1)::int AS i FROM unnest($5::text[]) WITH ORDINALITY AS u (hash, n)) h`;
