import { Body, Controller, Get, Param, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { answer, withETag, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiPage, ApiWrite } from '../openapi.js';
import {
  ChangeWalletDto,
  ListWalletsQuery,
  OpenWalletDto,
  WalletBody,
  walletBody,
  WalletIdParam,
} from './wallets.dto.js';
import { WalletsService } from './wallets.service.js';

@ApiTags('Wallets')
@Controller('v1/wallets')
export class WalletsController {
  constructor(private readonly wallets: WalletsService) {}

  @Post()
  @Needs('wallets:write', 'self')
  @ApiOperation({ summary: 'Open a wallet for a user, or one of the house' })
  @ApiCreatedResponse({ type: WalletBody })
  @ApiWrite('user_not_found', 'user_suspended', 'wallet_exists', 'too_many_wallets')
  async open(@Body() dto: OpenWalletDto, @CurrentCaller() caller: Caller, @Res({ passthrough: true }) reply: Reply) {
    return answer(reply, await this.wallets.open(dto, caller));
  }

  @Get()
  @Needs('wallets:read', 'self')
  @ApiOperation({ summary: 'List wallets, newest first' })
  @ApiPage(WalletBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: ListWalletsQuery, @CurrentCaller() caller: Caller) {
    return this.wallets.list(query, caller);
  }

  @Get(':wallet_id')
  @Needs('wallets:read', 'wallet_id')
  @ApiOperation({ summary: 'Read a wallet with balance, held and available' })
  @ApiOkResponse({ type: WalletBody })
  @ApiErrors('validation_failed', 'wallet_not_found', 'database_unavailable')
  async read(@Param() { wallet_id }: WalletIdParam, @Res({ passthrough: true }) reply: Reply) {
    return withETag(reply, walletBody(await this.wallets.read(wallet_id)));
  }

  @Patch(':wallet_id')
  @Needs('wallets:write')
  @ApiOperation({ summary: 'Change label, minimum balance or metadata of a wallet; lowering is for operators' })
  @ApiOkResponse({ type: WalletBody })
  @ApiIfMatch()
  @ApiErrors(
    'bad_request',
    'validation_failed',
    'wallet_not_found',
    'precondition_failed',
    'wallet_exists',
    'system_wallet',
    'wallet_closed',
    'below_minimum_balance',
    'database_unavailable',
  )
  async change(
    @Param() { wallet_id }: WalletIdParam,
    @Body() dto: ChangeWalletDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return withETag(reply, walletBody(await this.wallets.change(wallet_id, dto, caller)));
  }
}
