import { Global, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { IdempotencyModule } from '../idempotency/idempotency.module.js';
import { AccessGuard } from './access.guard.js';
import { AccessTokens } from './access-tokens.js';
import { ApiKeys } from './api-keys.js';
import { ApiKeysController } from './api-keys.controller.js';
import { ApiKeysService } from './api-keys.service.js';
import { Ownership } from './ownership.js';
import { Principals } from './principals.js';

@Global()
@Module({
  imports: [IdempotencyModule],
  controllers: [ApiKeysController],
  providers: [
    AccessTokens,
    ApiKeys,
    ApiKeysService,
    Ownership,
    Principals,
    { provide: APP_GUARD, useClass: AccessGuard },
  ],
  exports: [Ownership, Principals],
})
export class AuthModule {}
