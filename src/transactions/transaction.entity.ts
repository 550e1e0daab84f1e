import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { minorUnits } from '../money.js';
import type { Metadata } from '../users/user.entity.js';

/** `journal` is a posting of many legs, `capture` takes what a hold reserved, `reversal` undoes another. */
export const TRANSACTION_TYPES = ['credit', 'debit', 'transfer', 'journal', 'capture', 'reversal'] as const;
export type TransactionType = (typeof TRANSACTION_TYPES)[number];

/** One movement of money. Never updated, never deleted: a trigger refuses both. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('transactions')
@Index('transactions_reference_idx', { synchronize: false })
@Index('transactions_metadata_idx', { synchronize: false })
@Index('transactions_reverses_id_idx', { synchronize: false })
@Index('transactions_hold_id_idx', { synchronize: false })
@Index('transactions_created_at_idx', ['createdAt'])
@Index('transactions_effective_at_idx', { synchronize: false })
@Index('transactions_rare_types_idx', { synchronize: false })
@Check('transactions_type_known', `type IN ('credit', 'debit', 'transfer', 'journal', 'capture', 'reversal')`)
@Check('transactions_amount_has_currency', `(amount IS NULL) = (currency IS NULL)`)
@Check('transactions_reversal_names_original', `(type = 'reversal') = (reverses_id IS NOT NULL)`)
@Check('transactions_capture_names_hold', `(type = 'capture') = (hold_id IS NOT NULL)`)
@Check('transactions_amount_positive', `amount > 0`)
export class Transaction {
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  type: TransactionType;

  /** Null where the legs have several. */
  @Column('text', { nullable: true })
  currency: string | null;

  /** Minor units, positive: what came into wallets. Null where the legs have several currencies. */
  @Column('bigint', { transformer: minorUnits, nullable: true })
  amount: bigint | null;

  @Column('text', { nullable: true })
  description: string | null;

  @Column('text', { nullable: true })
  reference: string | null;

  @Column('jsonb', { nullable: true })
  metadata: Metadata | null;

  /** Who asked for it. */
  @Column('text')
  actor: string;

  @Column('uuid', { name: 'reverses_id', nullable: true })
  reversesId: string | null;

  @Column('uuid', { name: 'hold_id', nullable: true })
  holdId: string | null;

  /** Why a reversal was made. */
  @Column('text', { nullable: true })
  reason: string | null;

  /** When it counts for the business; the caller may date it back or ahead. */
  @Column('timestamptz', { name: 'effective_at' })
  effectiveAt: Date;

  /** When it was posted, by the database's clock. */
  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;
}

/** One side of a transaction in one wallet. Never updated, never deleted. */
@Entity('entries')
@Index('entries_transaction_id_idx', ['transactionId'])
@Index('entries_effective_at_idx', { synchronize: false })
@Check('entries_seq_positive', `seq > 0`)
@Check('entries_amount_not_zero', `amount <> 0`)
export class Entry {
  @PrimaryColumn('uuid', { name: 'wallet_id' })
  walletId: string;

  /** 1, 2, 3, … within the wallet, without a gap. */
  @PrimaryColumn('bigint', { transformer: { to: (n: number) => n, from: Number } })
  seq: number;

  @Column('uuid', { name: 'transaction_id' })
  transactionId: string;

  /** Place among the legs of the transaction, from 0. */
  @Column('smallint')
  leg: number;

  /** Minor units, signed: what came in is positive. */
  @Column('bigint', { transformer: minorUnits })
  amount: bigint;

  /** Minor units: the wallet's balance right after this entry. */
  @Column('bigint', { name: 'balance_after', transformer: minorUnits })
  balanceAfter: bigint;

  /** Minor units: all that had come into the wallet by then. */
  @Column('bigint', { name: 'credited_after', transformer: minorUnits })
  creditedAfter: bigint;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;

  /** The transaction's, where it differs from the posting time. */
  @Column('timestamptz', { name: 'effective_at', nullable: true })
  effectiveAt: Date | null;

  /** See entry.hash.ts. */
  @Column('bytea')
  hash: Buffer;
}
