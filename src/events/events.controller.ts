import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { ApiErrors } from '../openapi.js';
import { EventPageBody, ListEventsQuery } from './events.dto.js';
import { EventsQueries } from './events.queries.js';

@ApiTags('Events')
@Controller('v1/events')
export class EventsController {
  constructor(private readonly events: EventsQueries) {}

  @Get()
  @Needs('events:read')
  @ApiOperation({ summary: 'Read what happened, oldest first, from any place on' })
  @ApiOkResponse({ type: EventPageBody })
  @ApiErrors('validation_failed', 'wallet_not_found', 'system_wallet', 'events_expired', 'database_unavailable')
  list(@Query() query: ListEventsQuery) {
    return this.events.list(query);
  }
}
