import { Module } from '@nestjs/common';
import { IdempotencyModule } from '../idempotency/idempotency.module.js';
import { WalletsModule } from '../wallets/wallets.module.js';
import { HoldStore } from './hold.store.js';
import { PostingEngine } from './posting.engine.js';
import { PostingService } from './posting.service.js';
import { PostingStore } from './posting.store.js';
import { TransactionsController } from './transactions.controller.js';
import { TransactionsQueries } from './transactions.queries.js';
import { TransactionsService } from './transactions.service.js';
import { WalletStateStore } from './wallet-state.store.js';

@Module({
  imports: [WalletsModule, IdempotencyModule],
  controllers: [TransactionsController],
  providers: [
    ...[PostingEngine, PostingStore, HoldStore, WalletStateStore],
    ...[PostingService, TransactionsService, TransactionsQueries],
  ],
  exports: [TransactionsService],
})
export class TransactionsModule {}
