import { ApiProperty } from '@nestjs/swagger';
import { TransactionBody } from './transactions.dto.js';

export class AmountBody {
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ example: '50.00' }) amount: string;
}

export class ReversalsBody {
  @ApiProperty({ type: [AmountBody], description: 'What its reversals gave back.' }) reversed: AmountBody[];
  @ApiProperty({ type: [AmountBody], description: 'What can still be reversed.' }) reversible: AmountBody[];
  @ApiProperty({ type: [TransactionBody], description: 'A page of the reversals, oldest first.' })
  data: TransactionBody[];
  @ApiProperty({ type: String, nullable: true, example: null }) next_cursor: string | null;
}
