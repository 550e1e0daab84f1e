import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** `noun.verb` in the past tense. */
export const AUDIT_ACTIONS = [
  ...(['api_key.created', 'api_key.rotated', 'api_key.revoked', 'sessions.ended', 'transaction.reversed'] as const),
  ...(['user.activated', 'user.phone_number_changed', 'user.suspended'] as const),
  ...(['webhook.created', 'webhook.changed', 'webhook.replayed', 'webhook.secret_rotated', 'webhook.deleted'] as const),
  ...(['wallet.closed', 'wallet.floor_lowered', 'wallet.frozen', 'wallet.limited', 'wallet.unfrozen'] as const),
];
export type AuditAction = (typeof AUDIT_ACTIONS)[number];
export const AUDIT_OBJECTS = ['api_key', 'transaction', 'user', 'wallet', 'webhook_endpoint'] as const;
export type AuditObject = (typeof AUDIT_OBJECTS)[number];

/** What an operator did, to what, and why. Never updated, never deleted. */
@Entity('audit_log')
@Index('audit_log_actor_idx', ['actor', 'id'])
@Index('audit_log_action_idx', ['action', 'id'])
@Index('audit_log_object_type_idx', ['objectType', 'id'])
@Index('audit_log_object_idx', ['objectId', 'id'])
@Index('audit_log_created_at_idx', ['createdAt'])
export class AuditEntry {
  /** Rises with time. */
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  actor: string;

  @Column('text')
  action: AuditAction;

  @Column('text', { name: 'object_type' })
  objectType: AuditObject;

  @Column('text', { name: 'object_id' })
  objectId: string;

  @Column('text', { nullable: true })
  reason: string | null;

  @Column('jsonb', { nullable: true })
  details: Record<string, unknown> | null;

  @Column('text', { nullable: true })
  address: string | null;

  @Column('text', { name: 'request_id', nullable: true })
  requestId: string | null;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;
}
