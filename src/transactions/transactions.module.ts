import { Module } from '@nestjs/common';
import { IdempotencyModule } from '../idempotency/idempotency.module.js';
import { WalletsModule } from '../wallets/wallets.module.js';
import { BatchService } from './batch.service.js';
import { HoldStore } from './hold.store.js';
import { HoldSweeper } from './hold.sweeper.js';
import { HoldsController } from './holds.controller.js';
import { HoldsService } from './holds.service.js';
import { IdempotencyKeysController } from './idempotency-keys.controller.js';
import { LimitsService } from './limits.service.js';
import { PersonView } from './person-view.js';
import { PostingEngine } from './posting.engine.js';
import { PostingMetrics } from './posting.metrics.js';
import { PostingService } from './posting.service.js';
import { PostingStore } from './posting.store.js';
import { TransactionsController } from './transactions.controller.js';
import { TransactionsQueries } from './transactions.queries.js';
import { TransactionsService } from './transactions.service.js';
import { WalletStateStore } from './wallet-state.store.js';
import { WalletStatesController } from './wallet-states.controller.js';
import { WalletStatesService } from './wallet-states.service.js';

@Module({
  imports: [WalletsModule, IdempotencyModule],
  controllers: [TransactionsController, HoldsController, WalletStatesController, IdempotencyKeysController],
  providers: [
    ...[PostingEngine, PostingMetrics, PostingStore, HoldStore, WalletStateStore],
    ...[PostingService, TransactionsService, TransactionsQueries, BatchService, PersonView],
    ...[HoldsService, HoldSweeper, WalletStatesService, LimitsService],
  ],
  exports: [TransactionsService, TransactionsQueries, PostingEngine, HoldSweeper],
})
export class TransactionsModule {}
