import { Column, CreateDateColumn, Entity, PrimaryColumn, UpdateDateColumn, VersionColumn } from 'typeorm';

export const USER_STATUSES = ['active', 'suspended'] as const;
export type UserStatus = (typeof USER_STATUSES)[number];
/** Flat notes of the caller's own: up to 50 names with a text, number or boolean each. */
export type Metadata = Record<string, string | number | boolean>;

/** A person or business that owns wallets, known by phone number. */
@Entity('users')
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
  @VersionColumn()
  version: number;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @UpdateDateColumn({ name: 'updated_at', type: 'timestamptz' })
  updatedAt: Date;
}
