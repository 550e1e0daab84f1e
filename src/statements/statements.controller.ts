import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { Accepted } from '../accept.js';
import { download, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiPage } from '../openapi.js';
import { WalletIdParam } from '../wallets/wallets.dto.js';
import { BalanceBody, BalanceQuery } from './balance.dto.js';
import { BalanceService } from './balance.service.js';
import { ApiStatement, STATEMENT_TYPES, StatementQuery, type StatementType } from './statement.dto.js';
import { StatementService } from './statement.service.js';
import { EntryBody, ListEntriesQuery } from './statements.dto.js';
import { StatementsService } from './statements.service.js';
import { SummaryBody, SummaryQuery } from './summary.dto.js';
import { SummaryService } from './summary.service.js';

@ApiTags('Statements')
@Controller('v1/wallets/:wallet_id')
export class StatementsController {
  constructor(
    private readonly statements: StatementsService,
    private readonly balances: BalanceService,
    private readonly summaries: SummaryService,
    private readonly files: StatementService,
  ) {}

  @Get('entries')
  @Needs('wallets:read', 'wallet_id')
  @ApiOperation({ summary: 'History of a wallet with the balance after each entry, newest first' })
  @ApiPage(EntryBody)
  @ApiErrors('validation_failed', 'wallet_not_found', 'database_unavailable')
  entries(@Param() { wallet_id }: WalletIdParam, @Query() query: ListEntriesQuery) {
    return this.statements.entries(wallet_id, query);
  }

  @Get('balance')
  @Needs('wallets:read', 'wallet_id')
  @ApiOperation({ summary: 'Balance now or at any instant, by posting or by effective time' })
  @ApiOkResponse({ type: BalanceBody })
  @ApiErrors('validation_failed', 'wallet_not_found', 'database_unavailable')
  balance(@Param() { wallet_id }: WalletIdParam, @Query() query: BalanceQuery) {
    return this.balances.read(wallet_id, query);
  }

  @Get('summary')
  @Needs('wallets:read', 'wallet_id')
  @ApiOperation({ summary: 'Opening, total credit, total debit and closing over days, also by day, week or month' })
  @ApiOkResponse({ type: SummaryBody })
  @ApiErrors('validation_failed', 'wallet_not_found', 'database_unavailable')
  summary(@Param() { wallet_id }: WalletIdParam, @Query() query: SummaryQuery) {
    return this.summaries.read(wallet_id, query);
  }

  @Get('statement')
  @Needs('wallets:read', 'wallet_id')
  @ApiOperation({ summary: 'Statement over days as JSON, CSV or PDF, by `Accept`' })
  @ApiStatement()
  @ApiErrors('not_acceptable', 'validation_failed', 'wallet_not_found', 'overloaded', 'database_unavailable')
  async statement(
    @Accepted(STATEMENT_TYPES) type: StatementType,
    @Param() { wallet_id }: WalletIdParam,
    @Query() query: StatementQuery,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return download(reply, await this.files.write(wallet_id, query, type, caller));
  }
}
