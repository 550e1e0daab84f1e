import { Module } from '@nestjs/common';
import { WalletsModule } from '../wallets/wallets.module.js';
import { ReceiptKeys } from './receipt.keys.js';
import { ReceiptsController } from './receipts.controller.js';
import { ReceiptsService } from './receipts.service.js';

@Module({ imports: [WalletsModule], controllers: [ReceiptsController], providers: [ReceiptsService, ReceiptKeys] })
export class ReceiptsModule {}
