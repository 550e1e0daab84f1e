import { ApiExtraModels, ApiProperty, ApiPropertyOptional, getSchemaPath } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from '../paging.js';
import { ScheduleBody } from '../schedules/schedules.dto.js';
import { HoldBody } from '../transactions/holds.dto.js';
import { TransactionBody } from '../transactions/transactions.dto.js';
import { LimitsBody, StatusChangeBody } from '../transactions/wallet-states.dto.js';
import { UserBody } from '../users/users.dto.js';
import { IsId, IsText, IsWholeNumber, MayBeAbsent } from '../validation.js';
import { WALLET_EXAMPLE_ID, WalletBody } from '../wallets/wallets.dto.js';
import { WebhookEndpointBody, WebhookTestBody } from '../webhooks/webhooks.dto.js';
import { EVENT_EXAMPLE_ID, EVENT_TYPES, type EventType } from './event-types.js';

export class ListEventsQuery {
  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: PAGE_SIZE_MAX, default: PAGE_SIZE_DEFAULT })
  @MayBeAbsent()
  @Type(() => Number)
  @IsWholeNumber(1, PAGE_SIZE_MAX)
  limit: number = PAGE_SIZE_DEFAULT;

  @ApiPropertyOptional({
    format: 'uuid',
    description:
      'The `last_id` of the page before, or the id of an event: what came after it. Left out: from the first.',
    example: EVENT_EXAMPLE_ID,
  })
  @MayBeAbsent()
  @IsId()
  after?: string;

  @ApiPropertyOptional({ maxLength: 64, description: 'One type, or a kind such as `hold.*`.', example: 'hold.*' })
  @MayBeAbsent()
  @IsText(64)
  type?: string;

  @ApiPropertyOptional({
    format: 'uuid',
    description: 'Only what happened to this wallet; what becomes of schedules is no part of it.',
    example: WALLET_EXAMPLE_ID,
  })
  @MayBeAbsent()
  @IsId()
  wallet_id?: string;
}

/** Where a wallet stood right after an event. */
export class EventWalletBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({
    description:
      'Of two balances that with the higher one is newer. What one act tells of has the same, and an act may take several; after 2,000,000,000 it begins again at 1.',
    example: 3,
  })
  version: number;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ example: '350.00' }) balance: string;
  @ApiProperty({ example: '0.00' }) held: string;
  @ApiProperty({ example: '350.00' }) available: string;
}

export class ThresholdCrossedBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ example: '50.00' }) threshold: string;
  @ApiProperty({ example: '49.50' }) available: string;
}

/** What an event can tell of. */
const TOLD = [
  TransactionBody,
  HoldBody,
  WalletBody,
  StatusChangeBody,
  LimitsBody,
  ThresholdCrossedBody,
  UserBody,
  ScheduleBody,
  WebhookEndpointBody,
  WebhookTestBody,
];

@ApiExtraModels(...TOLD)
export class EventBody {
  @ApiProperty({ format: 'uuid', description: 'The same at each delivery.', example: EVENT_EXAMPLE_ID }) id: string;
  @ApiProperty({ enum: Object.keys(EVENT_TYPES), example: 'transaction.posted' }) type: EventType;
  @ApiProperty({ format: 'date-time', description: 'When it happened.', example: '2026-01-31T09:30:00.000Z' })
  timestamp: string;
  @ApiProperty({ type: [EventWalletBody], description: 'Whom it concerns, and where they stood right after.' })
  wallets: EventWalletBody[];
  @ApiProperty({
    oneOf: TOLD.map((type) => ({ $ref: getSchemaPath(type) })),
    description: 'What the API answers of it.',
  })
  data: object;
}

export class EventPageBody {
  @ApiProperty({ type: [EventBody], description: 'Oldest first.' }) data: EventBody[];
  @ApiProperty({
    ...{ type: String, format: 'uuid', nullable: true, example: EVENT_EXAMPLE_ID },
    description: 'Ask for what comes after it with `after`, also when there is nothing more yet.',
  })
  last_id: string | null;
  @ApiProperty({ description: 'Whether there may be more already.', example: false }) has_more: boolean;
}
