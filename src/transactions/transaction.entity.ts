import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { minorUnits } from '../money.js';
import type { Metadata } from '../users/user.entity.js';

export const TRANSACTION_TYPES = ['credit', 'debit', 'transfer'] as const;
export type TransactionType = (typeof TRANSACTION_TYPES)[number];

/** One movement of money. Never updated, never deleted: a trigger refuses both. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('transactions')
@Index('transactions_reference_idx', { synchronize: false })
@Index('transactions_metadata_idx', { synchronize: false })
@Check('transactions_type_known', `type IN ('credit', 'debit', 'transfer')`)
@Check('transactions_amount_positive', `amount > 0`)
export class Transaction {
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  type: TransactionType;

  @Column('text')
  currency: string;

  /** Minor units, positive. */
  @Column('bigint', { transformer: minorUnits })
  amount: bigint;

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

  /** Minor units, signed: what came in is positive. */
  @Column('bigint', { transformer: minorUnits })
  amount: bigint;

  /** Minor units: the wallet's balance right after this entry. */
  @Column('bigint', { name: 'balance_after', transformer: minorUnits })
  balanceAfter: bigint;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;
}
