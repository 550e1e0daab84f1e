import { ApiProperty, ApiPropertyOptional, IntersectionType } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { formatAmount, type AmountInput } from '../money.js';
import { PageQuery } from '../paging.js';
import type { Metadata } from '../users/user.entity.js';
import { API_METADATA } from '../users/users.dto.js';
import {
  IsAmount,
  IsCurrency,
  IsId,
  IsInstant,
  IsMetadata,
  IsSignedAmount,
  IsText,
  MayBeAbsent,
} from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import type { PostedTransaction } from './posting.rules.js';
import { TRANSACTION_TYPES, type TransactionType } from './transaction.entity.js';

const AMOUNT = {
  oneOf: [{ type: 'string' }, { type: 'number' }],
  description: 'In the major unit of the currency, with at most its decimals. Never rounded.',
};
const TRANSACTION_EXAMPLE_ID = '0199a3c2-a0d4-7b61-9f0e-3c8d1e5b7a44';
const OTHER_WALLET_EXAMPLE_ID = '0199a3c2-c4f7-7e19-b2d8-6a1f0c3e5b90';

/** What every movement of money may carry besides its amount. */
export class PostingDto {
  @ApiProperty({ ...AMOUNT, example: '150.00' })
  @IsAmount()
  amount: AmountInput;

  @ApiPropertyOptional({ maxLength: 500, example: 'Order 1042' })
  @MayBeAbsent()
  @IsText(500)
  description?: string;

  @ApiPropertyOptional({
    description: 'Your own name for it; found again by filter.',
    maxLength: 255,
    example: 'order-1042',
  })
  @MayBeAbsent()
  @IsText(255)
  reference?: string;

  @ApiPropertyOptional(API_METADATA)
  @MayBeAbsent()
  @IsMetadata()
  metadata?: Metadata;

  @ApiPropertyOptional({
    format: 'date-time',
    description: 'When it counts for the business; by default when it is posted.',
    example: '2026-01-31T09:30:00Z',
  })
  @MayBeAbsent()
  @IsInstant()
  effective_at?: string;
}

export class CreditDto extends PostingDto {}

export class DebitDto extends PostingDto {
  @ApiPropertyOptional({
    ...AMOUNT,
    description:
      'The floor for this debit. Above the wallet’s own minimum balance it is a stricter check of this debit only. ' +
      'Below it (operators) it becomes the wallet’s minimum balance.',
    example: '0.00',
  })
  @MayBeAbsent()
  @IsSignedAmount()
  minimum_balance?: AmountInput;
}

export class TransferDto extends PostingDto {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID })
  @IsId()
  from_wallet_id: string;

  @ApiProperty({ format: 'uuid', example: OTHER_WALLET_EXAMPLE_ID })
  @IsId()
  to_wallet_id: string;
}

export class TransactionIdParam {
  @ApiProperty({ format: 'uuid', example: TRANSACTION_EXAMPLE_ID })
  @IsId()
  transaction_id: string;
}

/** Filters of a transaction list; each one given narrows it. */
export class TransactionFilter {
  @ApiPropertyOptional({ enum: TRANSACTION_TYPES, example: 'debit' })
  @MayBeAbsent()
  @IsIn(TRANSACTION_TYPES, { message: `must be one of ${TRANSACTION_TYPES.join(', ')}` })
  type?: TransactionType;

  @ApiPropertyOptional({ description: 'ISO 4217. Needed to filter by amount.', example: 'INR' })
  @MayBeAbsent()
  @IsCurrency()
  currency?: string;

  @ApiPropertyOptional({ maxLength: 255, example: 'order-1042' })
  @MayBeAbsent()
  @IsText(255)
  reference?: string;

  @ApiPropertyOptional({ description: 'At least this much.', example: '100.00' })
  @MayBeAbsent()
  @IsAmount()
  amount_min?: string;

  @ApiPropertyOptional({ description: 'At most this much.', example: '200.00' })
  @MayBeAbsent()
  @IsAmount()
  amount_max?: string;

  @ApiPropertyOptional({ format: 'date-time', description: 'Posted at or after.', example: '2026-01-01T00:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  created_from?: string;

  @ApiPropertyOptional({ format: 'date-time', description: 'Posted before.', example: '2026-02-01T00:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  created_before?: string;

  @ApiPropertyOptional({ description: 'A JSON object that the metadata must contain.', example: '{"plan":"gold"}' })
  @MayBeAbsent()
  @IsText(2_000)
  metadata?: string;
}

export class ListTransactionsQuery extends IntersectionType(PageQuery, TransactionFilter) {
  @ApiPropertyOptional({
    format: 'uuid',
    description: 'Only those that touch this wallet.',
    example: WALLET_EXAMPLE_ID,
  })
  @MayBeAbsent()
  @IsId()
  wallet_id?: string;
}

export class PostedEntryBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ description: 'Number of the entry in its wallet: 1, 2, 3, …', example: 2 }) seq: number;
  @ApiProperty({ description: 'Signed: what came in is positive.', example: '-150.00' }) amount: string;
  @ApiProperty({ description: 'Balance of the wallet right after.', example: '350.00' }) balance_after: string;
}

export class TransactionBody {
  @ApiProperty({ format: 'uuid', example: TRANSACTION_EXAMPLE_ID }) id: string;
  @ApiProperty({ enum: TRANSACTION_TYPES, example: 'debit' }) type: TransactionType;
  @ApiProperty({ enum: ['posted'], example: 'posted' }) status: 'posted';
  @ApiProperty({ example: '150.00' }) amount: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ type: String, nullable: true, example: 'Order 1042' }) description: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'order-1042' }) reference: string | null;
  @ApiProperty(API_METADATA) metadata: Metadata;
  @ApiProperty({ description: 'Who asked for it.', example: 'operator' }) actor: string;
  @ApiProperty({ type: [PostedEntryBody], description: 'They add up to zero.' }) entries: PostedEntryBody[];
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) effective_at: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

/** The answer of a money call, without what only a read tells. */
export class IdempotencyKeyBody {
  @ApiProperty({ example: '5f0c7c9e-9a43-4b8e-8a57-3a4f6f1f3d20' }) key: string;
  @ApiProperty({ description: 'The HTTP status that was answered.', example: 201 }) status_code: number;
  @ApiProperty({ type: 'object', additionalProperties: true, description: 'The body that was answered.' }) body: object;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

export class IdempotencyKeyParam {
  @ApiProperty({ maxLength: 255, example: '5f0c7c9e-9a43-4b8e-8a57-3a4f6f1f3d20' })
  @IsText(255)
  key: string;
}

export function transactionBody(t: PostedTransaction): TransactionBody {
  return {
    id: t.id,
    type: t.type,
    status: 'posted',
    amount: formatAmount(t.amountMinor, t.currency),
    currency: t.currency,
    description: t.description,
    reference: t.reference,
    metadata: t.metadata ?? {},
    actor: t.actor,
    entries: t.entries.map((entry) => ({
      wallet_id: entry.walletId,
      seq: entry.seq,
      amount: formatAmount(entry.amountMinor, t.currency),
      balance_after: formatAmount(entry.balanceAfterMinor, t.currency),
    })),
    effective_at: t.effectiveAt.toISOString(),
    created_at: t.createdAt.toISOString(),
  };
}
