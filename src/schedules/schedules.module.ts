import { Module } from '@nestjs/common';
import { IdempotencyModule } from '../idempotency/idempotency.module.js';
import { TransactionsModule } from '../transactions/transactions.module.js';
import { WalletsModule } from '../wallets/wallets.module.js';
import { ScheduleRunner } from './schedule.runner.js';
import { ScheduleStore } from './schedule.store.js';
import { SchedulesController } from './schedules.controller.js';
import { SchedulesService } from './schedules.service.js';

@Module({
  imports: [IdempotencyModule, TransactionsModule, WalletsModule],
  controllers: [SchedulesController],
  providers: [SchedulesService, ScheduleStore, ScheduleRunner],
})
export class SchedulesModule {}
