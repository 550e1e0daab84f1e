import { Body, Controller, Get, Param, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { answer, withETag, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiPage, ApiWrite } from '../openapi.js';
import { Needs } from './access.js';
import {
  ApiKeyBody,
  ApiKeyIdParam,
  CreateApiKeyDto,
  ListApiKeysQuery,
  RevokeApiKeyDto,
  RotateApiKeyDto,
  SecretBody,
} from './api-keys.dto.js';
import { ApiKeysService } from './api-keys.service.js';

@ApiTags('API keys')
@Controller('v1/api-keys')
export class ApiKeysController {
  constructor(private readonly keys: ApiKeysService) {}

  @Post()
  @Needs('keys:admin')
  @ApiOperation({ summary: 'Make an API key; its secret is shown this once' })
  @ApiCreatedResponse({ type: SecretBody })
  @ApiWrite()
  async create(
    @Body() dto: CreateApiKeyDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.keys.create(dto, caller));
  }

  @Get()
  @Needs('keys:admin')
  @ApiOperation({ summary: 'List API keys, newest first' })
  @ApiPage(ApiKeyBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: ListApiKeysQuery) {
    return this.keys.list(query);
  }

  @Get(':key_id')
  @Needs('keys:admin')
  @ApiOperation({ summary: 'Read an API key, without its secret' })
  @ApiOkResponse({ type: ApiKeyBody })
  @ApiErrors('validation_failed', 'api_key_not_found', 'database_unavailable')
  async read(@Param() { key_id }: ApiKeyIdParam, @Res({ passthrough: true }) reply: Reply) {
    return withETag(reply, await this.keys.read(key_id));
  }

  @Post(':key_id/rotate')
  @Needs('keys:admin')
  @ApiOperation({ summary: 'Give an API key a new secret, shown this once; the one before stays good for a while' })
  @ApiCreatedResponse({ type: SecretBody })
  @ApiWrite('api_key_not_found', 'api_key_ended')
  @ApiIfMatch()
  async rotate(
    @Param() { key_id }: ApiKeyIdParam,
    @Body() dto: RotateApiKeyDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.keys.rotate(key_id, dto, caller));
  }

  @Post(':key_id/revoke')
  @Needs('keys:admin')
  @ApiOperation({ summary: 'Revoke an API key for good' })
  @ApiCreatedResponse({ type: ApiKeyBody })
  @ApiWrite('api_key_not_found', 'api_key_ended')
  @ApiIfMatch()
  async revoke(
    @Param() { key_id }: ApiKeyIdParam,
    @Body() dto: RevokeApiKeyDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.keys.revoke(key_id, dto, caller));
  }
}
