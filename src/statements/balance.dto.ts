import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { IsInstant, MayBeAbsent } from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import { BASES, type Basis } from './standings.js';

/** Which time decides. */
export class BasisQuery {
  @ApiPropertyOptional({
    enum: BASES,
    default: 'posted',
    description: '`posted`: when an entry was written. `effective`: when it counts for the business.',
  })
  @MayBeAbsent()
  @IsIn(BASES, { message: `must be ${BASES.join(' or ')}` })
  basis: Basis = 'posted';
}

export class BalanceQuery extends BasisQuery {
  @ApiPropertyOptional({
    format: 'date-time',
    description: 'The instant, included, past or future. By default now.',
    example: '2026-01-31T23:59:59Z',
  })
  @MayBeAbsent()
  @IsInstant()
  at?: string;
}

export class BalanceBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T23:59:59.000Z' }) at: string;
  @ApiProperty({ enum: BASES, example: 'posted' }) basis: Basis;
  @ApiProperty({ description: 'Sum of the entries up to then.', example: '350.00' }) balance: string;
  @ApiProperty({
    ...{ type: 'integer', nullable: true, example: 2 },
    description: 'The last entry counted, 0 for none. Null by effective time, where they are not in a row.',
  })
  seq: number | null;
  @ApiPropertyOptional({ description: 'Reserved by holds; only where no `at` is given.', example: '0.00' })
  held?: string;
  @ApiPropertyOptional({
    description: 'What is posted less what is held; only where no `at` is given.',
    example: '350.00',
  })
  available?: string;
}
