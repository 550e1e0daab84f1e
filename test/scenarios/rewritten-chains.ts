/** What somebody does who knows how the chain is made: all hashes anew, to the end of every wallet. */
import { CHAIN_START, entryHash, transactionDigest } from '../../src/transactions/entry.hash.js';
import type { TestDatabase } from '../support/service.js';

export async function rewriteChains(database: TestDatabase): Promise<void> {
  const rows = await database.query(
    `SELECT t.*, e.wallet_id, e.seq, e.leg, e.amount AS entry_amount, e.balance_after
       FROM entries e JOIN transactions t ON t.id = e.transaction_id ORDER BY e.wallet_id, e.seq`,
  );
  let last = { walletId: '', hash: CHAIN_START };
  for (const row of rows) {
    const digest = transactionDigest({
      ...{ id: row.id, type: row.type, currency: row.currency, description: row.description, reference: row.reference },
      ...{ metadata: row.metadata, actor: row.actor, reversesId: row.reverses_id, holdId: row.hold_id },
      ...{ reason: row.reason, effectiveAt: row.effective_at, createdAt: row.created_at },
      amountMinor: row.amount === null ? null : BigInt(row.amount),
    });
    const previous = row.wallet_id === last.walletId ? last.hash : CHAIN_START;
    const hash = entryHash(previous, digest, {
      ...{ walletId: row.wallet_id, seq: Number(row.seq), leg: row.leg },
      ...{ amountMinor: BigInt(row.entry_amount), balanceAfterMinor: BigInt(row.balance_after) },
    });
    last = { walletId: row.wallet_id, hash };
    await database.query(`UPDATE entries SET hash = decode($1, 'hex') WHERE wallet_id = $2 AND seq = $3`, [
      ...[hash, row.wallet_id, row.seq],
    ]);
  }
  await database.query(
    'UPDATE wallets w SET last_hash = e.hash FROM entries e WHERE e.wallet_id = w.id AND e.seq = w.entry_count',
  );
}
