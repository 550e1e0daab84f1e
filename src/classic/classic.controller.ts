/**
 * The six calls of the service that Asper Wallet succeeds, with its answers. A thin face over the services: no
 * rule of its own. Amounts are JSON numbers here, written digit by digit from the exact amount, never as floats.
 */
import { Body, Controller, Get, Header, HttpCode, Inject, Param, Post, Query, Res } from '@nestjs/common';
import { ApiBadRequestResponse, ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { markReplay, type Reply } from '../answer.js';
import { Needs } from '../auth/access.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import type { Answer } from '../idempotency/idempotency.service.js';
import { formatAmount } from '../money.js';
import { ApiErrors, ApiIdempotencyKey } from '../openapi.js';
import { daysBetween, StatementsService } from '../statements/statements.service.js';
import type { TransactionBody } from '../transactions/transactions.dto.js';
import { TransactionsService } from '../transactions/transactions.service.js';
import { UsersService } from '../users/users.service.js';
import { WalletsService } from '../wallets/wallets.service.js';
import {
  ClassicBalanceBody,
  ClassicCreateDto,
  ClassicCreditDto,
  ClassicDebitDto,
  ClassicErrorBody,
  ClassicHistoryBody,
  ClassicHistoryQuery,
  ClassicNewBalanceBody,
  ClassicRegisterDto,
  ClassicRegisteredBody,
  ClassicWalletBody,
  ClassicWalletParam,
} from './classic.dto.js';

/** Why a debit that names a lower `minimum_balance` takes the wallet's down with it. */
const LOWERING_REASON = 'the original call';
/** Faults stay problems: what became of the money is unknown, or the call can be repeated. */
const WRITE_FAULTS = ['overloaded', 'database_unavailable', 'outcome_unknown'] as const;
const JSON_TYPE = 'application/json; charset=utf-8';

@ApiTags('Original calls')
@Controller()
@ApiBadRequestResponse({ type: ClassicErrorBody, description: 'Any mistake or refusal.' })
export class ClassicController {
  constructor(
    private readonly users: UsersService,
    private readonly wallets: WalletsService,
    private readonly transactions: TransactionsService,
    private readonly statements: StatementsService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Post('register')
  @Needs('users:write')
  @ApiOperation({ summary: 'Register a user' })
  @ApiCreatedResponse({ type: ClassicRegisteredBody })
  @ApiIdempotencyKey()
  @ApiErrors(...WRITE_FAULTS)
  async register(
    @Body() dto: ClassicRegisterDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    const body = kept(reply, await this.users.register(dto, caller));
    return { message: 'User created successfully', user_id: body.id };
  }

  @Post('wallet/create')
  @Needs('wallets:write')
  @ApiOperation({ summary: 'Create the wallet of a user' })
  @ApiCreatedResponse({ type: ClassicWalletBody })
  @ApiIdempotencyKey()
  @ApiErrors(...WRITE_FAULTS)
  async create(
    @Body() dto: ClassicCreateDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    const body = kept(reply, await this.wallets.open({ user_id: dto.user_id }, caller));
    return { wallet_id: body.id };
  }

  @Post('wallet/credit')
  @Needs('transactions:write')
  @HttpCode(200)
  @Header('Content-Type', JSON_TYPE)
  @ApiOperation({ summary: 'Credit a wallet' })
  @ApiOkResponse({ type: ClassicNewBalanceBody })
  @ApiIdempotencyKey()
  @ApiErrors(...WRITE_FAULTS)
  async credit(
    @Body() { wallet_id, ...dto }: ClassicCreditDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    const body = kept(reply, await this.transactions.credit(wallet_id, dto, caller));
    return `{"new_balance":${balanceAfter(body, wallet_id)}}`;
  }

  @Post('wallet/debit')
  @Needs('transactions:write')
  @HttpCode(200)
  @Header('Content-Type', JSON_TYPE)
  @ApiOperation({ summary: 'Debit a wallet' })
  @ApiOkResponse({ type: ClassicNewBalanceBody })
  @ApiIdempotencyKey()
  @ApiErrors(...WRITE_FAULTS)
  async debit(
    @Body() { wallet_id, ...dto }: ClassicDebitDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    const body = kept(reply, await this.transactions.debit(wallet_id, dto, caller, false, LOWERING_REASON));
    return `{"new_balance":${balanceAfter(body, wallet_id)}}`;
  }

  @Get('wallet/balance/:wallet_id')
  @Needs('wallets:read')
  @Header('Content-Type', JSON_TYPE)
  @ApiOperation({ summary: 'Read the balance of a wallet' })
  @ApiOkResponse({ type: ClassicBalanceBody })
  @ApiErrors('database_unavailable')
  async balance(@Param() { wallet_id }: ClassicWalletParam) {
    const wallet = await this.wallets.read(wallet_id);
    return `{"balance":${formatAmount(wallet.balance, wallet.currency)}}`;
  }

  @Get('wallet/transactions')
  @Needs('wallets:read')
  @Header('Content-Type', JSON_TYPE)
  @ApiOperation({ summary: 'Read the history of a wallet with totals' })
  @ApiOkResponse({ type: ClassicHistoryBody })
  @ApiErrors('database_unavailable')
  async history(@Query() { wallet_id, start_date, end_date }: ClassicHistoryQuery) {
    const wallet = await this.wallets.read(wallet_id);
    const range = daysBetween(start_date, end_date);
    const rowsMax = this.config.classicHistoryMax;
    const { totals, rows } = await this.statements.history(wallet, range, rowsMax);
    if (!rows) {
      const paged = `GET /v1/wallets/${wallet_id}/entries`;
      throw Problem.field(
        'start_date',
        `and end_date span more than ${rowsMax} movements: ask for less, or use ${paged}`,
      );
    }
    const money = (minor: bigint) => formatAmount(minor, wallet.currency);
    const history = rows.map(({ amountMinor: amount, createdAt }) => {
      const type = amount > 0n ? 'credit' : 'debit';
      return `{"amount":${money(amount > 0n ? amount : -amount)},"type":"${type}","date":"${createdAt.toISOString()}"}`;
    });
    const { creditMinor, debitMinor } = totals;
    return `{"total_credit":${money(creditMinor)},"total_debit":${money(debitMinor)},"history":[${history.join(',')}]}`;
  }
}

/** The body of an answer, which is marked where it is a replay. */
function kept<Body extends object>(reply: Reply, { body, replayed }: Answer<Body>): Body {
  markReplay(reply, replayed);
  return body;
}

function balanceAfter({ entries }: TransactionBody, walletId: string): string {
  return entries.find((entry) => entry.wallet_id === walletId)!.balance_after!;
}
