/**
 * Tamper evidence: the entries of a wallet form a hash chain. Each hash covers the entry, its whole transaction, and
 * the hash before it, so a row changed by hand breaks the chain from there on; the wallet keeps the last hash, so the
 * end cannot be cut off either. A wallet is written under its lock anyway: the chain makes nobody wait. It costs 5 % of
 * P1 (5,718 against 6,026 debits/s, six alternating rounds); hashes as hexadecimal text were no faster than buffers.
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

/** What stands before a wallet's first entry. */
export const CHAIN_START = Buffer.alloc(32);

/** The hash of everything that a transaction says about itself. */
export function transactionDigest(t: Omit<PostedTransaction, 'entries'>): Buffer {
  const createdAt = t.createdAt.toISOString();
  const content = [
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
  return hash('sha256', JSON.stringify(content), 'buffer');
}

/** The next link of a wallet's chain. */
export function entryHash(
  previous: Buffer,
  digest: Buffer,
  entry: Pick<PostedEntry, 'walletId' | 'seq' | 'leg' | 'amountMinor' | 'balanceAfterMinor'>,
): Buffer {
  const { walletId, seq, leg, amountMinor, balanceAfterMinor } = entry;
  const own = Buffer.from(`${walletId}|${seq}|${leg}|${amountMinor}|${balanceAfterMinor}`);
  return hash('sha256', Buffer.concat([previous, digest, own]), 'buffer');
}
