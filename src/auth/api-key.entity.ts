import {
  Check,
  Column,
  CreateDateColumn,
  Entity,
  Index,
  PrimaryColumn,
  Unique,
  UpdateDateColumn,
  VersionColumn,
} from 'typeorm';
import type { Scope } from './scopes.js';

/** What a server or an operator calls with. Its id outlives its secrets, and names it in history and idempotency keys. */
@Entity('api_keys')
@Unique('api_keys_secret_hash_key', ['secretHash'])
@Unique('api_keys_previous_hash_key', ['previousHash'])
@Index('api_keys_updated_at_idx', ['updatedAt'])
@Check('api_keys_has_scopes', 'cardinality(scopes) > 0')
@Check('api_keys_rate_positive', 'requests_per_minute > 0')
@Check('api_keys_previous_ends', '(previous_hash IS NULL) = (previous_expires_at IS NULL)')
export class ApiKey {
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  name: string;

  @Column('text', { array: true })
  scopes: Scope[];

  /** Addresses and networks that it may be used from; none: any. */
  @Column('text', { name: 'allowed_addresses', array: true, default: '{}' })
  allowedAddresses: string[];

  /** Null: the service's default for keys. */
  @Column('integer', { name: 'requests_per_minute', nullable: true })
  requestsPerMinute: number | null;

  /** SHA-256 of the secret. */
  @Column('bytea', { name: 'secret_hash' })
  secretHash: Buffer;

  /** Its last characters, to tell keys apart by. */
  @Column('text', { name: 'secret_hint' })
  secretHint: string;

  /** The secret before the current one, while both are good. */
  @Column('bytea', { name: 'previous_hash', nullable: true })
  previousHash: Buffer | null;

  @Column('timestamptz', { name: 'previous_expires_at', nullable: true })
  previousExpiresAt: Date | null;

  @Column('timestamptz', { name: 'expires_at', nullable: true })
  expiresAt: Date | null;

  @Column('timestamptz', { name: 'revoked_at', nullable: true })
  revokedAt: Date | null;

  /** To the minute; written at most once a minute. */
  @Column('timestamptz', { name: 'last_used_at', nullable: true })
  lastUsedAt: Date | null;

  @Column('text', { name: 'created_by' })
  createdBy: string;

  @VersionColumn({ default: 1 })
  version: number;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @UpdateDateColumn({ name: 'updated_at', type: 'timestamptz' })
  updatedAt: Date;
}
