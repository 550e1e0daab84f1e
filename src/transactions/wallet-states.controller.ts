import { Body, Controller, Get, Param, Post, Put, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { answer, withETag, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiMoney, ApiPage, ApiWrite } from '../openapi.js';
import { PageQuery } from '../paging.js';
import { WalletIdParam } from '../wallets/wallets.dto.js';
import { LimitsService } from './limits.service.js';
import { DryRunQuery } from './transactions.dto.js';
import {
  CloseDto,
  DryRunStatusChangeBody,
  FreezeDto,
  LimitsBody,
  LimitsDto,
  ReasonDto,
  StatusChangeBody,
} from './wallet-states.dto.js';
import { WalletStatesService } from './wallet-states.service.js';

const STATUS_ERRORS = ['wallet_not_found', 'system_wallet', 'wallet_closed', 'overloaded'] as const;

@ApiTags('Wallets')
@Controller('v1/wallets/:wallet_id')
export class WalletStatesController {
  constructor(
    private readonly states: WalletStatesService,
    private readonly limits: LimitsService,
  ) {}

  @Post('freeze')
  @Needs('wallets:admin')
  @ApiOperation({ summary: 'Freeze a wallet: nothing leaves it, or nothing moves at all' })
  @ApiMoney(StatusChangeBody, DryRunStatusChangeBody)
  @ApiWrite(...STATUS_ERRORS)
  @ApiIfMatch()
  async freeze(
    @Param() { wallet_id }: WalletIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: FreezeDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.states.freeze(wallet_id, dto, caller, dry_run));
  }

  @Post('unfreeze')
  @Needs('wallets:admin')
  @ApiOperation({ summary: 'Unfreeze a wallet' })
  @ApiMoney(StatusChangeBody, DryRunStatusChangeBody)
  @ApiWrite(...STATUS_ERRORS, 'wallet_not_frozen')
  @ApiIfMatch()
  async unfreeze(
    @Param() { wallet_id }: WalletIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: ReasonDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.states.unfreeze(wallet_id, dto, caller, dry_run));
  }

  @Post('close')
  @Needs('wallets:admin')
  @ApiOperation({ summary: 'Close a wallet for good, empty or swept into another' })
  @ApiMoney(StatusChangeBody, DryRunStatusChangeBody)
  @ApiWrite(
    ...STATUS_ERRORS,
    ...(['wallet_frozen', 'wallet_has_holds', 'wallet_not_empty', 'currency_mismatch'] as const),
    ...(['minimum_balance_unmet', 'balance_out_of_range'] as const),
  )
  @ApiIfMatch()
  async close(
    @Param() { wallet_id }: WalletIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: CloseDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.states.close(wallet_id, dto, caller, dry_run));
  }

  @Get('status-changes')
  @Needs('wallets:read')
  @ApiOperation({ summary: 'Read who froze, unfroze or closed a wallet, when and why; latest first' })
  @ApiPage(StatusChangeBody)
  @ApiErrors('validation_failed', 'wallet_not_found', 'system_wallet', 'database_unavailable')
  statusChanges(@Param() { wallet_id }: WalletIdParam, @Query() query: PageQuery) {
    return this.states.list(wallet_id, query);
  }

  @Get('limits')
  @Needs('wallets:read', 'wallet_id')
  @ApiOperation({ summary: 'Read the limits of a wallet and what is left of them' })
  @ApiOkResponse({ type: LimitsBody })
  @ApiErrors('validation_failed', 'wallet_not_found', 'database_unavailable')
  async readLimits(@Param() { wallet_id }: WalletIdParam, @Res({ passthrough: true }) reply: Reply) {
    return withETag(reply, await this.limits.read(wallet_id));
  }

  @Put('limits')
  @Needs('wallets:admin')
  @ApiOperation({ summary: 'Set all limits of a wallet; what is left out is unlimited' })
  @ApiOkResponse({ type: LimitsBody })
  @ApiErrors(
    ...(['bad_request', 'validation_failed', 'wallet_not_found', 'system_wallet', 'wallet_closed'] as const),
    'database_unavailable',
  )
  @ApiIfMatch()
  async setLimits(
    @Param() { wallet_id }: WalletIdParam,
    @Body() dto: LimitsDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return withETag(reply, await this.limits.set(wallet_id, dto, caller));
  }
}
