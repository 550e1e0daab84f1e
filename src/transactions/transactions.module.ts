import { Module } from '@nestjs/common';
import { IdempotencyModule } from '../idempotency/idempotency.module.js';
import { WalletsModule } from '../wallets/wallets.module.js';
import { PostingEngine } from './posting.engine.js';
import { PostingStore } from './posting.store.js';
import { TransactionsController } from './transactions.controller.js';
import { TransactionsQueries } from './transactions.queries.js';
import { TransactionsService } from './transactions.service.js';

@Module({
  imports: [WalletsModule, IdempotencyModule],
  controllers: [TransactionsController],
  providers: [PostingEngine, PostingStore, TransactionsService, TransactionsQueries],
  exports: [TransactionsService],
})
export class TransactionsModule {}
