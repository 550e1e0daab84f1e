import { Module } from '@nestjs/common';
import { TransactionsModule } from '../transactions/transactions.module.js';
import { WalletsModule } from '../wallets/wallets.module.js';
import { EventsController } from './events.controller.js';
import { EventsQueries } from './events.queries.js';

@Module({
  imports: [TransactionsModule, WalletsModule],
  controllers: [EventsController],
  providers: [EventsQueries],
  exports: [EventsQueries],
})
export class EventsModule {}
