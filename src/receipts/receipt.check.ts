/** `asper check --receipt`: does the ledger still say what it said when a receipt was signed? */
import type { DataSource } from 'typeorm';
import { readFileSync } from 'node:fs';
import { UsageError } from '../usage-error.js';
import { verifyJws, type PublicJwk } from './jws.js';
import type { ReceiptBody } from './receipts.dto.js';
import { RECEIPT_TYPE } from './receipts.service.js';

/** Reads a stored receipt: the answer of the service, or its `jws` alone. @throws {UsageError} */
export function readReceipt(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) return text;
  try {
    const { jws } = JSON.parse(text);
    if (typeof jws === 'string') return jws;
  } catch {
    // Not JSON: the same mistake.
  }
  throw new UsageError(`${file} holds no receipt: neither the JSON that the service answered nor its jws.`);
}

/**
 * Holds a receipt against the ledger. The hash covers the entry, its transaction and all entries before it.
 * @returns what is wrong, one sentence; nothing where ledger and receipt agree.
 */
export async function receiptMismatch(
  dataSource: DataSource,
  jws: string,
  keys: readonly PublicJwk[],
): Promise<string | undefined> {
  const receipt = verifyJws(jws, RECEIPT_TYPE, keys) as ReceiptBody | undefined;
  if (!receipt) return 'the receipt is not signed with a key of this service (RECEIPT_KEY, RECEIPT_KEYS_RETIRED)';
  const { wallet_id, seq, hash, previous_hash } = receipt;
  const [row] = await dataSource.query(
    `SELECT encode(e.hash, 'hex') AS hash, encode(p.hash, 'hex') AS previous_hash
       FROM entries e LEFT JOIN entries p ON p.wallet_id = e.wallet_id AND p.seq = e.seq - 1
      WHERE e.wallet_id = $1 AND e.seq = $2`,
    [wallet_id, seq],
  );
  const entry = `entry ${wallet_id}/${seq}`;
  if (!row) return `${entry} is gone from the ledger`;
  if (row.hash !== hash) return `${entry} has hash ${row.hash}, the receipt of ${receipt.issued_at} says ${hash}`;
  if ((row.previous_hash ?? '0'.repeat(64)) !== previous_hash) return `${entry} follows another entry than it did`;
  return undefined;
}
