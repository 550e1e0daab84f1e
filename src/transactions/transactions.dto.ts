import { ApiProperty, ApiPropertyOptional, IntersectionType, OmitType } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { formatAmount, type AmountInput } from '../money.js';
import { NoIdBody } from '../openapi.js';
import { PageQuery } from '../paging.js';
import type { Metadata } from '../users/user.entity.js';
import { API_METADATA } from '../users/users.dto.js';
import {
  IsAmount,
  IsCurrency,
  IsFlag,
  IsId,
  IsInstant,
  IsListOf,
  IsMetadata,
  IsSignedAmount,
  IsText,
  MayBeAbsent,
} from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import type { ReadTransaction } from './ledger.js';
import { TRANSACTION_TYPES, type TransactionType } from './transaction.entity.js';

export const AMOUNT = {
  oneOf: [{ type: 'string' }, { type: 'number' }],
  description: 'In the major unit of the currency, with at most its decimals. Never rounded.',
};
export const TRANSACTION_EXAMPLE_ID = '0199a3c2-a0d4-7b61-9f0e-3c8d1e5b7a44';
export const HOLD_EXAMPLE_ID = '0199a3c2-d218-7a54-8e0b-1c9f3a6d5b22';
/** Legs that one posting may have. */
export const LEGS_MAX = 500;
export const OTHER_WALLET_EXAMPLE_ID = '0199a3c2-c4f7-7e19-b2d8-6a1f0c3e5b90';

/** What every posting may carry. */
export class NotesDto {
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
}

/** What every movement of money may carry. */
export class MovementDto extends NotesDto {
  @ApiPropertyOptional({
    format: 'date-time',
    description: 'When it counts for the business; by default when it is posted.',
    example: '2026-01-31T09:30:00Z',
  })
  @MayBeAbsent()
  @IsInstant()
  effective_at?: string;
}

export class PostingDto extends MovementDto {
  @ApiProperty({ ...AMOUNT, example: '150.00' })
  @IsAmount()
  amount: AmountInput;
}

export class CreditDto extends PostingDto {}

export class DebitDto extends PostingDto {
  @ApiPropertyOptional({
    ...AMOUNT,
    description:
      'The floor for this debit. Above the wallet’s own minimum balance it is a stricter check of this debit only. ' +
      'Below it, it becomes the wallet’s minimum balance: that needs the scope `wallets:admin` and a `reason`.',
    example: '0.00',
  })
  @MayBeAbsent()
  @IsSignedAmount()
  minimum_balance?: AmountInput;

  @ApiPropertyOptional({
    description: 'Why the minimum balance of the wallet may be lowered, for the audit log.',
    maxLength: 500,
    example: 'Overdraft agreed on the phone',
  })
  @MayBeAbsent()
  @IsText(500)
  reason?: string;
}

export class TransferDto extends PostingDto {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID })
  @IsId()
  from_wallet_id: string;

  @ApiProperty({ format: 'uuid', example: OTHER_WALLET_EXAMPLE_ID })
  @IsId()
  to_wallet_id: string;
}

export class LegDto {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID })
  @IsId()
  wallet_id: string;

  @ApiProperty({ ...AMOUNT, description: 'What the wallet gains; negative: what it pays.', example: '-150.00' })
  @IsSignedAmount()
  amount: AmountInput;
}

/** A posting of many legs: a split, a fee, an exchange through a house wallet. */
export class JournalDto extends MovementDto {
  @ApiProperty({
    type: [LegDto],
    minItems: 2,
    maxItems: LEGS_MAX,
    description: 'They add up to zero in each currency.',
    example: [
      { wallet_id: WALLET_EXAMPLE_ID, amount: '-150.00' },
      { wallet_id: OTHER_WALLET_EXAMPLE_ID, amount: '150.00' },
    ],
  })
  @IsListOf(() => LegDto, 2, LEGS_MAX)
  entries: LegDto[];
}

export class ReversalDto extends MovementDto {
  @ApiPropertyOptional({ ...AMOUNT, description: 'A part of it. Left out: all that is left.', example: '50.00' })
  @MayBeAbsent()
  @IsAmount()
  amount?: AmountInput;

  @ApiPropertyOptional({
    description: 'The currency of `amount`, where the transaction has several; the others follow in proportion.',
    example: 'INR',
  })
  @MayBeAbsent()
  @IsCurrency()
  currency?: string;

  @ApiProperty({ description: 'Why; kept with it.', maxLength: 500, example: 'Goods returned' })
  @IsText(500)
  reason: string;

