import { Module } from '@nestjs/common';
import { StatementsModule } from '../statements/statements.module.js';
import { TransactionsModule } from '../transactions/transactions.module.js';
import { UsersModule } from '../users/users.module.js';
import { WalletsModule } from '../wallets/wallets.module.js';
import { ClassicController } from './classic.controller.js';

@Module({
  imports: [UsersModule, WalletsModule, TransactionsModule, StatementsModule],
  controllers: [ClassicController],
})
export class ClassicModule {}
