import { Body, Controller, Get, Param, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { answer, withETag, type Reply } from '../answer.js';
import { Needs } from '../auth/access.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiPage, ApiWrite } from '../openapi.js';
import { CreateScheduleDto, ListSchedulesQuery, ScheduleBody, ScheduleIdParam } from './schedules.dto.js';
import { SchedulesService } from './schedules.service.js';

@ApiTags('Schedules')
@Controller('v1/schedules')
export class SchedulesController {
  constructor(private readonly schedules: SchedulesService) {}

  @Post()
  @Needs('schedules:write', 'self')
  @ApiOperation({ summary: 'Schedule a transfer: once later, or every day, week or month' })
  @ApiCreatedResponse({ type: ScheduleBody })
  @ApiWrite('wallet_not_found', 'system_wallet', 'wallet_closed', 'currency_mismatch', 'too_many_schedules')
  async create(
    @Body() dto: CreateScheduleDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.schedules.create(dto, caller));
  }

  @Get()
  @Needs('schedules:read', 'self')
  @ApiOperation({ summary: 'List schedules, newest first' })
  @ApiPage(ScheduleBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: ListSchedulesQuery, @CurrentCaller() caller: Caller) {
    return this.schedules.list(query, caller);
  }

  @Get(':schedule_id')
  @Needs('schedules:read', 'schedule_id')
  @ApiOperation({ summary: 'Read a schedule: what is next, and what became of the last' })
  @ApiOkResponse({ type: ScheduleBody })
  @ApiErrors('validation_failed', 'schedule_not_found', 'database_unavailable')
  async read(@Param() { schedule_id }: ScheduleIdParam, @Res({ passthrough: true }) reply: Reply) {
    return withETag(reply, await this.schedules.read(schedule_id));
  }

  @Post(':schedule_id/pause')
  @Needs('schedules:write', 'schedule_id')
  @ApiOperation({ summary: 'Pause a schedule: nothing is posted until it is resumed' })
  @ApiCreatedResponse({ type: ScheduleBody })
  @ApiWrite('schedule_not_found', 'schedule_ended', 'schedule_not_active')
  @ApiIfMatch()
  async pause(
    @Param() { schedule_id }: ScheduleIdParam,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.schedules.pause(schedule_id, caller));
  }

  @Post(':schedule_id/resume')
  @Needs('schedules:write', 'schedule_id')
  @ApiOperation({ summary: 'Resume a paused schedule; what it missed is skipped or caught up' })
  @ApiCreatedResponse({ type: ScheduleBody })
  @ApiWrite('schedule_not_found', 'schedule_ended', 'schedule_not_paused')
  @ApiIfMatch()
  async resume(
    @Param() { schedule_id }: ScheduleIdParam,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.schedules.resume(schedule_id, caller));
  }

  @Post(':schedule_id/cancel')
  @Needs('schedules:write', 'schedule_id')
  @ApiOperation({ summary: 'Cancel a schedule for good' })
  @ApiCreatedResponse({ type: ScheduleBody })
  @ApiWrite('schedule_not_found', 'schedule_ended')
  @ApiIfMatch()
  async cancel(
    @Param() { schedule_id }: ScheduleIdParam,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.schedules.cancel(schedule_id, caller));
  }
}
