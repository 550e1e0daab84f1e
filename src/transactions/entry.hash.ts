/**
 * Tamper evidence: the entries of a wallet form a hash chain. Each hash covers the entry, its whole transaction, and
 * the hash before it, so a row changed by hand breaks the chain from there on; the wallet keeps the last hash, so the
 * end cannot be cut off either. A wallet is written under its lock anyway: the chain makes nobody wait. It costs 5 % of
 * P1 (5,718 against 6,026 debits/s, six alternating rounds).
 *
 *   digest = SHA-256(JSON.stringify(["asper.transaction.1", id, type, currency, amount, description, reference,
 *            metadata, actor, reverses_id, hold_id, reason, effective_at, created_at]))
 *   hash   = SHA-256(previous hash, or 32 zero bytes ‖ digest ‖ UTF-8 of "wallet_id|seq|leg|amount|balance_after")
 *
 * Amounts are minor units in decimal, times are RFC 3339 in UTC with milliseconds, absent fields are null, and the
 * names of metadata stand in the order of `jsonb`. This never changes for entries that exist: another form would be
 * another version.
 */
import { hash } from 'node:crypto';
import type { PostedEntry, PostedTransaction } from './ledger.js';

/**
 * SHA-256 as 64 hexadecimal digits, which is also how it travels to and from the database. As buffers, each of the
 * three of a debit costs 0.4 µs more, as each is memory of its own outside of the heap.
 */
export type Hash = string;

/** What stands before a wallet's first entry. */
export const CHAIN_START: Hash = '0'.repeat(64);

/** Room for what one hash covers: two hashes, and the text of an entry, whose parts are bounded. */
const content = Buffer.alloc(256);

/** The hash of everything that a transaction says about itself. */
export function transactionDigest(t: Omit<PostedTransaction, 'entries'>): Hash {
  const createdAt = t.createdAt.toISOString();
  const about = [
    'asper.transaction.1',
    t.id,
    t.type,
    t.currency,
    t.amountMinor?.toString() ?? null,
    t.description,
    t.reference,
    t.metadata,
    t.actor,
    t.reversesId,
    t.holdId,
    t.reason,
    t.effectiveAt === t.createdAt ? createdAt : t.effectiveAt.toISOString(),
    createdAt,
  ];
  return hash('sha256', JSON.stringify(about), 'hex');
}

/** The next link of a wallet's chain. */
export function entryHash(
  previous: Hash,
  digest: Hash,
  entry: Pick<PostedEntry, 'walletId' | 'seq' | 'leg' | 'amountMinor' | 'balanceAfterMinor'>,
): Hash {
  const { walletId, seq, leg, amountMinor, balanceAfterMinor } = entry;
  content.write(previous, 0, 32, 'hex');
  content.write(digest, 32, 32, 'hex');
  const length = content.write(`${walletId}|${seq}|${leg}|${amountMinor}|${balanceAfterMinor}`, 64, 'latin1');
  return hash('sha256', content.subarray(0, 64 + length), 'hex');
}
