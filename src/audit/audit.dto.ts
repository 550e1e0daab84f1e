import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { PageQuery } from '../paging.js';
import { IsInstant, IsText, MayBeAbsent } from '../validation.js';
import {
  AUDIT_ACTIONS,
  AUDIT_OBJECTS,
  type AuditAction,
  type AuditEntry,
  type AuditObject,
} from './audit-entry.entity.js';

const OBJECT_EXAMPLE_ID = '0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90';

/** Filters of the audit log; each one given narrows it. */
export class ListAuditLogQuery extends PageQuery {
  @ApiPropertyOptional({
    description: 'Who: `operator`, `key:<id>` or `user:<id>`.',
    maxLength: 255,
    example: 'operator',
  })
  @MayBeAbsent()
  @IsText(255)
  actor?: string;

  @ApiPropertyOptional({ enum: AUDIT_ACTIONS, example: 'wallet.frozen' })
  @MayBeAbsent()
  @IsIn(AUDIT_ACTIONS, { message: `must be one of ${AUDIT_ACTIONS.join(', ')}` })
  action?: AuditAction;

  @ApiPropertyOptional({ enum: AUDIT_OBJECTS, example: 'wallet' })
  @MayBeAbsent()
  @IsIn(AUDIT_OBJECTS, { message: `must be one of ${AUDIT_OBJECTS.join(', ')}` })
  object_type?: AuditObject;

  @ApiPropertyOptional({ description: 'To what it was done.', maxLength: 255, example: OBJECT_EXAMPLE_ID })
  @MayBeAbsent()
  @IsText(255)
  object_id?: string;

  @ApiPropertyOptional({ format: 'date-time', description: 'Done at or after.', example: '2026-01-01T00:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  created_from?: string;

  @ApiPropertyOptional({ format: 'date-time', description: 'Done before.', example: '2026-02-01T00:00:00Z' })
  @MayBeAbsent()
  @IsInstant()
  created_before?: string;
}

export class AuditEntryBody {
  @ApiProperty({ format: 'uuid', example: '0199a3c2-f7c3-7e44-9a5d-3c8d2e0f7b12' }) id: string;
  @ApiProperty({ description: 'Who did it: `operator`, `key:<id>` or `user:<id>`.', example: 'operator' })
  actor: string;
  @ApiProperty({ enum: AUDIT_ACTIONS, example: 'wallet.frozen' }) action: AuditAction;
  @ApiProperty({ enum: AUDIT_OBJECTS, example: 'wallet' }) object_type: AuditObject;
  @ApiProperty({ description: 'The id of what it was done to.', example: OBJECT_EXAMPLE_ID }) object_id: string;
  @ApiProperty({ type: String, nullable: true, description: 'Why.', example: 'Asked for by the customer' })
  reason: string | null;
  @ApiProperty({
    ...{ type: 'object', additionalProperties: true, nullable: true },
    description: 'What belongs to this kind of act.',
    example: { status_change_id: '0199a3c2-e5a1-7d32-8f4b-2b7c1d9e6a01', mode: 'debits' },
  })
  details: Record<string, unknown> | null;
  @ApiProperty({ type: String, nullable: true, description: 'Where the request came from.', example: '203.0.113.7' })
  address: string | null;
  @ApiProperty({ type: String, nullable: true, example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' })
  request_id: string | null;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

export function auditEntryBody(entry: AuditEntry): AuditEntryBody {
  return {
    id: entry.id,
    actor: entry.actor,
    action: entry.action,
    object_type: entry.objectType,
    object_id: entry.objectId,
    reason: entry.reason,
    details: entry.details,
    address: entry.address,
    request_id: entry.requestId,
    created_at: entry.createdAt.toISOString(),
  };
}
