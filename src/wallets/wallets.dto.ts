import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { formatAmount, type AmountInput } from '../money.js';
import { PageQuery } from '../paging.js';
import type { Metadata } from '../users/user.entity.js';
import { API_METADATA } from '../users/users.dto.js';
import { IsCurrency, IsFlag, IsId, IsMetadata, IsSignedAmount, IsText, MayBeAbsent, MayBeNull } from '../validation.js';
import { FREEZE_MODES, WALLET_STATUSES, type FreezeMode, type Wallet, type WalletStatus } from './wallet.entity.js';

export const WALLET_EXAMPLE_ID = '0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90';
const LABEL = { description: 'Tells the wallets of one owner and currency apart.', maxLength: 100, example: 'main' };
const FLOOR = {
  oneOf: [{ type: 'string' }, { type: 'number' }],
  description: 'What must stay available after every debit. Negative: a credit line.',
  example: '0.00',
};

export class OpenWalletDto {
  @ApiPropertyOptional({
    format: 'uuid',
    description: 'The owner. Left out: a wallet of the house, which then needs a label.',
    example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11',
  })
  @MayBeAbsent()
  @IsId()
  user_id?: string;

  @ApiPropertyOptional({ description: 'ISO 4217; by default the one of the service.', example: 'INR' })
  @MayBeAbsent()
  @IsCurrency()
  currency?: string;

  @ApiPropertyOptional(LABEL)
  @MayBeAbsent()
  @IsText(100)
  label?: string;

  @ApiPropertyOptional({ ...FLOOR, description: `${FLOOR.description} By default the one of the service.` })
  @MayBeAbsent()
  @IsSignedAmount()
  minimum_balance?: AmountInput;

  @ApiPropertyOptional({
    oneOf: [{ type: 'string' }, { type: 'number' }],
    description: 'Whenever what is available falls under it, there is an event `wallet.below_threshold`.',
    example: '50.00',
  })
  @MayBeAbsent()
  @IsSignedAmount()
  low_balance_threshold?: AmountInput;

  @ApiPropertyOptional(API_METADATA)
  @MayBeAbsent()
  @IsMetadata()
  metadata?: Metadata;
}

export class ChangeWalletDto {
  @ApiPropertyOptional(LABEL)
  @MayBeAbsent()
  @IsText(100)
  label?: string;

  @ApiPropertyOptional({
    ...FLOOR,
    description: `${FLOOR.description} Lowering it needs the scope \`wallets:admin\` and a \`reason\`.`,
  })
  @MayBeAbsent()
  @IsSignedAmount()
  minimum_balance?: AmountInput;

  @ApiPropertyOptional({
    description: 'Why the minimum balance is lowered, for the audit log.',
    maxLength: 500,
    example: 'Overdraft agreed on the phone',
  })
  @MayBeAbsent()
  @IsText(500)
  reason?: string;

  @ApiPropertyOptional({
    oneOf: [{ type: 'string', nullable: true }, { type: 'number' }],
    description:
      'Whenever what is available falls under it, there is an event `wallet.below_threshold`. Null takes it away.',
    example: '50.00',
  })
  @MayBeNull()
  @IsSignedAmount()
  low_balance_threshold?: AmountInput | null;

  @ApiPropertyOptional({ ...API_METADATA, description: 'Replaces the notes as a whole.' })
  @MayBeAbsent()
  @IsMetadata()
  metadata?: Metadata;
}

export class WalletIdParam {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID })
  @IsId()
  wallet_id: string;
}

export class ListWalletsQuery extends PageQuery {
  @ApiPropertyOptional({ format: 'uuid', example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' })
  @MayBeAbsent()
  @IsId()
  user_id?: string;

  @ApiPropertyOptional({ example: 'INR' })
  @MayBeAbsent()
  @IsCurrency()
  currency?: string;

  @ApiPropertyOptional(LABEL)
  @MayBeAbsent()
  @IsText(100)
  label?: string;

  @ApiPropertyOptional({ enum: WALLET_STATUSES, example: 'frozen' })
  @MayBeAbsent()
  @IsIn(WALLET_STATUSES, { message: `must be one of ${WALLET_STATUSES.join(', ')}` })
  status?: WalletStatus;

  @ApiPropertyOptional({
    type: 'boolean',
    default: false,
    description: 'Also wallets that stand for the world outside.',
  })
  @IsFlag()
  include_system: boolean = false;
}

export class WalletBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) id: string;
  @ApiProperty({ type: String, format: 'uuid', nullable: true, example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' })
  user_id: string | null;
  @ApiProperty({ enum: ['customer', 'external'], example: 'customer' }) kind: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ example: 'main' }) label: string;
  @ApiProperty({ enum: WALLET_STATUSES, example: 'active' }) status: WalletStatus;
  @ApiProperty({ enum: FREEZE_MODES, nullable: true, description: 'What a frozen wallet refuses.', example: null })
  freeze_mode: FreezeMode | null;
  @ApiProperty({ description: 'Sum of all entries.', example: '150.00' }) balance: string;
  @ApiProperty({ description: 'Reserved by holds.', example: '0.00' }) held: string;
  @ApiProperty({ description: '`balance` less `held`.', example: '150.00' }) available: string;
  @ApiProperty({ example: '100.00' }) minimum_balance: string;
  @ApiProperty({
    description: 'By how much reversals took it under the minimum balance. It pays nothing until this is zero.',
    example: '0.00',
  })
  shortfall: string;
  @ApiProperty({ type: String, nullable: true, description: 'Who falls under it is told of.', example: null })
  low_balance_threshold: string | null;
  @ApiProperty({ description: 'Number of entries.', example: 1 }) entry_count: number;
  @ApiProperty(API_METADATA) metadata: Metadata;
  @ApiProperty({ description: 'The ETag without quotes.', example: 2 }) version: number;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) updated_at: string;
}

export function walletBody(wallet: Wallet): WalletBody {
  const money = (minor: bigint) => formatAmount(minor, wallet.currency);
  const heldMinor = wallet.held - wallet.expired;
  const availableMinor = wallet.balance - heldMinor;
  // Expired holds that are not written off yet may cover a part of it already.
  const missingMinor = wallet.minimumBalance - availableMinor;
  const shortfallMinor = wallet.shortfall > missingMinor ? (missingMinor > 0n ? missingMinor : 0n) : wallet.shortfall;
  return {
    id: wallet.id,
    user_id: wallet.userId,
    kind: wallet.kind,
    currency: wallet.currency,
    label: wallet.label,
    status: wallet.status,
    freeze_mode: wallet.freezeMode,
    balance: money(wallet.balance),
    held: money(heldMinor),
    available: money(availableMinor),
    minimum_balance: money(wallet.minimumBalance),
    shortfall: money(shortfallMinor),
    low_balance_threshold: wallet.lowBalanceThreshold === null ? null : money(wallet.lowBalanceThreshold),
    entry_count: wallet.entryCount,
    metadata: wallet.metadata ?? {},
    version: wallet.version,
    created_at: wallet.createdAt.toISOString(),
    updated_at: wallet.updatedAt.toISOString(),
  };
}
