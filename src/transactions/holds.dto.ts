import { ApiProperty, ApiPropertyOptional, IntersectionType, OmitType } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { formatAmount, type AmountInput } from '../money.js';
import { NoIdBody } from '../openapi.js';
import { PageQuery } from '../paging.js';
import type { Metadata } from '../users/user.entity.js';
import { API_METADATA } from '../users/users.dto.js';
import { IsAmount, IsFlag, IsId, IsInstant, MayBeAbsent } from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import { HOLD_STATUSES, type HoldAction, type HoldStatus } from './hold.entity.js';
import { remainingOf } from './hold.rules.js';
import type { HoldState } from './ledger.js';
import {
  AMOUNT,
  HOLD_EXAMPLE_ID,
  MovementDto,
  NotesDto,
  OTHER_WALLET_EXAMPLE_ID,
  TRANSACTION_EXAMPLE_ID,
} from './transactions.dto.js';

const EXPIRY = { format: 'date-time', example: '2026-02-07T09:30:00Z' };

export class ReserveDto extends NotesDto {
  @ApiProperty({ ...AMOUNT, example: '150.00' })
  @IsAmount()
  amount: AmountInput;

  @ApiPropertyOptional({ ...EXPIRY, description: 'From then on it no longer counts. By default 7 days from now.' })
  @MayBeAbsent()
  @IsInstant()
  expires_at?: string;
}

export class ChangeHoldDto {
  @ApiPropertyOptional({ ...AMOUNT, description: 'The new amount in all, more than was captured.', example: '180.00' })
  @MayBeAbsent()
  @IsAmount()
  amount?: AmountInput;

  @ApiPropertyOptional(EXPIRY)
  @MayBeAbsent()
  @IsInstant()
  expires_at?: string;
}

export class CaptureDto extends MovementDto {
  @ApiPropertyOptional({ ...AMOUNT, description: 'Left out: all that is left of the hold.', example: '120.00' })
  @MayBeAbsent()
  @IsAmount()
  amount?: AmountInput;

  @ApiPropertyOptional({
    type: 'boolean',
    default: false,
    example: true,
    description: 'Releases what is left and ends the hold.',
  })
  @IsFlag()
  final: boolean = false;

  @ApiPropertyOptional({
    format: 'uuid',
    description: 'The wallet that is paid. Left out: the money goes outside.',
    example: OTHER_WALLET_EXAMPLE_ID,
  })
  @MayBeAbsent()
  @IsId()
  to_wallet_id?: string;
}

export class HoldIdParam {
  @ApiProperty({ format: 'uuid', example: HOLD_EXAMPLE_ID })
  @IsId()
  hold_id: string;
}

export class ListHoldsQuery extends PageQuery {
  @ApiPropertyOptional({ enum: HOLD_STATUSES, example: 'active' })
  @MayBeAbsent()
  @IsIn(HOLD_STATUSES, { message: `must be one of ${HOLD_STATUSES.join(', ')}` })
  status?: HoldStatus;
}

export class HoldBody {
  @ApiProperty({ format: 'uuid', example: HOLD_EXAMPLE_ID }) id: string;
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ enum: HOLD_STATUSES, example: 'active' }) status: HoldStatus;
  @ApiProperty({ description: 'Set aside in all.', example: '150.00' }) amount: string;
  @ApiProperty({ description: 'Taken by captures.', example: '30.00' }) captured: string;
  @ApiProperty({ description: 'Still set aside.', example: '120.00' }) remaining: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ type: String, nullable: true, example: 'Order 1042' }) description: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'order-1042' }) reference: string | null;
  @ApiProperty(API_METADATA) metadata: Metadata;
  @ApiProperty({ description: 'Who asked for it.', example: 'operator' }) actor: string;
  @ApiProperty({ description: 'The ETag without quotes.', example: 2 }) version: number;
  @ApiProperty({ ...EXPIRY, example: '2026-02-07T09:30:00.000Z' }) expires_at: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true, example: null }) ended_at: string | null;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) updated_at: string;
}

/** What a dry run answers: the hold as it would be, without an id. */
export class DryRunHoldBody extends IntersectionType(OmitType(HoldBody, ['id']), NoIdBody) {}

export class HoldChangeBody {
  @ApiProperty({ description: 'The version of the hold after it.', example: 2 }) version: number;
  @ApiProperty({ enum: ['created', 'changed', 'captured', 'voided', 'expired'], example: 'captured' })
  action: HoldAction;
  @ApiProperty({ enum: HOLD_STATUSES, example: 'active' }) status: HoldStatus;
  @ApiProperty({ example: '150.00' }) amount: string;
  @ApiProperty({ example: '30.00' }) captured: string;
  @ApiProperty({ ...EXPIRY, example: '2026-02-07T09:30:00.000Z' }) expires_at: string;
  @ApiProperty({ type: String, format: 'uuid', nullable: true, example: TRANSACTION_EXAMPLE_ID })
  transaction_id: string | null;
  @ApiProperty({ description: 'Who did it; `system` where the time ran out.', example: 'operator' }) actor: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

/** @param hold with `status` as it is now: an expired one says so, whether or not that is recorded. */
export function holdBody(hold: HoldState, currency: string): HoldBody {
  const money = (minor: bigint) => formatAmount(minor, currency);
  const endedAt = { active: null, expired: hold.expiresAt, captured: hold.updatedAt, voided: hold.updatedAt };
  return {
    id: hold.id,
    wallet_id: hold.walletId,
    status: hold.status,
    amount: money(hold.amountMinor),
    captured: money(hold.capturedMinor),
    remaining: money(hold.status === 'active' ? remainingOf(hold) : 0n),
    currency,
    description: hold.description,
    reference: hold.reference,
    metadata: hold.metadata ?? {},
    actor: hold.actor,
    version: hold.version,
    expires_at: hold.expiresAt.toISOString(),
    ended_at: endedAt[hold.status]?.toISOString() ?? null,
    created_at: hold.createdAt.toISOString(),
    updated_at: hold.updatedAt.toISOString(),
  };
}
