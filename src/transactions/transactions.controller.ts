import { Body, Controller, Get, Param, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { answer, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiPage, ApiWrite } from '../openapi.js';
import { WalletIdParam } from '../wallets/wallets.dto.js';
import {
  CreditDto,
  DebitDto,
  IdempotencyKeyBody,
  IdempotencyKeyParam,
  ListTransactionsQuery,
  TransactionBody,
  TransactionIdParam,
  TransferDto,
} from './transactions.dto.js';
import { TransactionsQueries } from './transactions.queries.js';
import { TransactionsService } from './transactions.service.js';

const MONEY_ERRORS = [
  'wallet_not_found',
  'system_wallet',
  'wallet_closed',
  'minimum_balance_unmet',
  'balance_out_of_range',
  'overloaded',
] as const;
const PAYING_ERRORS = [...MONEY_ERRORS, 'wallet_frozen', 'insufficient_funds', 'below_minimum_balance'] as const;

@ApiTags('Transactions')
@Controller('v1')
export class TransactionsController {
  constructor(
    private readonly transactions: TransactionsService,
    private readonly queries: TransactionsQueries,
  ) {}

  @Post('wallets/:wallet_id/credits')
  @ApiOperation({ summary: 'Credit a wallet: money comes in from outside' })
  @ApiCreatedResponse({ type: TransactionBody })
  @ApiWrite(...MONEY_ERRORS)
  @ApiIfMatch()
  async credit(
    @Param() { wallet_id }: WalletIdParam,
    @Body() dto: CreditDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.transactions.credit(wallet_id, dto, caller));
  }

  @Post('wallets/:wallet_id/debits')
  @ApiOperation({ summary: 'Debit a wallet: money goes out' })
  @ApiCreatedResponse({ type: TransactionBody })
  @ApiWrite(...PAYING_ERRORS)
  @ApiIfMatch()
  async debit(
    @Param() { wallet_id }: WalletIdParam,
    @Body() dto: DebitDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.transactions.debit(wallet_id, dto, caller));
  }

  @Post('transfers')
  @ApiOperation({ summary: 'Transfer between two wallets of one currency' })
  @ApiCreatedResponse({ type: TransactionBody })
  @ApiWrite(...PAYING_ERRORS, 'currency_mismatch')
  @ApiIfMatch()
  async transfer(@Body() dto: TransferDto, @CurrentCaller() caller: Caller, @Res({ passthrough: true }) reply: Reply) {
    return answer(reply, await this.transactions.transfer(dto, caller));
  }

  @Get('transactions')
  @ApiOperation({ summary: 'List transactions, newest first' })
  @ApiPage(TransactionBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: ListTransactionsQuery) {
    return this.queries.list(query);
  }

  @Get('transactions/:transaction_id')
  @ApiOperation({ summary: 'Read a transaction with its entries' })
  @ApiOkResponse({ type: TransactionBody })
  @ApiErrors('validation_failed', 'transaction_not_found', 'database_unavailable')
  read(@Param() { transaction_id }: TransactionIdParam) {
    return this.transactions.read(transaction_id);
  }

  @Get('idempotency-keys/:key')
  @ApiOperation({ summary: 'Read what a key led to' })
  @ApiOkResponse({ type: IdempotencyKeyBody })
  @ApiErrors('validation_failed', 'idempotency_key_not_found', 'database_unavailable')
  outcomeOfKey(@Param() { key }: IdempotencyKeyParam, @CurrentCaller() caller: Caller) {
    return this.transactions.outcomeOfKey(key, caller);
  }
}
