import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { ApiErrors } from '../openapi.js';
import { CheckBody, CheckQuery, TrialBalanceBody } from './ledger.dto.js';
import { LedgerService } from './ledger.service.js';

@ApiTags('Operations')
@Controller('v1/ledger')
export class LedgerController {
  constructor(private readonly ledger: LedgerService) {}

  @Get('trial-balance')
  @Needs('ledger:admin')
  @ApiOperation({ summary: 'All money by currency: people, the house, the world outside, and zero' })
  @ApiOkResponse({ type: TrialBalanceBody })
  @ApiErrors('database_unavailable')
  trialBalance() {
    return this.ledger.trialBalance();
  }

  @Get('check')
  @Needs('ledger:admin')
  @ApiOperation({ summary: 'Re-derive every law from the rows, of one wallet or of a small ledger' })
  @ApiOkResponse({ type: CheckBody })
  @ApiErrors('validation_failed', 'wallet_not_found', 'ledger_too_large', 'overloaded', 'database_unavailable')
  check(@Query() { wallet_id }: CheckQuery) {
    return this.ledger.check(wallet_id);
  }
}
