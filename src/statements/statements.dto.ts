import { ApiProperty, ApiPropertyOptional, IntersectionType } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { formatAmount } from '../money.js';
import { PageQuery } from '../paging.js';
import { TransactionFilter } from '../transactions/transactions.dto.js';
import { TRANSACTION_TYPES, type TransactionType } from '../transactions/transaction.entity.js';
import { MayBeAbsent } from '../validation.js';
import type { HistoryRow } from './history.js';

const DIRECTIONS = ['credit', 'debit'] as const;

/** Amounts are compared with what the entry moved, whichever way; its currency is the wallet's. */
export class ListEntriesQuery extends IntersectionType(PageQuery, TransactionFilter) {
  @ApiPropertyOptional({ enum: DIRECTIONS, description: 'What came in, or what went out.', example: 'debit' })
  @MayBeAbsent()
  @IsIn(DIRECTIONS, { message: `must be ${DIRECTIONS.join(' or ')}` })
  direction?: (typeof DIRECTIONS)[number];
}

export class EntryBody {
  @ApiProperty({ description: 'Number of the entry in its wallet: 1, 2, 3, …', example: 2 }) seq: number;
  @ApiProperty({ format: 'uuid', example: '0199a3c2-a0d4-7b61-9f0e-3c8d1e5b7a44' }) transaction_id: string;
  @ApiProperty({ enum: TRANSACTION_TYPES, example: 'debit' }) type: TransactionType;
  @ApiProperty({ description: 'Signed: what came in is positive.', example: '-150.00' }) amount: string;
  @ApiProperty({ description: 'Balance of the wallet right after.', example: '350.00' }) balance_after: string;
  @ApiProperty({ type: String, nullable: true, example: 'Order 1042' }) description: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'order-1042' }) reference: string | null;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) effective_at: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

export function entryBody(row: HistoryRow, currency: string): EntryBody {
  return {
    seq: row.seq,
    transaction_id: row.transactionId,
    type: row.type,
    amount: formatAmount(row.amountMinor, currency),
    balance_after: formatAmount(row.balanceAfterMinor, currency),
    description: row.description,
    reference: row.reference,
    effective_at: row.effectiveAt.toISOString(),
    created_at: row.createdAt.toISOString(),
  };
}
