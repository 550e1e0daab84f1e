/** Receipts: an entry with its transaction and its place in the wallet's chain, signed. docs/receipts.md says what for. */
import { Inject, Injectable } from '@nestjs/common';
import assert from 'node:assert';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import { formatAmount } from '../money.js';
import { CHAIN_START, entryHash, transactionDigest } from '../transactions/entry.hash.js';
import { transactionOf } from '../transactions/transactions.queries.js';
import { WalletsService } from '../wallets/wallets.service.js';
import { signJws } from './jws.js';
import { ReceiptKeys } from './receipt.keys.js';
import type { ReceiptBody, ReceiptKeysBody, SignedReceiptBody } from './receipts.dto.js';

/** The `typ` of a receipt's JWS. */
export const RECEIPT_TYPE = 'asper-receipt+jws';

@Injectable()
export class ReceiptsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wallets: WalletsService,
    private readonly keys: ReceiptKeys,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** @throws {Problem} `wallet_not_found`, `entry_not_found`, `receipts_not_configured` */
  async receipt(walletId: string, seq: number): Promise<SignedReceiptBody> {
    const { currency } = await this.wallets.read(walletId);
    const [row]: RawRow[] = await this.dataSource.query(SELECT_ENTRY, [walletId, seq]);
    if (!row) throw new Problem('entry_not_found', `Wallet ${walletId} has no entry ${seq}.`);
    assertChained(row);
    const key = await this.keys.privateKey();
    const receipt = receiptBody(row, currency, this.config.receiptIssuer);
    return { receipt, jws: signJws(receipt, RECEIPT_TYPE, key) };
  }

  async publicKeys(): Promise<ReceiptKeysBody> {
    return { keys: await this.keys.publicKeys() };
  }
}

/** What does not follow from its own rows is never signed: a receipt for a row changed by hand would prove a lie. */
function assertChained(row: RawRow): void {
  const digest = transactionDigest(transactionOf(row));
  const expected = entryHash(row.previous_hash ?? CHAIN_START, digest, {
    walletId: row.wallet_id,
    seq: Number(row.seq),
    leg: row.leg,
    amountMinor: BigInt(row.entry_amount),
    balanceAfterMinor: BigInt(row.balance_after),
  });
  assert(expected === row.hash, `entry ${row.wallet_id}/${row.seq} does not follow from its rows: run asper check`);
}

function receiptBody(row: RawRow, currency: string, issuer: string): ReceiptBody {
  return {
    form: 'asper.receipt.1',
    issuer,
    issued_at: new Date().toISOString(),
    wallet_id: row.wallet_id,
    seq: Number(row.seq),
    leg: row.leg,
    currency,
    amount: formatAmount(BigInt(row.entry_amount), currency),
    balance_after: formatAmount(BigInt(row.balance_after), currency),
    transaction: {
      id: row.id,
      type: row.type,
      currency: row.currency,
      amount: row.amount === null ? null : formatAmount(BigInt(row.amount), row.currency),
      description: row.description,
      reference: row.reference,
      metadata: row.metadata,
      actor: row.actor,
      reverses_id: row.reverses_id,
      hold_id: row.hold_id,
      reason: row.reason,
      effective_at: row.effective_at.toISOString(),
      created_at: row.created_at.toISOString(),
    },
    previous_hash: row.previous_hash ?? CHAIN_START,
    hash: row.hash,
  };
}

const SELECT_ENTRY = `
  SELECT t.*, e.wallet_id, e.seq, e.leg, e.amount AS entry_amount, e.balance_after, encode(e.hash, 'hex') AS hash,
         (SELECT encode(hash, 'hex') FROM entries WHERE wallet_id = e.wallet_id AND seq = e.seq - 1) AS previous_hash
    FROM entries e JOIN transactions t ON t.id = e.transaction_id
   WHERE e.wallet_id = $1 AND e.seq = $2`;
