import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { PageQuery } from '../paging.js';
import { IsId, IsMetadata, IsText, MayBeAbsent } from '../validation.js';
import { USER_STATUSES, type Metadata, type User, type UserStatus } from './user.entity.js';

const PHONE = { description: 'International (+91…), or national digits of the default region.', maxLength: 32 };
const METADATA = {
  type: 'object' as const,
  additionalProperties: { oneOf: [{ type: 'string' }, { type: 'number' }, { type: 'boolean' }] },
  description: 'Your own notes: up to 50 names of 64 characters, each with a text of 500, a number or a boolean.',
  example: { plan: 'gold' },
};
export const API_METADATA = METADATA;

export class RegisterUserDto {
  @ApiProperty({ ...PHONE, example: '+919876543210' })
  @IsText(32)
  phone_number: string;

  @ApiPropertyOptional(METADATA)
  @MayBeAbsent()
  @IsMetadata()
  metadata?: Metadata;
}

export class ChangeUserDto {
  @ApiPropertyOptional({ ...PHONE, example: '+919876543211' })
  @MayBeAbsent()
  @IsText(32)
  phone_number?: string;

  @ApiPropertyOptional({ enum: USER_STATUSES, example: 'active' })
  @MayBeAbsent()
  @IsIn(USER_STATUSES, { message: `must be ${USER_STATUSES.join(' or ')}` })
  status?: UserStatus;

  @ApiPropertyOptional({
    description:
      'Why status or phone number change, for the audit log. The status needs it, and the scope `users:admin`.',
    maxLength: 500,
    example: 'Lost their phone',
  })
  @MayBeAbsent()
  @IsText(500)
  reason?: string;

  @ApiPropertyOptional({ ...METADATA, description: 'Replaces the notes as a whole.' })
  @MayBeAbsent()
  @IsMetadata()
  metadata?: Metadata;
}

export class UserIdParam {
  @ApiProperty({ format: 'uuid', example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' })
  @IsId()
  user_id: string;
}

export class ListUsersQuery extends PageQuery {
  @ApiPropertyOptional({ ...PHONE, example: '+919876543210' })
  @MayBeAbsent()
  @IsText(32)
  phone_number?: string;
}

export class UserBody {
  @ApiProperty({ format: 'uuid', example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' }) id: string;
  @ApiProperty({ description: 'E.164', example: '+919876543210' }) phone_number: string;
  @ApiProperty({ enum: USER_STATUSES, example: 'active' }) status: UserStatus;
  @ApiProperty(METADATA) metadata: Metadata;
  @ApiProperty({ description: 'The ETag without quotes.', example: 1 }) version: number;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) updated_at: string;
}

export function userBody(user: User): UserBody {
  return {
    id: user.id,
    phone_number: user.phoneNumber,
    status: user.status,
    metadata: user.metadata ?? {},
    version: user.version,
    created_at: user.createdAt.toISOString(),
    updated_at: user.updatedAt.toISOString(),
  };
}
