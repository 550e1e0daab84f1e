import { Module } from '@nestjs/common';
import { LedgerController } from './ledger.controller.js';
import { LedgerService } from './ledger.service.js';

/** The proof that the laws hold. Reads everything, writes nothing. */
@Module({ controllers: [LedgerController], providers: [LedgerService] })
export class LedgerModule {}
