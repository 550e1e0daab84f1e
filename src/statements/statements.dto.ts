import { ApiProperty, ApiPropertyOptional, IntersectionType } from '@nestjs/swagger';
import { PageQuery } from '../paging.js';
import { TransactionFilter } from '../transactions/transactions.dto.js';
import { TRANSACTION_TYPES, type TransactionType } from '../transactions/transaction.entity.js';
import { IsDay, MayBeAbsent } from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';

export class ListEntriesQuery extends IntersectionType(PageQuery, TransactionFilter) {}

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

export class SummaryQuery {
  @ApiPropertyOptional({ description: 'First day, UTC, included. By default the beginning.', example: '2026-01-01' })
  @MayBeAbsent()
  @IsDay()
  start_date?: string;

  @ApiPropertyOptional({ description: 'Last day, UTC, included. By default today.', example: '2026-12-31' })
  @MayBeAbsent()
  @IsDay()
  end_date?: string;
}

export class SummaryBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ type: String, nullable: true, example: '2026-01-01' }) start_date: string | null;
  @ApiProperty({ type: String, nullable: true, example: '2026-12-31' }) end_date: string | null;
  @ApiProperty({ description: 'Balance before the first day.', example: '0.00' }) opening_balance: string;
  @ApiProperty({ description: 'What came in.', example: '500.00' }) total_credit: string;
  @ApiProperty({ description: 'What went out.', example: '150.00' }) total_debit: string;
  @ApiProperty({ description: 'Opening, plus credit, less debit.', example: '350.00' }) closing_balance: string;
  @ApiProperty({ description: 'Entries in the range.', example: 2 }) entry_count: number;
}
