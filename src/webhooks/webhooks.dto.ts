import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { EVENT_EXAMPLE_ID, EVENT_TYPES, type EventType } from '../events/event-types.js';
import { PageQuery } from '../paging.js';
import { IsId, IsInstant, IsText, IsTextList, IsWholeNumber, MayBeAbsent, MayBeNull } from '../validation.js';
import { URL_LENGTH_MAX } from './webhook.addresses.js';
import {
  DELIVERY_STATUSES,
  DISABLED_REASONS,
  ENDPOINT_STATUSES,
  type DeliveryStatus,
  type DisabledReason,
  type EndpointStatus,
  type WebhookDelivery,
  type WebhookEndpoint,
} from './webhook.entities.js';

export const ENDPOINT_EXAMPLE_ID = '0199a3c2-f7c3-7b18-a5d2-4e9b0c6d1a73';
const DELIVERY_EXAMPLE_ID = '0199a3c2-f9d4-7c29-b6e3-5f0c1d7e2b84';
const INSTANT = { format: 'date-time', example: '2026-01-31T09:30:00.000Z' };
const MAYBE_INSTANT = { ...INSTANT, type: String, nullable: true, example: null };
const OVERLAP_SECONDS_MAX = 30 * 86_400;
const KINDS = [...new Set(Object.keys(EVENT_TYPES).map((type) => type.replace(/\.\w+$/, '.*')))];

const URL_FIELD = {
  maxLength: URL_LENGTH_MAX,
  description: 'Where events are sent: https, on the public internet. In development http as well.',
  example: 'https://example.com/webhooks',
};
const TYPES_FIELD = {
  ...{ type: String, isArray: true, example: ['transaction.posted', 'hold.*'] },
  description: `Types and kinds of events (${KINDS.join(', ')}). None: all.`,
};

function IsTypeList() {
  const names = new Set<string>([...Object.keys(EVENT_TYPES), ...KINDS]);
  return IsTextList(0, names.size, (name) => names.has(name), 'event types, or kinds such as hold.*');
}

export class CreateWebhookEndpointDto {
  @ApiProperty(URL_FIELD)
  @IsText(URL_LENGTH_MAX)
  url: string;

  @ApiPropertyOptional(TYPES_FIELD)
  @MayBeAbsent()
  @IsTypeList()
  types?: string[];

  @ApiPropertyOptional({ maxLength: 500, example: 'Shop, orders' })
  @MayBeAbsent()
  @IsText(500)
  description?: string;
}

export class ChangeWebhookEndpointDto {
  @ApiPropertyOptional(URL_FIELD)
  @MayBeAbsent()
  @IsText(URL_LENGTH_MAX)
  url?: string;

  @ApiPropertyOptional(TYPES_FIELD)
  @MayBeAbsent()
  @IsTypeList()
  types?: string[];

  @ApiPropertyOptional({ ...{ type: String, nullable: true }, maxLength: 500, example: 'Shop, orders' })
  @MayBeNull()
  @IsText(500)
  description?: string | null;

  @ApiPropertyOptional({
    ...{ enum: ENDPOINT_STATUSES, example: 'active' },
    description:
      'A disabled one is sent nothing; made active again, it gets what it is due, in order, with what was given up since it failed.',
  })
  @MayBeAbsent()
  @IsIn(ENDPOINT_STATUSES, { message: `must be ${ENDPOINT_STATUSES.join(' or ')}` })
  status?: EndpointStatus;
}

export class RotateWebhookSecretDto {
  @ApiPropertyOptional({
    ...{ type: 'integer', minimum: 0, maximum: OVERLAP_SECONDS_MAX, default: 86_400, example: 3_600 },
    description: 'For how long the secret before signs as well.',
  })
  @MayBeAbsent()
  @IsWholeNumber(0, OVERLAP_SECONDS_MAX)
  overlap_seconds?: number;
}

/** One event, or those of a time. */
export class ReplayDto {
  @ApiPropertyOptional({ format: 'uuid', description: 'One event.', example: EVENT_EXAMPLE_ID })
  @MayBeAbsent()
  @IsId()
  event_id?: string;

