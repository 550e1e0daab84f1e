import { Body, Controller, Get, Put } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { ApiErrors } from '../openapi.js';
import { ClockBody, SetClockDto } from './clock.dto.js';
import { Clock } from './clock.js';

@ApiTags('Operations')
@Controller('v1/test-clock')
export class ClockController {
  constructor(private readonly clock: Clock) {}

  @Get()
  @Needs('ledger:admin')
  @ApiOperation({ summary: 'Read the clock of holds and schedules' })
  @ApiOkResponse({ type: ClockBody })
  @ApiErrors('database_unavailable')
  read(): ClockBody {
    return clockBody(this.clock);
  }

  @Put()
  @Needs('ledger:admin')
  @ApiOperation({ summary: 'Put the clock forward, in development: what expires or is due then, does so at once' })
  @ApiOkResponse({ type: ClockBody })
  @ApiErrors('bad_request', 'validation_failed', 'test_clock_off', 'database_unavailable')
  async set(@Body() { ahead_seconds }: SetClockDto): Promise<ClockBody> {
    await this.clock.setAhead(ahead_seconds);
    return clockBody(this.clock);
  }
}

function clockBody(clock: Clock): ClockBody {
  const now = clock.now();
  return { now: new Date(now).toISOString(), ahead_seconds: Math.round((now - Date.now()) / 1_000) };
}
