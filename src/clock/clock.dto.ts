import { ApiProperty } from '@nestjs/swagger';
import { IsWholeNumber } from '../validation.js';

/** Ten years. */
const SECONDS_MAX = 10 * 366 * 86_400;

export class SetClockDto {
  @ApiProperty({
    type: 'integer',
    minimum: 1,
    maximum: SECONDS_MAX,
    description: 'How far ahead of the real time.',
    example: 604_800,
  })
  @IsWholeNumber(1, SECONDS_MAX)
  ahead_seconds: number;
}

export class ClockBody {
  @ApiProperty({ format: 'date-time', example: '2026-02-07T09:30:00.000Z' }) now: string;
  @ApiProperty({ description: 'How far ahead of the real time.', example: 604_800 }) ahead_seconds: number;
}
