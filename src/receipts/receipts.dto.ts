import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { TRANSACTION_TYPES, type TransactionType } from '../transactions/transaction.entity.js';
import type { Metadata } from '../users/user.entity.js';
import { API_METADATA } from '../users/users.dto.js';
import { IsWholeNumber } from '../validation.js';
import { WALLET_EXAMPLE_ID, WalletIdParam } from '../wallets/wallets.dto.js';
import type { PublicJwk } from './jws.js';

export class EntryParam extends WalletIdParam {
  @ApiProperty({ type: 'integer', description: 'Number of the entry in its wallet.', minimum: 1, example: 2 })
  @Type(() => Number)
  @IsWholeNumber(1, Number.MAX_SAFE_INTEGER)
  seq: number;
}

const TEXT = { type: String, nullable: true, example: null } as const;
const ID = { type: String, format: 'uuid', nullable: true, example: null } as const;
const INSTANT = { format: 'date-time', example: '2026-01-31T09:30:00.000Z' };

/** The transaction of an entry as its hash covers it, field by field. */
export class ReceiptTransactionBody {
  @ApiProperty({ format: 'uuid', example: '0199a3c2-a0d4-7b61-9f0e-3c8d1e5b7a44' }) id: string;
  @ApiProperty({ enum: TRANSACTION_TYPES, example: 'debit' }) type: TransactionType;
  @ApiProperty({ ...TEXT, description: 'Null where it has several.', example: 'INR' }) currency: string | null;
  @ApiProperty({ ...TEXT, example: '150.00' }) amount: string | null;
  @ApiProperty({ ...TEXT, example: 'Order 1042' }) description: string | null;
  @ApiProperty({ ...TEXT, example: 'order-1042' }) reference: string | null;
  @ApiProperty({ ...API_METADATA, nullable: true }) metadata: Metadata | null;
  @ApiProperty({ example: 'operator' }) actor: string;
  @ApiProperty(ID) reverses_id: string | null;
  @ApiProperty(ID) hold_id: string | null;
  @ApiProperty(TEXT) reason: string | null;
  @ApiProperty(INSTANT) effective_at: string;
  @ApiProperty(INSTANT) created_at: string;
}

export class ReceiptBody {
  @ApiProperty({ enum: ['asper.receipt.1'], example: 'asper.receipt.1' }) form: 'asper.receipt.1';
  @ApiProperty({ example: 'asper-wallet' }) issuer: string;
  @ApiProperty(INSTANT) issued_at: string;
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiProperty({ description: 'Number of the entry in its wallet.', example: 2 }) seq: number;
  @ApiProperty({ description: 'Place among the legs of the transaction, from 0.', example: 0 }) leg: number;
  @ApiProperty({ description: 'Of the wallet.', example: 'INR' }) currency: string;
  @ApiProperty({ description: 'Signed: what came in is positive.', example: '-150.00' }) amount: string;
  @ApiProperty({ description: 'Balance of the wallet right after.', example: '350.00' }) balance_after: string;
  @ApiProperty({ type: ReceiptTransactionBody }) transaction: ReceiptTransactionBody;
  @ApiProperty({
    description: 'Of the entry before, hexadecimal; 64 zeros before the first.',
    example: '00'.repeat(32),
  })
  previous_hash: string;
  @ApiProperty({ description: 'SHA-256, hexadecimal.', example: 'a1'.repeat(32) }) hash: string;
}

export class SignedReceiptBody {
  @ApiProperty({ type: ReceiptBody }) receipt: ReceiptBody;
  @ApiProperty({
    description: 'The same receipt as a compact JWS (`alg` EdDSA, `typ` asper-receipt+jws): the part to keep.',
    example: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImFzcGVyLXJlY2VpcHQrandzIn0.eyJmb3JtIjoiYXNwZXIucmVjZWlwdC4xIn0.c2lnbmF0dXJl',
  })
  jws: string;
}

export class ReceiptKeyBody implements PublicJwk {
  @ApiProperty({ enum: ['OKP'], example: 'OKP' }) kty: 'OKP';
  @ApiProperty({ enum: ['Ed25519'], example: 'Ed25519' }) crv: 'Ed25519';
  @ApiProperty({ description: 'The key.', example: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }) x: string;
  @ApiProperty({ description: 'RFC 7638.', example: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k' }) kid: string;
  @ApiProperty({ enum: ['sig'], example: 'sig' }) use: 'sig';
  @ApiProperty({ enum: ['EdDSA'], example: 'EdDSA' }) alg: 'EdDSA';
}

export class ReceiptKeysBody {
  @ApiProperty({ type: [ReceiptKeyBody], description: 'The current key first, then retired ones.' })
  keys: ReceiptKeyBody[];
}
