import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import type { ErrorCode } from '../errors.js';
import { formatAmount, type AmountInput } from '../money.js';
import { PageQuery } from '../paging.js';
import { AMOUNT, NotesDto, OTHER_WALLET_EXAMPLE_ID, TRANSACTION_EXAMPLE_ID } from '../transactions/transactions.dto.js';
import type { Metadata } from '../users/user.entity.js';
import { API_METADATA } from '../users/users.dto.js';
import { IsAmount, IsId, IsInstant, IsTimeZone, MayBeAbsent } from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import { RHYTHMS, type Rhythm } from './occurrences.js';
import {
  MISSED,
  OUTCOMES,
  SCHEDULE_STATUSES,
  type Missed,
  type OccurrenceOutcome,
  type Schedule,
  type ScheduleStatus,
} from './schedule.entity.js';

export const SCHEDULE_EXAMPLE_ID = '0199a3c2-fb07-7d3a-a7f4-6c1e2d8b3f95';
const INSTANT = { format: 'date-time', example: '2026-01-31T09:30:00.000Z' };
const MAYBE_INSTANT = { ...INSTANT, type: String, nullable: true } as const;
const ZONE = { description: 'IANA: where the time of day stays the same all year.', example: 'Europe/Berlin' };
const MISSED_FIELD = {
  enum: MISSED,
  example: 'skip',
  description:
    'What becomes of occurrences that were missed, as the next one was due before they could be posted, or as the ' +
    'schedule was paused: `skip` passes them over, `catch_up` posts each, in order.',
} as const;

export class CreateScheduleDto extends NotesDto {
  @ApiProperty({ format: 'uuid', description: 'Who pays.', example: WALLET_EXAMPLE_ID })
  @IsId()
  from_wallet_id: string;

  @ApiProperty({
    format: 'uuid',
    description: 'Who is paid: a wallet of the same currency.',
    example: OTHER_WALLET_EXAMPLE_ID,
  })
  @IsId()
  to_wallet_id: string;

  @ApiProperty({ ...AMOUNT, example: '150.00' })
  @IsAmount()
  amount: AmountInput;

  @ApiProperty({
    enum: RHYTHMS,
    description: 'Months that are too short for the day of `starts_at` have it on their last.',
    example: 'monthly',
  })
  @IsIn(RHYTHMS, { message: `must be one of ${RHYTHMS.join(', ')}` })
  every: Rhythm;

  @ApiProperty({ format: 'date-time', description: 'The first occurrence.', example: '2026-01-31T09:30:00+01:00' })
  @IsInstant()
  starts_at: string;

  @ApiPropertyOptional({ ...ZONE, default: 'UTC' })
  @MayBeAbsent()
  @IsTimeZone()
  time_zone: string = 'UTC';

  @ApiPropertyOptional({
    format: 'date-time',
    description: 'No occurrence is after it. Left out: it goes on until it is cancelled.',
    example: '2026-12-31T23:59:59+01:00',
  })
  @MayBeAbsent()
  @IsInstant()
  ends_at?: string;

  @ApiPropertyOptional({ ...MISSED_FIELD, default: 'skip' })
  @MayBeAbsent()
  @IsIn(MISSED, { message: `must be ${MISSED.join(' or ')}` })
  missed: Missed = 'skip';
}

export class ScheduleIdParam {
  @ApiProperty({ format: 'uuid', example: SCHEDULE_EXAMPLE_ID })
  @IsId()
  schedule_id: string;
}

export class ListSchedulesQuery extends PageQuery {
  @ApiPropertyOptional({ format: 'uuid', description: 'Those that this wallet pays.', example: WALLET_EXAMPLE_ID })
  @MayBeAbsent()
  @IsId()
  wallet_id?: string;

  @ApiPropertyOptional({ enum: SCHEDULE_STATUSES, example: 'active' })
  @MayBeAbsent()
  @IsIn(SCHEDULE_STATUSES, { message: `must be one of ${SCHEDULE_STATUSES.join(', ')}` })
  status?: ScheduleStatus;
}

