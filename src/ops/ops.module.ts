import { Module } from '@nestjs/common';
import { ErrorsController } from './errors.controller.js';
import { InFlight } from '../in-flight.js';
import { TransactionsModule } from '../transactions/transactions.module.js';
import { HealthController } from './health.controller.js';

@Module({
  imports: [TransactionsModule],
  controllers: [HealthController, ErrorsController],
  providers: [InFlight],
  exports: [InFlight],
})
export class OpsModule {}
