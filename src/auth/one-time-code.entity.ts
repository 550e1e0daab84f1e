import { Column, CreateDateColumn, Entity, Index, PrimaryColumn } from 'typeorm';

/** A code that was asked for, whether or not anybody has the number. */
@Entity('one_time_codes')
@Index('one_time_codes_expires_at_idx', ['expiresAt'])
export class OneTimeCode {
  @PrimaryColumn('uuid')
  id: string;

  /** E.164. */
  @Column('text', { name: 'phone_number' })
  phoneNumber: string;

  /** HMAC of id and code under AUTH_SECRET. */
  @Column('bytea', { name: 'code_hash' })
  codeHash: Buffer;

  @Column('smallint', { default: 0 })
  tries: number;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt: Date;

  /** When it was traded for tokens. */
  @Column('timestamptz', { name: 'consumed_at', nullable: true })
  consumedAt: Date | null;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;
}
