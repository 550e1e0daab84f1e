import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** An Ed25519 key that access tokens are signed with, or were. */
@Entity('signing_keys')
export class SigningKey {
  /** The thumbprint of the public key (RFC 7638). */
  @PrimaryColumn('text')
  kid: string;

  /** `x` of its JWK: 32 bytes in base64url. */
  @Column('text', { name: 'public_key' })
  publicKey: string;

  /** The private half, sealed under AUTH_SECRET. */
  @Column('bytea', { name: 'sealed_private' })
  sealedPrivate: Buffer;

  /** By then every process and every cache of the key set knows it. */
  @Column('timestamptz', { name: 'signs_from' })
  signsFrom: Date;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;
}
