import { ApiProperty } from '@nestjs/swagger';
import { IsId } from '../validation.js';
import type { Session } from './session.entity.js';

export const SESSION_EXAMPLE_ID = '0199a3c2-8f10-7b6d-9c41-6a2f1b0c9d22';

export class SessionIdParam {
  @ApiProperty({ format: 'uuid', example: SESSION_EXAMPLE_ID })
  @IsId()
  session_id: string;
}

export class SessionBody {
  @ApiProperty({ format: 'uuid', example: SESSION_EXAMPLE_ID }) id: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
  @ApiProperty({
    ...{ format: 'date-time', example: '2026-02-01T08:00:00.000Z' },
    description: 'When it began or was last renewed.',
  })
  last_used_at: string;
  @ApiProperty({
    ...{ format: 'date-time', example: '2026-03-03T08:00:00.000Z' },
    description: 'When it ends by itself, if it is not renewed before.',
  })
  expires_at: string;
  @ApiProperty({
    ...{ type: String, nullable: true, example: 'Mozilla/5.0 (Linux; Android 16)' },
    description: 'What the device said of itself.',
  })
  user_agent: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'Where it began.', example: '203.0.113.7' })
  address: string | null;
  @ApiProperty({ description: 'Whether this request is of it.', example: true }) is_current: boolean;
}

export class SessionsEndedBody {
  @ApiProperty({ description: 'How many sessions this has ended.', example: 1 }) ended_sessions: number;
}

export function sessionBody(session: Session, expiresAt: Date, isCurrent: boolean): SessionBody {
  return {
    id: session.id,
    created_at: session.createdAt.toISOString(),
    last_used_at: session.lastUsedAt.toISOString(),
    expires_at: expiresAt.toISOString(),
    user_agent: session.userAgent,
    address: session.address,
    is_current: isCurrent,
  };
}
