import { Body, Controller, Get, Param, Post, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { answer, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiMoney, ApiPage, ApiWrite } from '../openapi.js';
import { PageQuery } from '../paging.js';
import { WalletIdParam } from '../wallets/wallets.dto.js';
import { BatchBody, BatchDto, DryRunBatchBody } from './batch.dto.js';
import { BatchService } from './batch.service.js';
import { ReversalsBody } from './reversals.dto.js';
import {
  CreditDto,
  DebitDto,
  DryRunQuery,
  DryRunTransactionBody,
  JournalDto,
  ListTransactionsQuery,
  ReversalDto,
  TransactionBody,
  TransactionIdParam,
  TransferDto,
} from './transactions.dto.js';
import { TransactionsService } from './transactions.service.js';

const MONEY_ERRORS = [
  'wallet_not_found',
  'system_wallet',
  'wallet_closed',
  'wallet_frozen',
  'minimum_balance_unmet',
  'balance_out_of_range',
  'overloaded',
] as const;
const PAYING_ERRORS = [...MONEY_ERRORS, 'limit_exceeded', 'insufficient_funds', 'below_minimum_balance'] as const;

@ApiTags('Transactions')
@Controller('v1')
export class TransactionsController {
  constructor(
    private readonly transactions: TransactionsService,
    private readonly batches: BatchService,
  ) {}

  @Post('wallets/:wallet_id/credits')
  @Needs('transactions:write')
  @ApiOperation({ summary: 'Credit a wallet: money comes in from outside' })
  @ApiMoney(TransactionBody, DryRunTransactionBody)
  @ApiWrite(...MONEY_ERRORS)
  @ApiIfMatch()
  async credit(
    @Param() { wallet_id }: WalletIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: CreditDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.transactions.credit(wallet_id, dto, caller, dry_run));
  }

  @Post('wallets/:wallet_id/debits')
  @Needs('transactions:write', 'wallet_id')
  @ApiOperation({ summary: 'Debit a wallet: money goes out' })
  @ApiMoney(TransactionBody, DryRunTransactionBody)
  @ApiWrite(...PAYING_ERRORS, 'minimum_balance_not_lowered')
  @ApiIfMatch()
  async debit(
    @Param() { wallet_id }: WalletIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: DebitDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.transactions.debit(wallet_id, dto, caller, dry_run));
  }

  @Post('transfers')
  @Needs('transactions:write', 'self')
  @ApiOperation({ summary: 'Transfer between two wallets of one currency' })
  @ApiMoney(TransactionBody, DryRunTransactionBody)
  @ApiWrite(...PAYING_ERRORS, 'currency_mismatch')
  @ApiIfMatch()
  async transfer(
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: TransferDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.transactions.transfer(dto, caller, dry_run));
  }

  @Post('transactions')
  @Needs('transactions:write')
  @ApiOperation({ summary: 'Post many legs at once: splits, fees, exchange through a house wallet' })
  @ApiMoney(TransactionBody, DryRunTransactionBody)
  @ApiWrite(...PAYING_ERRORS)
  @ApiIfMatch()
  async journal(
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: JournalDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.transactions.journal(dto, caller, dry_run));
  }

  @Post('transactions/batch')
  @Needs('transactions:write')
  @ApiOperation({ summary: 'Post up to 1,000 movements at once, all or nothing or each by itself' })
  @ApiMoney(BatchBody, DryRunBatchBody)
  @ApiWrite(...PAYING_ERRORS, 'currency_mismatch', 'batch_refused')
  async batch(
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: BatchDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.batches.post(dto, caller, dry_run));
  }

  @Post('transactions/:transaction_id/reversals')
  @Needs('transactions:reverse')
  @ApiOperation({ summary: 'Reverse a transaction, whole or in part' })
  @ApiMoney(TransactionBody, DryRunTransactionBody)
  @ApiWrite(
    ...([
      'transaction_not_found',
      'not_reversible',
      'reversal_exceeds_original',
      'overloaded',
      'wallet_closed',
    ] as const),
    ...(['wallet_frozen', 'insufficient_funds', 'below_minimum_balance', 'balance_out_of_range'] as const),
  )
  async reverse(
    @Param() { transaction_id }: TransactionIdParam,
    @Query() { dry_run }: DryRunQuery,
    @Body() dto: ReversalDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.transactions.reverse(transaction_id, dto, caller, dry_run));
  }

  @Get('transactions/:transaction_id/reversals')
  @Needs('transactions:read', 'transaction_id')
  @ApiOperation({ summary: 'Read what was reversed of a transaction, and what still can be' })
  @ApiOkResponse({ type: ReversalsBody })
  @ApiErrors('validation_failed', 'transaction_not_found', 'database_unavailable')
  reversals(
    @Param() { transaction_id }: TransactionIdParam,
    @Query() query: PageQuery,
    @CurrentCaller() caller: Caller,
  ) {
    return this.transactions.reversals(transaction_id, query, caller);
  }

  @Get('transactions')
  @Needs('transactions:read', 'self')
  @ApiOperation({ summary: 'List transactions, newest first' })
  @ApiPage(TransactionBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: ListTransactionsQuery, @CurrentCaller() caller: Caller) {
    return this.transactions.list(query, caller);
  }

  @Get('transactions/:transaction_id')
  @Needs('transactions:read', 'transaction_id')
  @ApiOperation({ summary: 'Read a transaction with its entries' })
  @ApiOkResponse({ type: TransactionBody })
  @ApiErrors('validation_failed', 'transaction_not_found', 'database_unavailable')
  read(@Param() { transaction_id }: TransactionIdParam, @CurrentCaller() caller: Caller) {
    return this.transactions.read(transaction_id, caller);
  }
}
