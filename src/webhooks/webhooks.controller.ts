import { Body, Controller, Delete, Get, Param, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiBody, ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { answer, withETag, type Reply } from '../answer.js';
import { Needs } from '../auth/access.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiPage, ApiWrite } from '../openapi.js';
import { PageQuery } from '../paging.js';
import { DeliveriesService } from './deliveries.service.js';
import {
  ChangeWebhookEndpointDto,
  CreateWebhookEndpointDto,
  EndpointIdParam,
  ListDeliveriesQuery,
  ReplayBody,
  ReplayDto,
  RotateWebhookSecretDto,
  WebhookDeliveryBody,
  WebhookEndpointBody,
  WebhookSecretBody,
  WebhookTestBody,
} from './webhooks.dto.js';
import { WebhooksService } from './webhooks.service.js';

@ApiTags('Webhooks')
@Controller('v1/webhook-endpoints')
export class WebhooksController {
  constructor(
    private readonly webhooks: WebhooksService,
    private readonly deliveries: DeliveriesService,
  ) {}

  @Post()
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'Have events sent to an address; its secret is shown this once' })
  @ApiCreatedResponse({ type: WebhookSecretBody })
  @ApiWrite('too_many_endpoints', 'sign_in_not_configured')
  async create(
    @Body() dto: CreateWebhookEndpointDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.webhooks.create(dto, caller));
  }

  @Get()
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'List webhook endpoints, newest first' })
  @ApiPage(WebhookEndpointBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: PageQuery) {
    return this.webhooks.list(query);
  }

  @Get(':endpoint_id')
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'Read a webhook endpoint, without its secret' })
  @ApiOkResponse({ type: WebhookEndpointBody })
  @ApiErrors('validation_failed', 'webhook_endpoint_not_found', 'database_unavailable')
  async read(@Param() { endpoint_id }: EndpointIdParam, @Res({ passthrough: true }) reply: Reply) {
    return withETag(reply, await this.webhooks.read(endpoint_id));
  }

  @Patch(':endpoint_id')
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'Change, disable or enable a webhook endpoint' })
  @ApiOkResponse({ type: WebhookEndpointBody })
  @ApiIfMatch()
  @ApiErrors(
    'bad_request',
    'validation_failed',
    'webhook_endpoint_not_found',
    'precondition_failed',
    'database_unavailable',
  )
  async change(
    @Param() { endpoint_id }: EndpointIdParam,
    @Body() dto: ChangeWebhookEndpointDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return withETag(reply, await this.webhooks.change(endpoint_id, dto, caller));
  }

  @Delete(':endpoint_id')
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'Delete a webhook endpoint, with what it is due' })
  @ApiOkResponse({ type: WebhookEndpointBody })
  @ApiIfMatch()
  @ApiErrors('validation_failed', 'webhook_endpoint_not_found', 'precondition_failed', 'database_unavailable')
  remove(@Param() { endpoint_id }: EndpointIdParam, @CurrentCaller() caller: Caller) {
    return this.webhooks.remove(endpoint_id, caller);
  }

  @Post(':endpoint_id/rotate-secret')
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'Give an endpoint a new secret, shown this once; the one before signs as well for a while' })
  @ApiBody({ type: RotateWebhookSecretDto, required: false })
  @ApiCreatedResponse({ type: WebhookSecretBody })
  @ApiWrite('webhook_endpoint_not_found', 'sign_in_not_configured')
  @ApiIfMatch()
  async rotate(
    @Param() { endpoint_id }: EndpointIdParam,
    @Body() dto: RotateWebhookSecretDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.webhooks.rotate(endpoint_id, dto, caller));
  }

  @Post(':endpoint_id/test')
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'Send an event for trial to an endpoint' })
  @ApiCreatedResponse({ type: WebhookTestBody })
  @ApiWrite('webhook_endpoint_not_found', 'webhook_endpoint_disabled')
  async test(
    @Param() { endpoint_id }: EndpointIdParam,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.webhooks.test(endpoint_id, caller));
  }

  @Post(':endpoint_id/replays')
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'Send one event, or those of a time, to an endpoint again' })
  @ApiCreatedResponse({ type: ReplayBody })
  @ApiWrite('webhook_endpoint_not_found', 'events_expired')
  async replay(
    @Param() { endpoint_id }: EndpointIdParam,
    @Body() dto: ReplayDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.deliveries.replay(endpoint_id, dto, caller));
  }

  @Get(':endpoint_id/deliveries')
  @Needs('webhooks:admin')
  @ApiOperation({ summary: 'List deliveries to an endpoint with every attempt, newest first' })
  @ApiPage(WebhookDeliveryBody)
  @ApiErrors('validation_failed', 'webhook_endpoint_not_found', 'database_unavailable')
  listDeliveries(@Param() { endpoint_id }: EndpointIdParam, @Query() query: ListDeliveriesQuery) {
    return this.deliveries.list(endpoint_id, query);
  }
}
