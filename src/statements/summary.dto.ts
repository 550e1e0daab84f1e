import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { IsDay, IsTimeZone, MayBeAbsent } from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import { BasisQuery } from './balance.dto.js';
import { INTERVALS, INTERVALS_MAX, type Interval } from './calendar.js';
import { BASES, type Basis } from './standings.js';

const DAY = { format: 'date', example: '2026-01-01' };
export const TIME_ZONE = {
  default: 'UTC',
  description: 'IANA name; days begin at midnight there, summer time included.',
  example: 'Asia/Kolkata',
};

export class SummaryQuery extends BasisQuery {
  @ApiPropertyOptional({
    ...DAY,
    description: 'First day, included. By default the beginning; with `interval`, the day of the first entry.',
  })
  @MayBeAbsent()
  @IsDay()
  start_date?: string;

  @ApiPropertyOptional({ format: 'date', description: 'Last day, included. By default today.', example: '2026-12-31' })
  @MayBeAbsent()
  @IsDay()
  end_date?: string;

  @ApiPropertyOptional(TIME_ZONE)
  @MayBeAbsent()
  @IsTimeZone()
  time_zone: string = 'UTC';

  @ApiPropertyOptional({
    enum: INTERVALS,
    description: `Also the totals of each day, ISO week (from Monday) or month, at most ${INTERVALS_MAX} of them.`,
    example: 'month',
  })
  @MayBeAbsent()
  @IsIn(INTERVALS, { message: `must be one of ${INTERVALS.join(', ')}` })
  interval?: Interval;
}

/** Opening, plus credit, less debit, is closing. */
export class TotalsBody {
  @ApiProperty({ description: 'Balance before the first day.', example: '0.00' }) opening_balance: string;
  @ApiProperty({ description: 'What came in.', example: '500.00' }) total_credit: string;
  @ApiProperty({ description: 'What went out.', example: '150.00' }) total_debit: string;
  @ApiProperty({ description: 'Opening, plus credit, less debit.', example: '350.00' }) closing_balance: string;
  @ApiProperty({ description: 'Entries in the range.', example: 2 }) entry_count: number;
}

export class IntervalBody extends TotalsBody {
  @ApiProperty(DAY) start_date: string;
  @ApiProperty({ format: 'date', example: '2026-01-31' }) end_date: string;
}

export class SummaryBody extends TotalsBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ ...DAY, type: String, nullable: true, description: 'Null: the beginning.' }) start_date: string | null;
  @ApiProperty({ format: 'date', example: '2026-12-31' }) end_date: string;
  @ApiProperty({ example: 'UTC' }) time_zone: string;
  @ApiProperty({ enum: BASES, example: 'posted' }) basis: Basis;
  @ApiPropertyOptional({ type: [IntervalBody], description: 'Each opens where the one before closed.' })
  intervals?: IntervalBody[];
}
