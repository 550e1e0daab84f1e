import { Module } from '@nestjs/common';
import { UsersModule } from '../users/users.module.js';
import { WalletsModule } from '../wallets/wallets.module.js';
import { BalanceService } from './balance.service.js';
import { CurrentBalances } from './current-balances.js';
import { Downloads } from './downloads.js';
import { StatementService } from './statement.service.js';
import { StatementsController } from './statements.controller.js';
import { StatementsService } from './statements.service.js';
import { SummaryService } from './summary.service.js';

@Module({
  imports: [UsersModule, WalletsModule],
  controllers: [StatementsController],
  providers: [StatementsService, BalanceService, CurrentBalances, SummaryService, StatementService, Downloads],
  exports: [StatementsService],
})
export class StatementsModule {}
