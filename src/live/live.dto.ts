import { ApiProperty } from '@nestjs/swagger';
import { EVENT_TYPES, type EventType } from '../events/event-types.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';

/** The `data` of a message: where a wallet stands. */
export class LiveBalanceBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ example: '350.00' }) balance: string;
  @ApiProperty({ example: '0.00' }) held: string;
  @ApiProperty({ example: '350.00' }) available: string;
  @ApiProperty({ description: 'Of the wallet. It rises with every change.', example: 3 }) version: number;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) timestamp: string;
  @ApiProperty({
    ...{ type: String, enum: Object.keys(EVENT_TYPES), nullable: true, example: 'transaction.posted' },
    description: 'The event that changed it. Null: how it stands as the stream begins.',
  })
  type: EventType | null;
  @ApiProperty({
    ...{ type: String, format: 'uuid', nullable: true, example: '0199a3c2-a0d4-7c0e-9a3b-5f1f0a9d2c11' },
    description: 'Of what the event tells: a transaction, a hold, the wallet.',
  })
  object_id: string | null;
}
