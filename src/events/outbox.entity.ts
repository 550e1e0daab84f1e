import { Check, Column, Entity, Index, PrimaryColumn, PrimaryGeneratedColumn, Unique } from 'typeorm';
import { minorUnits } from '../money.js';
import type { EventType } from './event-types.js';

/** Events of one database transaction. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('outbox_batches')
@Unique('outbox_batches_position_key', ['position'])
@Index('outbox_batches_unplaced_idx', { synchronize: false })
@Index('outbox_batches_created_at_idx', ['createdAt'])
export class OutboxBatch {
  /** Rises with time within each wallet. */
  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'BY DEFAULT' })
  id: string;

  /** Its place among all, given once it is committed. */
  @Column('bigint', { nullable: true })
  position: string | null;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;
}

/** An event, as it concerns one wallet, user or other thing. Never updated; deleted after the retention. */
@Entity('outbox')
@Index('outbox_batch_idx', ['batch', 'ordinal'])
export class OutboxEvent {
  /** The wallet, or the user, schedule or webhook endpoint where no wallet is concerned. */
  @PrimaryColumn('uuid', { name: 'subject_id' })
  subjectId: string;

  @PrimaryColumn('bigint')
  batch: string;

  /** Number of the event in its batch. */
  @PrimaryColumn('integer')
  ordinal: number;

  /** Number of the subject in the event. */
  @Column('smallint')
  place: number;

  @Column('text')
  type: EventType;

  /** What it tells of: a transaction, hold, wallet, user, … */
  @Column('uuid', { name: 'object_id' })
  objectId: string;

  /** Version of the wallet or user right after. */
  @Column('integer', { nullable: true })
  version: number | null;

  /** Minor units: balance of the wallet right after. */
  @Column('bigint', { transformer: minorUnits, nullable: true })
  balance: bigint | null;

  @Column('bigint', { transformer: minorUnits, nullable: true })
  held: bigint | null;

  /** What the API answered; null of a transaction, which is read again. */
  @Column('json', { nullable: true })
  body: object | null;
}

/** How far positions are given: one row. */
@Entity('outbox_place')
@Check('outbox_place_is_one', 'id')
export class OutboxPlace {
  @PrimaryColumn('boolean', { default: true })
  id: boolean;

  @Column('bigint', { default: 0 })
  position: string;
}
