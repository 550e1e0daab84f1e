import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { ApiErrors, ApiPage } from '../openapi.js';
import { WalletIdParam } from '../wallets/wallets.dto.js';
import { EntryBody, ListEntriesQuery, SummaryBody, SummaryQuery } from './statements.dto.js';
import { StatementsService } from './statements.service.js';

@ApiTags('Statements')
@Controller('v1/wallets/:wallet_id')
export class StatementsController {
  constructor(private readonly statements: StatementsService) {}

  @Get('entries')
  @ApiOperation({ summary: 'History of a wallet with the balance after each entry, newest first' })
  @ApiPage(EntryBody)
  @ApiErrors('validation_failed', 'wallet_not_found', 'database_unavailable')
  entries(@Param() { wallet_id }: WalletIdParam, @Query() query: ListEntriesQuery) {
    return this.statements.entries(wallet_id, query);
  }

  @Get('summary')
  @ApiOperation({ summary: 'Opening, total credit, total debit and closing over a range of days' })
  @ApiOkResponse({ type: SummaryBody })
  @ApiErrors('validation_failed', 'wallet_not_found', 'database_unavailable')
  summary(@Param() { wallet_id }: WalletIdParam, @Query() query: SummaryQuery) {
    return this.statements.summary(wallet_id, query);
  }
}