export class OccurrenceBody {
  @ApiProperty({ ...INSTANT, description: 'When it was due.' }) at: string;
  @ApiProperty({ enum: OUTCOMES, example: 'posted' }) outcome: OccurrenceOutcome;
  @ApiProperty({
    ...{ type: String, format: 'uuid', nullable: true, example: TRANSACTION_EXAMPLE_ID },
    description: 'Of one that was posted.',
  })
  transaction_id: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'Of one that was refused: the code.', example: null })
  error: ErrorCode | null;
}

export class OccurrenceCountsBody {
  @ApiProperty({ example: 1 }) posted: number;
  @ApiProperty({ example: 0 }) refused: number;
  @ApiProperty({ example: 0 }) skipped: number;
}

export class ScheduleBody {
  @ApiProperty({ format: 'uuid', example: SCHEDULE_EXAMPLE_ID }) id: string;
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) from_wallet_id: string;
  @ApiProperty({ format: 'uuid', example: OTHER_WALLET_EXAMPLE_ID }) to_wallet_id: string;
  @ApiProperty({ example: '150.00' }) amount: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ type: String, nullable: true, example: 'Rent' }) description: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'flat-7' }) reference: string | null;
  @ApiProperty(API_METADATA) metadata: Metadata;
  @ApiProperty({ enum: RHYTHMS, example: 'monthly' }) every: Rhythm;
  @ApiProperty(INSTANT) starts_at: string;
  @ApiProperty(ZONE) time_zone: string;
  @ApiProperty({ ...MAYBE_INSTANT, example: null }) ends_at: string | null;
  @ApiProperty(MISSED_FIELD) missed: Missed;
  @ApiProperty({ enum: SCHEDULE_STATUSES, example: 'active' }) status: ScheduleStatus;
  @ApiProperty({
    ...{ ...MAYBE_INSTANT, example: '2026-02-28T09:30:00.000Z' },
    description: 'The next occurrence; null where it has ended.',
  })
  next_at: string | null;
  @ApiProperty({ type: OccurrenceBody, nullable: true, description: 'The last that has an outcome.' })
  last_occurrence: OccurrenceBody | null;
  @ApiProperty({ type: OccurrenceCountsBody, description: 'What became of all so far.' }) counts: OccurrenceCountsBody;
  @ApiProperty({ example: 'operator' }) created_by: string;
  @ApiProperty({
    ...{ type: String, nullable: true, example: null },
    description: 'Who last paused, resumed or cancelled it.',
  })
  changed_by: string | null;
  @ApiProperty({ description: 'The ETag without quotes.', example: 2 }) version: number;
  @ApiProperty(INSTANT) created_at: string;
  @ApiProperty(INSTANT) updated_at: string;
}

export function scheduleBody(schedule: Schedule): ScheduleBody {
  return {
    id: schedule.id,
    from_wallet_id: schedule.fromWalletId,
    to_wallet_id: schedule.toWalletId,
    amount: formatAmount(schedule.amount, schedule.currency),
    currency: schedule.currency,
    description: schedule.description,
    reference: schedule.reference,
    metadata: schedule.metadata ?? {},
    every: schedule.every,
    starts_at: schedule.startsAt.toISOString(),
    time_zone: schedule.timeZone,
    ends_at: schedule.endsAt?.toISOString() ?? null,
    missed: schedule.missed,
    status: schedule.status,
    next_at: schedule.nextAt?.toISOString() ?? null,
    last_occurrence: schedule.lastAt && {
      at: schedule.lastAt.toISOString(),
      outcome: schedule.lastOutcome!,
      transaction_id: schedule.lastTransactionId,
      error: schedule.lastError,
    },
    counts: { posted: schedule.postedCount, refused: schedule.refusedCount, skipped: schedule.skippedCount },
    created_by: schedule.createdBy,
    changed_by: schedule.changedBy,
    version: schedule.version,
    created_at: schedule.createdAt.toISOString(),
    updated_at: schedule.updatedAt.toISOString(),
  };
}
