import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsText, MayBeAbsent } from '../validation.js';

/** The answer of a money call, without what only a read tells. */
export class IdempotencyKeyBody {
  @ApiProperty({ example: '5f0c7c9e-9a43-4b8e-8a57-3a4f6f1f3d20' }) key: string;
  @ApiProperty({ description: 'The HTTP status that was answered.', example: 201 }) status_code: number;
  @ApiProperty({ type: 'object', additionalProperties: true, description: 'The body that was answered.' }) body: object;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

export class IdempotencyKeyQuery {
  @ApiPropertyOptional({
    maxLength: 100,
    description:
      'Whose key, as an `actor` is named: `key:<id>`, `user:<id>`, `operator`, or `import:<source>`. Left out: the caller’s own. ' +
      'That of others needs the scopes `audit:read` and `transactions:read`, and of what is no transaction shows the id.',
    example: 'operator',
  })
  @MayBeAbsent()
  @IsText(100)
  caller?: string;
}

export class IdempotencyKeyParam {
  @ApiProperty({ maxLength: 255, example: '5f0c7c9e-9a43-4b8e-8a57-3a4f6f1f3d20' })
  @IsText(255)
  key: string;
}
