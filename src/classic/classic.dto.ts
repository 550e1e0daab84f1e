import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { AmountInput } from '../money.js';
import { IsAmount, IsDay, IsId, IsSignedAmount, IsText, MayBeAbsent, PassesOverUnknown } from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';

const USER_EXAMPLE_ID = '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11';
const AMOUNT = { oneOf: [{ type: 'number' }, { type: 'string' }] };

@PassesOverUnknown()
export class ClassicRegisterDto {
  @ApiProperty({ example: '1234567890' })
  @IsText(32)
  phone_number: string;
}

@PassesOverUnknown()
export class ClassicCreateDto {
  @ApiProperty({ format: 'uuid', example: USER_EXAMPLE_ID })
  @IsId()
  user_id: string;
}

@PassesOverUnknown()
export class ClassicCreditDto {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID })
  @IsId()
  wallet_id: string;

  @ApiProperty({ ...AMOUNT, example: 100 })
  @IsAmount()
  amount: AmountInput;
}

export class ClassicDebitDto extends ClassicCreditDto {
  @ApiPropertyOptional({ ...AMOUNT, example: 100 })
  @MayBeAbsent()
  @IsSignedAmount()
  minimum_balance?: AmountInput;
}

@PassesOverUnknown()
export class ClassicWalletParam {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID })
  @IsId()
  wallet_id: string;
}

export class ClassicHistoryQuery extends ClassicWalletParam {
  @ApiPropertyOptional({ description: 'Included.', example: '2024-01-01' })
  @MayBeAbsent()
  @IsDay()
  start_date?: string;

  @ApiPropertyOptional({ description: 'Included.', example: '2024-12-31' })
  @MayBeAbsent()
  @IsDay()
  end_date?: string;
}

export class ClassicRegisteredBody {
  @ApiProperty({ example: 'User created successfully' }) message: string;
  @ApiProperty({ format: 'uuid', example: USER_EXAMPLE_ID }) user_id: string;
}

export class ClassicWalletBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
}

export class ClassicNewBalanceBody {
  @ApiProperty({ example: 100.0 }) new_balance: number;
}

export class ClassicBalanceBody {
  @ApiProperty({ example: 100.0 }) balance: number;
}

class ClassicMovement {
  @ApiProperty({ example: 100.0 }) amount: number;
  @ApiProperty({ enum: ['credit', 'debit'], example: 'credit' }) type: string;
  @ApiProperty({ format: 'date-time', example: '2024-06-01T09:30:00.000Z' }) date: string;
}

export class ClassicHistoryBody {
  @ApiProperty({ example: 100.0 }) total_credit: number;
  @ApiProperty({ example: 0.0 }) total_debit: number;
  @ApiProperty({ type: [ClassicMovement] }) history: ClassicMovement[];
}

export class ClassicErrorBody {
  @ApiProperty({ example: 'Insufficient balance' }) error: string;
}
