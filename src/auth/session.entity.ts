import { Check, Column, CreateDateColumn, Entity, Index, PrimaryColumn } from 'typeorm';

export const SESSION_ENDS = ['logout', 'token_reused', 'operator', 'user_suspended'] as const;
export type SessionEnd = (typeof SESSION_ENDS)[number];

/** A person who signed in on a device. */
@Entity('sessions')
@Index('sessions_user_id_idx', ['userId', 'id'])
@Index('sessions_expires_at_idx', ['expiresAt'])
@Index('sessions_ended_at_idx', ['endedAt'], { where: 'ended_at IS NOT NULL' })
@Check('sessions_end_reason_known', `end_reason IN ('logout', 'token_reused', 'operator', 'user_suspended')`)
@Check('sessions_end_has_reason', '(ended_at IS NULL) = (end_reason IS NULL)')
export class Session {
  @PrimaryColumn('uuid')
  id: string;

  @Column('uuid', { name: 'user_id' })
  userId: string;

  @Column('text', { name: 'user_agent', nullable: true })
  userAgent: string | null;

  @Column('text', { nullable: true })
  address: string | null;

  /** However often it is renewed. */
  @Column('timestamptz', { name: 'expires_at' })
  expiresAt: Date;

  /** When it began or was last renewed. */
  @Column('timestamptz', { name: 'last_used_at', default: () => 'now()' })
  lastUsedAt: Date;

  @Column('timestamptz', { name: 'ended_at', nullable: true })
  endedAt: Date | null;

  @Column('text', { name: 'end_reason', nullable: true })
  endReason: SessionEnd | null;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;
}

/** A refresh token of a session: good once. It stays when used, so that a second use is noticed. */
@Entity('refresh_tokens')
@Index('refresh_tokens_session_id_idx', ['sessionId'])
@Check('refresh_tokens_used_has_successor', '(used_at IS NULL) = (successor_salt IS NULL)')
export class RefreshToken {
  /** SHA-256 of the token. */
  @PrimaryColumn('bytea')
  hash: Buffer;

  @Column('uuid', { name: 'session_id' })
  sessionId: string;

  @Column('timestamptz', { name: 'used_at', nullable: true })
  usedAt: Date | null;

  /** With it and the token itself its successor can be made again, for a caller whose answer was lost. */
  @Column('bytea', { name: 'successor_salt', nullable: true })
  successorSalt: Buffer | null;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;
}
