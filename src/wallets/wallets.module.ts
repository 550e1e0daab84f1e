import { Module } from '@nestjs/common';
import { IdempotencyModule } from '../idempotency/idempotency.module.js';
import { UsersModule } from '../users/users.module.js';
import { ExternalWallets } from './external-wallets.js';
import { WalletCurrencies } from './wallet-currencies.js';
import { WalletsController } from './wallets.controller.js';
import { WalletsService } from './wallets.service.js';

@Module({
  imports: [UsersModule, IdempotencyModule],
  controllers: [WalletsController],
  providers: [WalletsService, WalletCurrencies, ExternalWallets],
  exports: [WalletsService, WalletCurrencies, ExternalWallets],
})
export class WalletsModule {}
