import { Global, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AccessGuard } from './access.guard.js';
import { AccessTokens } from './access-tokens.js';
import { ApiKeys } from './api-keys.js';
import { Ownership } from './ownership.js';
import { Principals } from './principals.js';

@Global()
@Module({
  providers: [AccessTokens, ApiKeys, Ownership, Principals, { provide: APP_GUARD, useClass: AccessGuard }],
  exports: [Ownership, Principals],
})
export class AuthModule {}
