import { Module } from '@nestjs/common';
import { TransactionsModule } from '../transactions/transactions.module.js';
import { WalletsModule } from '../wallets/wallets.module.js';
import { LiveController } from './live.controller.js';
import { LiveExpiry } from './live.expiry.js';
import { LiveHub } from './live.hub.js';
import { LiveQueries } from './live.queries.js';
import { LiveService } from './live.service.js';

@Module({
  imports: [WalletsModule, TransactionsModule],
  controllers: [LiveController],
  providers: [LiveService, LiveHub, LiveQueries, LiveExpiry],
})
export class LiveModule {}
