import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** What an operator did, to what, and why. Never updated, never deleted. */
@Entity('audit_log')
@Index('audit_log_actor_idx', ['actor', 'id'])
@Index('audit_log_action_idx', ['action', 'id'])
@Index('audit_log_object_idx', ['objectId', 'id'])
export class AuditEntry {
  /** Rises with time. */
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  actor: string;

  @Column('text')
  action: string;

  @Column('text', { name: 'object_type' })
  objectType: string;

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
