import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** The one outcome of an idempotency key. Written in the database transaction of what it tells about. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('idempotency_keys')
@Index('idempotency_keys_created_at_idx', { synchronize: false })
@Check('idempotency_keys_has_outcome', `transaction_id IS NOT NULL OR outcome IS NOT NULL`)
export class IdempotencyKey {
  /** The caller that the key belongs to. */
  @PrimaryColumn('text')
  scope: string;

  @PrimaryColumn('text')
  key: string;

  /** First 128 bits of the SHA-256 of the request's canonical form. */
  @Column('bytea')
  fingerprint: Buffer;

  @Column('smallint', { name: 'status_code' })
  statusCode: number;

  /** Set where the outcome is a posted transaction: transactions never change, so the answer is read from it. */
  @Column('uuid', { name: 'transaction_id', nullable: true })
  transactionId: string | null;

  /** Any other outcome: code and detail of a refusal, or the body of a created user or wallet. `json`, not `jsonb`:
   * the replay answers the fields in their first order. */
  @Column('json', { nullable: true })
  outcome: Record<string, unknown> | null;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;
}
