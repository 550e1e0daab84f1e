import { Check, Column, Entity, Index, PrimaryColumn, VersionColumn } from 'typeorm';
import { minorUnits } from '../money.js';
import type { Metadata } from '../users/user.entity.js';

export const HOLD_STATUSES = ['active', 'captured', 'voided', 'expired'] as const;
/** `active` is the only one that is left again, and each of the others is final. */
export type HoldStatus = (typeof HOLD_STATUSES)[number];
export type HoldAction = 'created' | 'changed' | 'captured' | 'voided' | 'expired';

/** Money of a wallet that is set aside for somebody, until it is captured, voided, or expires. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('holds')
@Index('holds_wallet_id_idx', ['walletId', 'id'])
@Index('holds_active_idx', { synchronize: false })
@Index('holds_expiry_idx', { synchronize: false })
@Check('holds_amount_positive', `amount > 0`)
@Check('holds_captured_not_negative', `captured >= 0`)
@Check('holds_status_known', `status IN ('active', 'captured', 'voided', 'expired')`)
@Check('holds_active_has_rest', `status <> 'active' OR captured < amount`)
export class Hold {
  @PrimaryColumn('uuid')
  id: string;

  @Column('uuid', { name: 'wallet_id' })
  walletId: string;

  /** Minor units set aside in all. */
  @Column('bigint', { transformer: minorUnits })
  amount: bigint;

  /** Minor units taken by captures so far. */
  @Column('bigint', { transformer: minorUnits, default: 0 })
  captured: bigint;

  /** As last written: an `active` one past `expiresAt` has expired, though nothing has recorded it yet. */
  @Column('text')
  status: HoldStatus;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt: Date;

  @Column('text', { nullable: true })
  description: string | null;

  @Column('text', { nullable: true })
  reference: string | null;

  @Column('jsonb', { nullable: true })
  metadata: Metadata | null;

  @Column('text')
  actor: string;

  @VersionColumn()
  version: number;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;

  @Column('timestamptz', { name: 'updated_at' })
  updatedAt: Date;
}

/** One step in the life of a hold, and what the hold was after it. Never updated, never deleted. */
@Entity('hold_changes')
@Check('hold_changes_action_known', `action IN ('created', 'changed', 'captured', 'voided', 'expired')`)
export class HoldChange {
  @PrimaryColumn('uuid', { name: 'hold_id' })
  holdId: string;

  /** The hold's version after the step. */
  @PrimaryColumn('integer')
  version: number;

  @Column('text')
  action: HoldAction;

  @Column('bigint', { transformer: minorUnits })
  amount: bigint;

  @Column('bigint', { transformer: minorUnits })
  captured: bigint;

  @Column('text')
  status: HoldStatus;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt: Date;

  /** The capture, where the step was one. */
  @Column('uuid', { name: 'transaction_id', nullable: true })
  transactionId: string | null;

  @Column('text')
  actor: string;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;
}
