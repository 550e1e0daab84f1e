import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs, Public } from '../auth/access.js';
import { ApiErrors } from '../openapi.js';
import { EntryParam, ReceiptKeysBody, SignedReceiptBody } from './receipts.dto.js';
import { ReceiptsService } from './receipts.service.js';

@ApiTags('Receipts')
@Controller('v1')
export class ReceiptsController {
  constructor(private readonly receipts: ReceiptsService) {}

  @Get('wallets/:wallet_id/entries/:seq/receipt')
  @Needs('wallets:read', 'wallet_id')
  @ApiOperation({ summary: 'A signed receipt of an entry, to be verified offline' })
  @ApiOkResponse({ type: SignedReceiptBody })
  @ApiErrors(
    'validation_failed',
    'wallet_not_found',
    'entry_not_found',
    'receipts_not_configured',
    'database_unavailable',
  )
  receipt(@Param() { wallet_id, seq }: EntryParam) {
    return this.receipts.receipt(wallet_id, seq);
  }

  @Get('receipts/keys')
  @Public()
  @ApiOperation({ summary: 'The public keys that receipts are verified with, as a JWKS' })
  @ApiOkResponse({ type: ReceiptKeysBody })
  @ApiErrors()
  keys() {
    return this.receipts.publicKeys();
  }
}
