import { Module } from '@nestjs/common';
import { WalletsModule } from '../wallets/wallets.module.js';
import { LiveController } from './live.controller.js';
import { LiveHub } from './live.hub.js';
import { LiveQueries } from './live.queries.js';
import { LiveService } from './live.service.js';

@Module({
  imports: [WalletsModule],
  controllers: [LiveController],
  providers: [LiveService, LiveHub, LiveQueries],
})
export class LiveModule {}