  @ApiPropertyOptional({ ...INSTANT, description: 'All events from then on.', example: '2026-01-31T09:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  from?: string;

  @ApiPropertyOptional({ ...INSTANT, description: 'And before then.', example: '2026-01-31T10:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  before?: string;

  @ApiPropertyOptional({
    ...{ enum: ['all', 'dead'], default: 'all', example: 'dead' },
    description: '`dead`: only events whose last delivery to this endpoint failed for good.',
  })
  @MayBeAbsent()
  @IsIn(['all', 'dead'], { message: 'must be all or dead' })
  only: 'all' | 'dead' = 'all';
}

export class EndpointIdParam {
  @ApiProperty({ format: 'uuid', example: ENDPOINT_EXAMPLE_ID })
  @IsId()
  endpoint_id: string;
}

export class ListDeliveriesQuery extends PageQuery {
  @ApiPropertyOptional({ enum: DELIVERY_STATUSES, example: 'dead' })
  @MayBeAbsent()
  @IsIn(DELIVERY_STATUSES, { message: `must be one of ${DELIVERY_STATUSES.join(', ')}` })
  status?: DeliveryStatus;

  @ApiPropertyOptional({ format: 'uuid', description: 'Those of one event.', example: EVENT_EXAMPLE_ID })
  @MayBeAbsent()
  @IsId()
  event_id?: string;
}

export class WebhookEndpointBody {
  @ApiProperty({ format: 'uuid', example: ENDPOINT_EXAMPLE_ID }) id: string;
  @ApiProperty({ example: 'https://example.com/webhooks' }) url: string;
  @ApiProperty(TYPES_FIELD) types: string[];
  @ApiProperty({ type: String, nullable: true, example: 'Shop, orders' }) description: string | null;
  @ApiProperty({ enum: ENDPOINT_STATUSES, example: 'active' }) status: EndpointStatus;
  @ApiProperty({
    ...{ enum: DISABLED_REASONS, nullable: true, example: null },
    description: '`failing`: an event failed for three days, and no other came through; `gone`: it answered 410.',
  })
  disabled_reason: DisabledReason | null;
  @ApiProperty({ ...MAYBE_INSTANT, description: 'Since when no attempt has succeeded.' }) failing_since: string | null;
  @ApiProperty({ ...MAYBE_INSTANT, description: 'Until when the secret before signs as well.' })
  previous_secret_expires_at: string | null;
  @ApiProperty({ example: 'operator' }) created_by: string;
  @ApiProperty({ description: 'The ETag without quotes.', example: 1 }) version: number;
  @ApiProperty(INSTANT) created_at: string;
  @ApiProperty(INSTANT) updated_at: string;
}

export class WebhookSecretBody extends WebhookEndpointBody {
  @ApiProperty({
    ...{ type: String, nullable: true, example: 'whsec_<32 random bytes in base64>' },
    description: 'Shown this once. Null in the answer to a repeat.',
  })
  secret: string | null;
}

export class WebhookTestBody {
  @ApiProperty({ format: 'uuid', example: ENDPOINT_EXAMPLE_ID }) endpoint_id: string;
  @ApiProperty({ example: 'A trial, asked for by operator.' }) message: string;
}

export class ReplayBody {
  @ApiProperty({ description: 'Deliveries that are on their way now.', example: 1 }) deliveries: number;
}

export class AttemptBody {
  @ApiProperty(INSTANT) at: string;
  @ApiProperty({ example: 87 }) duration_ms: number;
  @ApiProperty({ type: Number, nullable: true, description: 'Null: no answer came.', example: 503 })
  status_code: number | null;
  @ApiProperty({ type: String, nullable: true, example: 'answered 503' }) error: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'The beginning of the answer.', example: 'try later' })
  response: string | null;
}

export class WebhookDeliveryBody {
  @ApiProperty({ format: 'uuid', example: DELIVERY_EXAMPLE_ID }) id: string;
  @ApiProperty({ format: 'uuid', example: ENDPOINT_EXAMPLE_ID }) endpoint_id: string;
  @ApiProperty({ format: 'uuid', description: 'What it is sent as: `webhook-id`.', example: EVENT_EXAMPLE_ID })
  event_id: string;
  @ApiProperty({ enum: Object.keys(EVENT_TYPES), example: 'transaction.posted' }) event_type: EventType;
  @ApiProperty({ enum: DELIVERY_STATUSES, example: 'delivered' }) status: DeliveryStatus;
  @ApiProperty({ description: 'Whether somebody asked for it to be sent again.', example: false }) is_replay: boolean;
  @ApiProperty({ type: [AttemptBody] }) attempts: AttemptBody[];
  @ApiProperty({ ...MAYBE_INSTANT, description: 'Of one that is pending: not before then.' })
  next_attempt_at: string | null;
  @ApiProperty(INSTANT) created_at: string;
  @ApiProperty(MAYBE_INSTANT) ended_at: string | null;
}

export function endpointBody(endpoint: WebhookEndpoint): WebhookEndpointBody {
  return {
    id: endpoint.id,
    url: endpoint.url,
    types: endpoint.types,
    description: endpoint.description,
    status: endpoint.status,
    disabled_reason: endpoint.disabledReason,
    failing_since: endpoint.failingSince?.toISOString() ?? null,
    previous_secret_expires_at: endpoint.previousExpiresAt?.toISOString() ?? null,
    created_by: endpoint.createdBy,
    version: endpoint.version,
    created_at: endpoint.createdAt.toISOString(),
    updated_at: endpoint.updatedAt.toISOString(),
  };
}

export function deliveryBody(delivery: WebhookDelivery): WebhookDeliveryBody {
  return {
    id: delivery.id,
    endpoint_id: delivery.endpointId,
    event_id: delivery.eventId,
    event_type: delivery.eventType,
    status: delivery.status,
    is_replay: delivery.isReplay,
    attempts: delivery.attempts,
    next_attempt_at: delivery.status === 'pending' ? delivery.nextAttemptAt.toISOString() : null,
    created_at: delivery.createdAt.toISOString(),
    ended_at: delivery.endedAt?.toISOString() ?? null,
  };
}
