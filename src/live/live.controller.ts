import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiExtraModels, ApiHeader, ApiOkResponse, ApiOperation, ApiTags, getSchemaPath } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Needs } from '../auth/access.js';
import type { KnownRequest } from '../caller.js';
import { EVENT_EXAMPLE_ID } from '../events/event-types.js';
import { ApiErrors } from '../openapi.js';
import { WalletIdParam } from '../wallets/wallets.dto.js';
import { LiveBalanceBody } from './live.dto.js';
import { LiveService } from './live.service.js';

@ApiTags('Events')
@ApiExtraModels(LiveBalanceBody)
@Controller('v1/wallets/:wallet_id/stream')
export class LiveController {
  constructor(private readonly live: LiveService) {}

  @Get()
  @Needs('wallets:read', 'wallet_id')
  @ApiOperation({
    summary: 'Watch the balance of a wallet: how it stands, then every change as it is committed',
    description:
      'Server-Sent Events: messages `balance` whose `data` is the JSON below, and comments that keep the connection ' +
      'open. It ends when the credentials do; come back with new ones and `Last-Event-ID`.',
  })
  @ApiHeader({
    name: 'Last-Event-ID',
    description: 'The `id` of the last message that you have: what came since then, instead of how it stands.',
    schema: { type: 'string', format: 'uuid', example: EVENT_EXAMPLE_ID },
  })
  @ApiOkResponse({
    description: 'A stream of messages.',
    content: { 'text/event-stream': { schema: { $ref: getSchemaPath(LiveBalanceBody) } } },
  })
  @ApiErrors('validation_failed', 'wallet_not_found', 'system_wallet', 'too_many_streams', 'database_unavailable')
  stream(@Param() { wallet_id }: WalletIdParam, @Req() request: KnownRequest, @Res() reply: FastifyReply) {
    return this.live.open(wallet_id, request, reply);
  }
}
