import { Body, Controller, Get, Param, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { answer, withETag, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiMoney, ApiPage, ApiWrite } from '../openapi.js';
import { PageQuery } from '../paging.js';
import { WalletIdParam } from '../wallets/wallets.dto.js';
import {
  CaptureDto,
  ChangeHoldDto,
  DryRunHoldBody,
  HoldBody,
  HoldChangeBody,
  HoldIdParam,
  ListHoldsQuery,
  ReserveDto,
} from './holds.dto.js';
import { HoldsService } from './holds.service.js';
import { DryRunQuery, DryRunTransactionBody, TransactionBody } from './transactions.dto.js';

const AVAILABLE_ERRORS = ['wallet_closed', 'wallet_frozen', 'insufficient_funds', 'below_minimum_balance'] as const;
const HOLD_ERRORS = ['hold_not_found', 'hold_not_active', 'overloaded'] as const;

@ApiTags('Holds')
@Controller('v1')
export class HoldsController {
  constructor(private readonly holds: HoldsService) {}

  @Post('wallets/:wallet_id/holds')
  @Needs('transactions:write')
  @ApiOperation({ summary: 'Hold money of a wallet: it is set aside, and counts like spent until it is released' })
  @ApiMoney(HoldBody, DryRunHoldBody)
  @ApiWrite('wallet_not_found', 'system_wallet', ...AVAILABLE_ERRORS, 'overloaded')
  @ApiIfMatch()
  async reserve(
    @Param() { wallet_id }: WalletIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: ReserveDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.holds.reserve(wallet_id, dto, caller, dry_run));
  }

  @Get('wallets/:wallet_id/holds')
  @Needs('transactions:read', 'wallet_id')
  @ApiOperation({ summary: 'List the holds of a wallet, newest first' })
  @ApiPage(HoldBody)
  @ApiErrors('validation_failed', 'wallet_not_found', 'system_wallet', 'database_unavailable')
  list(@Param() { wallet_id }: WalletIdParam, @Query() query: ListHoldsQuery) {
    return this.holds.list(wallet_id, query);
  }

  @Get('holds/:hold_id')
  @Needs('transactions:read', 'hold_id')
  @ApiOperation({ summary: 'Read a hold' })
  @ApiOkResponse({ type: HoldBody })
  @ApiErrors('validation_failed', 'hold_not_found', 'database_unavailable')
  async read(@Param() { hold_id }: HoldIdParam, @Res({ passthrough: true }) reply: Reply) {
    return withETag(reply, await this.holds.read(hold_id));
  }

  @Get('holds/:hold_id/changes')
  @Needs('transactions:read', 'hold_id')
  @ApiOperation({ summary: 'Read what happened to a hold, latest first' })
  @ApiPage(HoldChangeBody)
  @ApiErrors('validation_failed', 'hold_not_found', 'database_unavailable')
  changes(@Param() { hold_id }: HoldIdParam, @Query() query: PageQuery) {
    return this.holds.changes(hold_id, query);
  }

  @Patch('holds/:hold_id')
  @Needs('transactions:write')
  @ApiOperation({ summary: 'Raise, lower or extend a hold' })
  @ApiOkResponse({ type: HoldBody })
  @ApiWrite(...HOLD_ERRORS, ...AVAILABLE_ERRORS, 'hold_too_low')
  @ApiIfMatch()
  async change(
    @Param() { hold_id }: HoldIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: ChangeHoldDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.holds.change(hold_id, dto, caller, dry_run));
  }

  @Post('holds/:hold_id/captures')
  @Needs('transactions:write')
  @ApiOperation({ summary: 'Capture a hold, whole or in part: the money goes to a wallet or outside' })
  @ApiBody({ type: CaptureDto, required: false })
  @ApiMoney(TransactionBody, DryRunTransactionBody)
  @ApiWrite(
    ...HOLD_ERRORS,
    ...AVAILABLE_ERRORS,
    ...(['capture_exceeds_hold', 'wallet_not_found', 'system_wallet', 'currency_mismatch', 'limit_exceeded'] as const),
    ...(['minimum_balance_unmet', 'balance_out_of_range'] as const),
  )
  @ApiIfMatch()
  async capture(
    @Param() { hold_id }: HoldIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: CaptureDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.holds.capture(hold_id, dto, caller, dry_run));
  }

  @Post('holds/:hold_id/void')
  @Needs('transactions:write')
  @ApiOperation({ summary: 'Void a hold: what is left of it is free again' })
  @ApiMoney(HoldBody)
  @ApiWrite(...HOLD_ERRORS)
  @ApiIfMatch()
  async void(
    @Param() { hold_id }: HoldIdParam,
    @Query() { dry_run }: DryRunQuery,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.holds.void(hold_id, caller, dry_run));
  }
}
