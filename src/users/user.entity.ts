import {
  Check,
  Column,
  CreateDateColumn,
  Entity,
  PrimaryColumn,
  Unique,
  UpdateDateColumn,
  VersionColumn,
} from 'typeorm';

export const USER_STATUSES = ['active', 'suspended'] as const;
export type UserStatus = (typeof USER_STATUSES)[number];
/** Flat notes of the caller's own: up to 50 names with a text, number or boolean each. */
export type Metadata = Record<string, string | number | boolean>;

/** A person or business that owns wallets, known by phone number. */
// Names and shapes as in migrations/, so that `migration:generate` finds nothing to change.
@Entity('users')
@Unique('users_phone_number_key', ['phoneNumber'])
@Check('users_status_known', `status IN ('active', 'suspended')`)
@Check('users_phone_number_e164', `phone_number ~ '^\\+[1-9][0-9]{1,14}$'`)
export class User {
  @PrimaryColumn('uuid')
  id: string;

  /** E.164, unique. */
  @Column('text', { name: 'phone_number' })
  phoneNumber: string;

  @Column('text')
  status: UserStatus;

  @Column('jsonb', { nullable: true })
  metadata: Metadata | null;

  /** Counts the changes; it is the ETag. `save()` does not guard it: updates name it in their WHERE. */
  @VersionColumn({ default: 1 })
  version: number;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @UpdateDateColumn({ name: 'updated_at', type: 'timestamptz' })
  updatedAt: Date;
}
