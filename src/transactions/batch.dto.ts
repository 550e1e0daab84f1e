import { ApiExtraModels, ApiProperty, ApiPropertyOptional, getSchemaPath, OmitType } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import type { problemBody } from '../errors.js';
import { IsFlag, IsId, IsListOf } from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import {
  CreditDto,
  DebitDto,
  DryRunTransactionBody,
  JournalDto,
  TransactionBody,
  TransferDto,
} from './transactions.dto.js';

export const BATCH_ITEMS_MAX = 1_000;
const ITEM_TYPES = ['credit', 'debit', 'transfer', 'journal'] as const;

/** What an item is before its type is known; one of an unknown type stays this, and is refused for its type. */
export class BatchItemDto {
  @ApiProperty({ enum: ITEM_TYPES, example: 'debit' })
  @IsIn(ITEM_TYPES, { message: `must be one of ${ITEM_TYPES.join(', ')}` })
  type: string;
}

export class CreditItemDto extends CreditDto {
  @ApiProperty({ enum: ['credit'], example: 'credit' })
  @IsIn(['credit'])
  type: 'credit';

  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID })
  @IsId()
  wallet_id: string;
}

export class DebitItemDto extends DebitDto {
  @ApiProperty({ enum: ['debit'], example: 'debit' })
  @IsIn(['debit'])
  type: 'debit';

  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID })
  @IsId()
  wallet_id: string;
}

export class TransferItemDto extends TransferDto {
  @ApiProperty({ enum: ['transfer'], example: 'transfer' })
  @IsIn(['transfer'])
  type: 'transfer';
}

export class JournalItemDto extends JournalDto {
  @ApiProperty({ enum: ['journal'], example: 'journal' })
  @IsIn(['journal'])
  type: 'journal';
}

export type BatchItem = CreditItemDto | DebitItemDto | TransferItemDto | JournalItemDto;
const ITEMS = { credit: CreditItemDto, debit: DebitItemDto, transfer: TransferItemDto, journal: JournalItemDto };

@ApiExtraModels(...Object.values(ITEMS))
export class BatchDto {
  @ApiPropertyOptional({ type: 'boolean', default: false, example: true, description: 'All items, or none.' })
  @IsFlag()
  atomic: boolean = false;

  @ApiProperty({
    type: 'array',
    minItems: 1,
    maxItems: BATCH_ITEMS_MAX,
    items: {
      oneOf: Object.values(ITEMS).map((item) => ({ $ref: getSchemaPath(item) })),
      discriminator: {
        propertyName: 'type',
        mapping: Object.fromEntries(Object.entries(ITEMS).map(([type, item]) => [type, getSchemaPath(item)])),
      },
    },
    example: [{ type: 'debit', wallet_id: WALLET_EXAMPLE_ID, amount: '150.00', reference: 'order-1042' }],
  })
  @IsListOf(() => BatchItemDto, 1, BATCH_ITEMS_MAX, ITEMS)
  items: BatchItem[];
}

export class ItemErrorBody {
  @ApiProperty({ example: '/errors/insufficient_funds' }) type: string;
  @ApiProperty({ example: 'Not enough money' }) title: string;
  @ApiProperty({ example: 422 }) status: number;
  @ApiProperty({ example: 'insufficient_funds' }) code: string;
  @ApiProperty({ example: '20.00 INR is available, 150.00 INR was asked for.' }) detail: string;
  @ApiProperty({ example: false }) retryable: boolean;
}

export class BatchItemBody {
  @ApiProperty({ enum: ['posted', 'refused'], example: 'posted' }) status: 'posted' | 'refused';
  @ApiProperty({ type: TransactionBody, nullable: true }) transaction: TransactionBody | null;
  @ApiProperty({ type: ItemErrorBody, nullable: true, example: null }) error: ReturnType<typeof problemBody> | null;
}

export class BatchBody {
  @ApiProperty({ example: false }) atomic: boolean;
  @ApiProperty({ description: 'How many items were posted.', example: 1 }) posted: number;
  @ApiProperty({ description: 'How many were refused.', example: 0 }) refused: number;
  @ApiProperty({ type: [BatchItemBody], description: 'One outcome for each item, in their order.' })
  items: BatchItemBody[];
}

class DryRunItemBody extends OmitType(BatchItemBody, ['status', 'transaction']) {
  @ApiProperty({ enum: ['dry_run', 'refused'], example: 'dry_run' }) status: 'dry_run' | 'refused';
  @ApiProperty({ type: DryRunTransactionBody, nullable: true }) transaction: DryRunTransactionBody | null;
}

/** What a dry run answers: the outcomes as they would be, without ids. */
export class DryRunBatchBody extends OmitType(BatchBody, ['items']) {
  @ApiProperty({ type: [DryRunItemBody], description: 'One outcome for each item, in their order.' })
  items: DryRunItemBody[];
}
