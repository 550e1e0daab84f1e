import { ApiProperty, ApiPropertyOptional, IntersectionType, OmitType } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import type { AmountInput } from '../money.js';
import { NoIdBody } from '../openapi.js';
import { IsAmount, IsId, IsText, IsWholeNumber, MayBeAbsent, MayBeNull } from '../validation.js';
import { FREEZE_MODES, WALLET_STATUSES, type FreezeMode, type WalletStatus } from '../wallets/wallet.entity.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import type { StatusChange } from './ledger.js';
import { AMOUNT, OTHER_WALLET_EXAMPLE_ID, TRANSACTION_EXAMPLE_ID } from './transactions.dto.js';

export class ReasonDto {
  @ApiProperty({ description: 'Why; kept with it.', maxLength: 500, example: 'Asked for by the customer' })
  @IsText(500)
  reason: string;
}

export class FreezeDto extends ReasonDto {
  @ApiPropertyOptional({
    enum: FREEZE_MODES,
    default: 'debits',
    example: 'debits',
    description: '`debits` lets money in and nothing out; `all` lets nothing move.',
  })
  @MayBeAbsent()
  @IsIn(FREEZE_MODES, { message: `must be ${FREEZE_MODES.join(' or ')}` })
  mode: FreezeMode = 'debits';
}

export class CloseDto extends ReasonDto {
  @ApiPropertyOptional({
    format: 'uuid',
    description: 'A wallet of the same currency, which gets the rest. Left out: the balance must be zero.',
    example: OTHER_WALLET_EXAMPLE_ID,
  })
  @MayBeAbsent()
  @IsId()
  sweep_to_wallet_id?: string;
}

export class StatusChangeBody {
  @ApiProperty({ format: 'uuid', example: '0199a3c2-e5a1-7d32-8f4b-2b7c1d9e6a01' }) id: string;
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ enum: WALLET_STATUSES, description: 'The status since.', example: 'frozen' }) status: WalletStatus;
  @ApiProperty({ enum: FREEZE_MODES, nullable: true, example: 'debits' }) freeze_mode: FreezeMode | null;
  @ApiProperty({ example: 'Asked for by the customer' }) reason: string;
  @ApiProperty({ description: 'Who did it.', example: 'operator' }) actor: string;
  @ApiProperty({
    ...{ type: String, format: 'uuid', nullable: true, example: TRANSACTION_EXAMPLE_ID },
    description: 'The transfer that took the rest of a closed wallet.',
  })
  transaction_id: string | null;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

/** What a dry run answers: the change as it would be, without an id. */
export class DryRunStatusChangeBody extends IntersectionType(OmitType(StatusChangeBody, ['id']), NoIdBody) {}

export function statusChangeBody(change: StatusChange): StatusChangeBody {
  return {
    id: change.id,
    wallet_id: change.walletId,
    status: change.status,
    freeze_mode: change.freezeMode,
    reason: change.reason,
    actor: change.actor,
    transaction_id: change.transactionId,
    created_at: change.createdAt.toISOString(),
  };
}

const AMOUNT_OR_NULL = { ...AMOUNT, oneOf: [{ type: 'string', nullable: true }, { type: 'number' }] };
const COUNT_MAX = 1_000_000_000;
const COUNT = { type: 'integer', nullable: true, minimum: 1, maximum: COUNT_MAX, example: 20 } as const;

/** All limits of a wallet; one that is left out, or null as it is shown, is none. */
export class LimitsDto extends ReasonDto {
  @ApiPropertyOptional({ ...AMOUNT_OR_NULL, description: 'What may leave in a day.', example: '10000.00' })
  @MayBeNull()
  @IsAmount()
  daily_total?: AmountInput | null;

  @ApiPropertyOptional({ ...COUNT, description: 'Debits in a day.' })
  @MayBeNull()
  @IsWholeNumber(1, COUNT_MAX)
  daily_count?: number | null;

  @ApiPropertyOptional({ ...AMOUNT_OR_NULL, description: 'What may leave in a month.', example: '100000.00' })
  @MayBeNull()
  @IsAmount()
  monthly_total?: AmountInput | null;

  @ApiPropertyOptional({ ...COUNT, description: 'Debits in a month.' })
  @MayBeNull()
  @IsWholeNumber(1, COUNT_MAX)
  monthly_count?: number | null;
}

const MONEY_OR_NULL = { type: String, nullable: true } as const;
const COUNT_OR_NULL = { type: Number, nullable: true } as const;

/** Null where there is no such limit; what is used is counted while the wallet has any. */
export class PeriodBody {
  @ApiProperty({ ...MONEY_OR_NULL, example: '10000.00' }) total_max: string | null;
  @ApiProperty({ ...MONEY_OR_NULL, example: '2500.00' }) total_used: string | null;
  @ApiProperty({ ...MONEY_OR_NULL, example: '7500.00' }) total_left: string | null;
  @ApiProperty({ ...COUNT_OR_NULL, example: 20 }) count_max: number | null;
  @ApiProperty({ ...COUNT_OR_NULL, example: 5 }) count_used: number | null;
  @ApiProperty({ ...COUNT_OR_NULL, example: 15 }) count_left: number | null;
  @ApiProperty({ format: 'date-time', description: 'When it begins anew.', example: '2026-02-01T00:00:00.000Z' })
  resets_at: string;
}

export class LimitsBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ description: 'Where days and months begin.', example: 'UTC' }) time_zone: string;
  @ApiProperty({ type: PeriodBody }) daily: PeriodBody;
  @ApiProperty({ type: PeriodBody }) monthly: PeriodBody;
  @ApiProperty({ description: 'Of the wallet: the ETag without quotes.', example: 3 }) version: number;
}
