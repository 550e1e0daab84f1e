import { Check, Column, Entity, Generated, Index, PrimaryColumn, VersionColumn } from 'typeorm';
import type { EventType } from '../events/event-types.js';

export const ENDPOINT_STATUSES = ['active', 'disabled'] as const;
export type EndpointStatus = (typeof ENDPOINT_STATUSES)[number];
/** `failing`: all attempts at an event failed, and nothing else came through meanwhile; `gone`: it answered 410. */
export const DISABLED_REASONS = ['operator', 'failing', 'gone'] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];
export const DELIVERY_STATUSES = ['pending', 'delivered', 'dead'] as const;
/** `dead`: all attempts failed; it can be sent again by hand. */
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** An address that events are sent to. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('webhook_endpoints')
@Check('webhook_endpoints_status_known', `status IN ('active', 'disabled')`)
@Check('webhook_endpoints_reason_known', `disabled_reason IN ('operator', 'failing', 'gone')`)
@Check('webhook_endpoints_disabled_has_reason', `(status = 'disabled') = (disabled_reason IS NOT NULL)`)
@Check('webhook_endpoints_previous_ends', `(previous_secret IS NULL) = (previous_expires_at IS NULL)`)
export class WebhookEndpoint {
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  url: string;

  /** Types and kinds (`hold.*`); none is all. */
  @Column('text', { array: true, default: [] })
  types: string[];

  @Column('text', { nullable: true })
  description: string | null;

  @Column('text')
  status: EndpointStatus;

  @Column('text', { name: 'disabled_reason', nullable: true })
  disabledReason: DisabledReason | null;

  @Column('bytea', { name: 'sealed_secret' })
  sealedSecret: Buffer;

  /** The one before, which signs as well until `previousExpiresAt`. */
  @Column('bytea', { name: 'previous_secret', nullable: true })
  previousSecret: Buffer | null;

  @Column('timestamptz', { name: 'previous_expires_at', nullable: true })
  previousExpiresAt: Date | null;

  /** Events up to this position have become deliveries. */
  @Column('bigint')
  position: string;

  /** Since when no attempt has succeeded. */
  @Column('timestamptz', { name: 'failing_since', nullable: true })
  failingSince: Date | null;

  /** The process that works at it. */
  @Column('uuid', { name: 'taken_by', nullable: true })
  takenBy: string | null;

  @Column('timestamptz', { name: 'taken_until', nullable: true })
  takenUntil: Date | null;

  @Column('text', { name: 'created_by' })
  createdBy: string;

  @VersionColumn({ default: 1 })
  version: number;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column('timestamptz', { name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;
}

/** One attempt at a delivery. */
export interface Attempt {
  at: string;
  duration_ms: number;
  /** Null where no answer came. */
  status_code: number | null;
  error: string | null;
  /** The beginning of what the receiver answered. */
  response: string | null;
}

/** An event on its way to an endpoint. */
@Entity('webhook_deliveries')
@Index('webhook_deliveries_pending_idx', { synchronize: false })
@Index('webhook_deliveries_endpoint_idx', ['endpointId', 'id'])
@Index('webhook_deliveries_dead_idx', { synchronize: false })
@Index('webhook_deliveries_event_idx', ['eventId'])
@Index('webhook_deliveries_ended_idx', { synchronize: false })
@Index('webhook_deliveries_once_idx', { synchronize: false })
@Check('webhook_deliveries_status_known', `status IN ('pending', 'delivered', 'dead')`)
@Check('webhook_deliveries_end_has_time', `(status = 'pending') = (ended_at IS NULL)`)
export class WebhookDelivery {
  @PrimaryColumn('uuid')
  id: string;

  /** The order in which they are sent. */
  @Column('bigint')
  @Generated('increment')
  n: string;

  @Column('uuid', { name: 'endpoint_id' })
  endpointId: string;

  @Column('uuid', { name: 'event_id' })
  eventId: string;

  @Column('bigint')
  batch: string;

  @Column('integer')
  ordinal: number;

  @Column('text', { name: 'event_type' })
  eventType: EventType;

  /** The wallets that the event concerns: it waits for what came before of each. */
  @Column('uuid', { name: 'subject_ids', array: true })
  subjectIds: string[];

  @Column('boolean', { name: 'is_replay' })
  isReplay: boolean;

  @Column('text')
  status: DeliveryStatus;

  @Column('jsonb', { default: [] })
  attempts: Attempt[];

  /** Of the plan: it begins anew where the endpoint is made active again, and `attempts` goes on. */
  @Column('integer', { name: 'attempt_count', default: 0 })
  attemptCount: number;

  @Column('timestamptz', { name: 'next_attempt_at', default: () => 'now()' })
  nextAttemptAt: Date;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column('timestamptz', { name: 'ended_at', nullable: true })
  endedAt: Date | null;
}
