import { Column, Entity, PrimaryColumn } from 'typeorm';
import { minorUnits } from '../money.js';
import type { FreezeMode, WalletStatus } from '../wallets/wallet.entity.js';

/** A wallet was frozen, unfrozen or closed: who, when and why. Never updated, never deleted. */
@Entity('wallet_status_changes')
export class WalletStatusChange {
  @PrimaryColumn('uuid', { name: 'wallet_id' })
  walletId: string;

  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  status: WalletStatus;

  @Column('text', { name: 'freeze_mode', nullable: true })
  freezeMode: FreezeMode | null;

  @Column('text')
  reason: string;

  @Column('text')
  actor: string;

  /** The transfer that took the rest, where a closing had one. */
  @Column('uuid', { name: 'transaction_id', nullable: true })
  transactionId: string | null;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;
}

/** The limits of a wallet and what is used of them. Amounts in minor units; null is no limit. */
@Entity('wallet_limits')
export class WalletLimits {
  @PrimaryColumn('uuid', { name: 'wallet_id' })
  walletId: string;

  @Column('bigint', { name: 'daily_total_max', transformer: minorUnits, nullable: true })
  dailyTotalMax: bigint | null;

  @Column('integer', { name: 'daily_count_max', nullable: true })
  dailyCountMax: number | null;

  @Column('bigint', { name: 'monthly_total_max', transformer: minorUnits, nullable: true })
  monthlyTotalMax: bigint | null;

  @Column('integer', { name: 'monthly_count_max', nullable: true })
  monthlyCountMax: number | null;

  /** The day that `dayTotal` and `dayCount` are about; on another day they are zero. */
  @Column('date')
  day: string;

  @Column('bigint', { name: 'day_total', transformer: minorUnits, default: 0 })
  dayTotal: bigint;

  @Column('integer', { name: 'day_count', default: 0 })
  dayCount: number;

  /** The first day of the month that `monthTotal` and `monthCount` are about. */
  @Column('date')
  month: string;

  @Column('bigint', { name: 'month_total', transformer: minorUnits, default: 0 })
  monthTotal: bigint;

  @Column('integer', { name: 'month_count', default: 0 })
  monthCount: number;
}
