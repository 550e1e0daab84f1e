import {
  Check,
  Column,
  CreateDateColumn,
  Entity,
  ForeignKey,
  Index,
  PrimaryColumn,
  UpdateDateColumn,
  VersionColumn,
  VirtualColumn,
} from 'typeorm';
import { minorUnits } from '../money.js';
import { User, type Metadata } from '../users/user.entity.js';

export const WALLET_STATUSES = ['active', 'frozen', 'closed'] as const;
export type WalletStatus = (typeof WALLET_STATUSES)[number];
/** What a frozen wallet refuses: `debits` lets money in, `all` lets nothing move. */
export const FREEZE_MODES = ['debits', 'all'] as const;
export type FreezeMode = (typeof FREEZE_MODES)[number];
/** `external` wallets stand for the world outside: the other side of every credit and debit, without a floor. */
export type WalletKind = 'customer' | 'external';

/** What has expired and not been released yet; looked up only where something can have. */
export function expiredHeldSql(wallet: string): string {
  return `CASE WHEN ${wallet}.holds_expire_at <= clock_now() THEN (
    SELECT coalesce(sum(h.amount - h.captured), 0) FROM holds h
     WHERE h.wallet_id = ${wallet}.id AND h.status = 'active' AND h.expires_at <= clock_now()) ELSE 0 END`;
}

/** Money of one currency with one owner. Only `transactions/` writes its balance. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('wallets')
@Index('wallets_user_id_idx', { synchronize: false })
@Check('wallets_kind_known', `kind IN ('customer', 'external')`)
@Check('wallets_currency_shape', `currency ~ '^[A-Z]{3}$'`)
@Check('wallets_status_known', `status IN ('active', 'frozen', 'closed')`)
@Check('wallets_held_not_negative', `held >= 0`)
@Check('wallets_floor_holds', `kind = 'external' OR entry_count = 0 OR balance - held >= minimum_balance - shortfall`)
@Check('wallets_shortfall_not_negative', `shortfall >= 0`)
@Check('wallets_freeze_mode_known', `freeze_mode IN ('debits', 'all')`)
@Check('wallets_frozen_has_mode', `(status = 'frozen') = (freeze_mode IS NOT NULL)`)
@Check('wallets_closed_is_empty', `status <> 'closed' OR (balance = 0 AND held = 0)`)
@Check('wallets_empty_without_entries', `entry_count > 0 OR balance = 0`)
export class Wallet {
  @PrimaryColumn('uuid')
  id: string;

  /** Null for wallets of the house and of the system. */
  @ForeignKey(() => User, { name: 'wallets_user_fkey' })
  @Column('uuid', { name: 'user_id', nullable: true })
  userId: string | null;

  @Column('text')
  kind: WalletKind;

  @Column('text')
  currency: string;

  @Column('text')
  label: string;

  @Column('text')
  status: WalletStatus;

  /** Minor units: the sum of the wallet's entries, and the `balance_after` of the last one. */
  @Column('bigint', { transformer: minorUnits, default: 0 })
  balance: bigint;

  /** Minor units: all that ever came in. */
  @Column('bigint', { transformer: minorUnits, default: 0 })
  credited: bigint;

  /** Minor units reserved by holds, also by those that have expired since the wallet last moved. */
  @Column('bigint', { transformer: minorUnits, default: 0 })
  held: bigint;

  /** Minor units of `held` whose holds have expired: they no longer count. */
  @VirtualColumn({ type: 'bigint', transformer: minorUnits, query: expiredHeldSql })
  expired: bigint;

  /** No hold expires before; null where nothing is held. */
  @Column('timestamptz', { name: 'holds_expire_at', nullable: true })
  holdsExpireAt: Date | null;

  /** Minor units: `balance - held` stays at or above it after every posting. Negative is a credit line. */
  @Column('bigint', { name: 'minimum_balance', transformer: minorUnits })
  minimumBalance: bigint;

  /** Minor units by which reversals have taken the wallet under its minimum. No debit passes until it is zero. */
  @Column('bigint', { transformer: minorUnits, default: 0 })
  shortfall: bigint;

  /** Minor units: who falls under it with what is available is told of. */
  @Column('bigint', { name: 'low_balance_threshold', transformer: minorUnits, nullable: true })
  lowBalanceThreshold: bigint | null;

  /** Number of entries, which is also the `seq` of the last one. */
  @Column('bigint', { name: 'entry_count', default: 0, transformer: { to: (n: number) => n, from: Number } })
  entryCount: number;

  /** Hash of the last entry: the end of the wallet's chain. */
  @Column('bytea', { name: 'last_hash', nullable: true })
  lastHash: Buffer | null;

  @Column('text', { name: 'freeze_mode', nullable: true })
  freezeMode: FreezeMode | null;

  /** Whether `wallet_limits` has a row for it. */
  @Column('boolean', { default: false })
  limited: boolean;

  @Column('jsonb', { nullable: true })
  metadata: Metadata | null;

  /** Counts postings and changes; it is the ETag, and the guard of every update. */
  @VersionColumn({ default: 1 })
  version: number;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @UpdateDateColumn({ name: 'updated_at', type: 'timestamptz' })
  updatedAt: Date;
}

/**
 * Holds "one wallet per owner, currency and label". It is a table of its own because on a distributed database
 * `wallets` is spread by id, where no unique constraint can span owner, currency and label.
 */
@Entity('wallet_names')
export class WalletName {
  /** The user, or {@link NO_OWNER} for a wallet of the house. */
  @PrimaryColumn('uuid', { name: 'owner_id' })
  ownerId: string;

  @PrimaryColumn('text')
  currency: string;

  @PrimaryColumn('text')
  label: string;

  @Column('uuid', { name: 'wallet_id' })
  walletId: string;
}

/** The owner of wallets without a user: the nil UUID, as a primary key takes no null. */
export const NO_OWNER = '00000000-0000-0000-0000-000000000000';
