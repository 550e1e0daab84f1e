import { IsIn } from 'class-validator';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { PageQuery } from '../paging.js';
import { IsFlag, IsId, IsInstant, IsText, IsTextList, IsWholeNumber, MayBeAbsent } from '../validation.js';
import type { ApiKey } from './api-key.entity.js';
import { isNetwork } from './auth.config.js';
import { ALL_SCOPES, isScope, ROLES, type Role, type Scope } from './scopes.js';

const ROLE_NAMES = Object.keys(ROLES) as Role[];
const KEY_EXAMPLE_ID = '0199a3c2-f1b6-7d02-9c4e-2a7b5d8e3f10';
const INSTANT = { format: 'date-time', example: '2026-01-31T09:30:00.000Z' };
const MAYBE_INSTANT = { ...INSTANT, type: String, nullable: true, example: null };
const ADDRESSES_MAX = 50;
const OVERLAP_SECONDS_MAX = 30 * 86_400;

class ReasonedDto {
  @ApiProperty({ maxLength: 500, description: 'Why; it stands in the audit log.', example: 'For the checkout service' })
  @IsText(500)
  reason: string;
}

export class CreateApiKeyDto extends ReasonedDto {
  @ApiProperty({ maxLength: 100, description: 'Who uses it: a service, or a human.', example: 'checkout' })
  @IsText(100)
  name: string;

  @ApiPropertyOptional({ enum: ALL_SCOPES, isArray: true, example: ['wallets:read', 'transactions:write'] })
  @MayBeAbsent()
  @IsTextList(1, ALL_SCOPES.length, isScope, `scopes out of ${ALL_SCOPES.join(', ')}`)
  scopes?: Scope[];

  @ApiPropertyOptional({ enum: ROLE_NAMES, description: 'The usual scopes, instead of `scopes`.', example: 'server' })
  @MayBeAbsent()
  @IsIn(ROLE_NAMES, { message: `must be ${ROLE_NAMES.join(' or ')}` })
  role?: Role;

  @ApiPropertyOptional({ ...INSTANT, description: 'By default it never expires.', example: '2027-01-31T00:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  expires_at?: string;

  @ApiPropertyOptional({
    ...{ type: [String], maxItems: ADDRESSES_MAX, example: ['10.0.0.0/8'] },
    description: 'Addresses and networks that it may be used from; by default all.',
  })
  @MayBeAbsent()
  @IsTextList(0, ADDRESSES_MAX, isNetwork, 'addresses or networks such as 10.0.0.0/8')
  allowed_addresses?: string[];

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: 100_000_000, example: 6_000 })
  @MayBeAbsent()
  @IsWholeNumber(1, 100_000_000)
  requests_per_minute?: number;
}

export class RotateApiKeyDto extends ReasonedDto {
  @ApiPropertyOptional({
    ...{ type: 'integer', minimum: 0, maximum: OVERLAP_SECONDS_MAX, default: 86_400, example: 3_600 },
    description: 'For how long the secret before stays good.',
  })
  @MayBeAbsent()
  @IsWholeNumber(0, OVERLAP_SECONDS_MAX)
  overlap_seconds?: number;
}

export class RevokeApiKeyDto extends ReasonedDto {}

export class ApiKeyIdParam {
  @ApiProperty({ format: 'uuid', example: KEY_EXAMPLE_ID })
  @IsId()
  key_id: string;
}

export class ListApiKeysQuery extends PageQuery {
  @ApiPropertyOptional({ type: 'boolean', description: 'Only revoked ones, or only others.' })
  @IsFlag()
  revoked?: boolean;
}

export class ApiKeyBody {
  @ApiProperty({ format: 'uuid', example: KEY_EXAMPLE_ID }) id: string;
  @ApiProperty({ example: 'checkout' }) name: string;
  @ApiProperty({ enum: ALL_SCOPES, isArray: true, example: ['wallets:read', 'transactions:write'] }) scopes: Scope[];
  @ApiProperty({ type: [String], description: 'Empty: any.', example: ['10.0.0.0/8'] }) allowed_addresses: string[];
  @ApiProperty({ type: Number, nullable: true, description: 'Null: as the service has it.', example: 6_000 })
  requests_per_minute: number | null;
  @ApiProperty({ description: 'The last characters of the secret.', example: 'x7Qa' }) secret_hint: string;
  @ApiProperty({ ...MAYBE_INSTANT, description: 'Until when the secret before is good, where it is.' })
  previous_expires_at: string | null;
  @ApiProperty(MAYBE_INSTANT) expires_at: string | null;
  @ApiProperty(MAYBE_INSTANT) revoked_at: string | null;
  @ApiProperty({ ...MAYBE_INSTANT, description: 'To the minute.' }) last_used_at: string | null;
  @ApiProperty({ example: 'operator' }) created_by: string;
  @ApiProperty({ description: 'The ETag without quotes.', example: 1 }) version: number;
  @ApiProperty(INSTANT) created_at: string;
  @ApiProperty(INSTANT) updated_at: string;
}

export class SecretBody extends ApiKeyBody {
  @ApiProperty({
    ...{ type: String, nullable: true, example: 'asper_key_<43 random characters><checksum>' },
    description: 'Shown this once. Null in the answer to a repeat.',
  })
  secret: string | null;
}

export function apiKeyBody(key: ApiKey): ApiKeyBody {
  return {
    id: key.id,
    name: key.name,
    scopes: key.scopes,
    allowed_addresses: key.allowedAddresses,
    requests_per_minute: key.requestsPerMinute,
    secret_hint: key.secretHint,
    previous_expires_at: key.previousExpiresAt?.toISOString() ?? null,
    expires_at: key.expiresAt?.toISOString() ?? null,
    revoked_at: key.revokedAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
    created_by: key.createdBy,
    version: key.version,
    created_at: key.createdAt.toISOString(),
    updated_at: key.updatedAt.toISOString(),
  };
}