  @ApiPropertyOptional({
    enum: ['refuse', 'allow_negative'],
    default: 'refuse',
    example: 'refuse',
    description:
      'What happens where a wallet that gives money back would go under its floor. `allow_negative` (operators) ' +
      'reverses all the same; the wallet then has a shortfall and pays nothing but what holds had set aside, until it is made good.',
  })
  @MayBeAbsent()
  @IsIn(['refuse', 'allow_negative'], { message: 'must be refuse or allow_negative' })
  on_shortfall: 'refuse' | 'allow_negative' = 'refuse';
}

export class DryRunQuery {
  @ApiPropertyOptional({
    type: 'boolean',
    default: false,
    description:
      'Tells what would happen now: 200 with the outcome, or the refusal. Nothing is written, no key is used.',
  })
  @IsFlag()
  dry_run: boolean = false;
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

  @ApiPropertyOptional({
    description: 'ISO 4217; of several also those that have it among them. Needed to filter by amount.',
    example: 'INR',
  })
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

  @ApiPropertyOptional({ format: 'date-time', description: 'Effective at or after.', example: '2026-01-01T00:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  effective_from?: string;

  @ApiPropertyOptional({ format: 'date-time', description: 'Effective before.', example: '2026-02-01T00:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  effective_before?: string;

  @ApiPropertyOptional({
    format: 'uuid',
    description: 'The reversals of this transaction.',
    example: TRANSACTION_EXAMPLE_ID,
  })
  @MayBeAbsent()
  @IsId()
  reverses_id?: string;

  @ApiPropertyOptional({ format: 'uuid', description: 'The captures of this hold.', example: HOLD_EXAMPLE_ID })
  @MayBeAbsent()
  @IsId()
  hold_id?: string;

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

const OTHERS = { nullable: true, description: "A person sees null of others' wallets." } as const;

export class PostedEntryBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({
    ...OTHERS,
    type: Number,
    description: `Number of the entry in its wallet: 1, 2, 3, … ${OTHERS.description}`,
    example: 2,
  })
  seq: number | null;
  @ApiProperty({ description: 'Signed: what came in is positive.', example: '-150.00' }) amount: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({
    ...OTHERS,
    type: String,
    description: `Balance of the wallet right after. ${OTHERS.description}`,
    example: '350.00',
  })
  balance_after: string | null;
}

const ID_OR_NULL = { type: String, format: 'uuid', nullable: true } as const;

export class TransactionBody {
  @ApiProperty({ format: 'uuid', example: TRANSACTION_EXAMPLE_ID }) id: string;
  @ApiProperty({ enum: TRANSACTION_TYPES, example: 'debit' }) type: TransactionType;
  @ApiProperty({ enum: ['posted'], example: 'posted' }) status: 'posted';
  @ApiProperty({
    ...{ type: String, nullable: true, example: '150.00' },
    description: 'What came into wallets. Null where the entries have several currencies.',
  })
  amount: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'INR' }) currency: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'Order 1042' }) description: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'order-1042' }) reference: string | null;
  @ApiProperty(API_METADATA) metadata: Metadata;
  @ApiProperty({ description: 'Who asked for it. Of another person, a person sees `user`.', example: 'operator' })
  actor: string;
  @ApiProperty({ ...ID_OR_NULL, description: 'Of a reversal: what it undoes.', example: null })
  reverses_id: string | null;
  @ApiProperty({ ...ID_OR_NULL, description: 'Of a capture: its hold.', example: null }) hold_id: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'Of a reversal: why.', example: null })
  reason: string | null;
  @ApiProperty({
    type: [PostedEntryBody],
    description: 'They add up to zero in each currency. A person sees their own, and both sides of a transfer.',
  })
  entries: PostedEntryBody[];
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) effective_at: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

/** What a dry run answers: the transaction as it would be, without an id. */
export class DryRunTransactionBody extends IntersectionType(OmitType(TransactionBody, ['id', 'status']), NoIdBody) {
  @ApiProperty({ enum: ['dry_run'], example: 'dry_run' }) status: 'dry_run';
}

export function transactionBody(t: ReadTransaction): TransactionBody {
  return {
    id: t.id,
    type: t.type,
    status: 'posted',
    amount: t.amountMinor === null ? null : formatAmount(t.amountMinor, t.currency!),
    currency: t.currency,
    description: t.description,
    reference: t.reference,
    metadata: t.metadata ?? {},
    actor: t.actor,
    reverses_id: t.reversesId,
    hold_id: t.holdId,
    reason: t.reason,
    entries: t.entries.map((entry) => ({
      wallet_id: entry.walletId,
      seq: entry.seq,
      amount: formatAmount(entry.amountMinor, entry.currency),
      currency: entry.currency,
      balance_after: formatAmount(entry.balanceAfterMinor, entry.currency),
    })),
    effective_at: t.effectiveAt.toISOString(),
    created_at: t.createdAt.toISOString(),
  };
}
