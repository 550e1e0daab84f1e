import { ApiProperty } from '@nestjs/swagger';
import { IsText } from '../validation.js';

/** The answer of a money call, without what only a read tells. */
export class IdempotencyKeyBody {
  @ApiProperty({ example: '5f0c7c9e-9a43-4b8e-8a57-3a4f6f1f3d20' }) key: string;
  @ApiProperty({ description: 'The HTTP status that was answered.', example: 201 }) status_code: number;
  @ApiProperty({ type: 'object', additionalProperties: true, description: 'The body that was answered.' }) body: object;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) created_at: string;
}

export class IdempotencyKeyParam {
  @ApiProperty({ maxLength: 255, example: '5f0c7c9e-9a43-4b8e-8a57-3a4f6f1f3d20' })
  @IsText(255)
  key: string;
}
