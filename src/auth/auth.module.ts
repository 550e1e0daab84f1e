import { Global, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { CONFIG } from '../config.js';
import { IdempotencyModule } from '../idempotency/idempotency.module.js';
import { UsersModule } from '../users/users.module.js';
import { UndeclaredGuard } from '../undeclared.guard.js';
import { AccessGuard } from './access.guard.js';
import { AccessTokens } from './access-tokens.js';
import { ApiKeys } from './api-keys.js';
import { ApiKeysController } from './api-keys.controller.js';
import { ApiKeysService } from './api-keys.service.js';
import { AuthSecret } from './auth-secret.js';
import { AuthController } from './auth.controller.js';
import { AuthSweeper } from './auth.sweeper.js';
import { ContinuedAccess } from './continued-access.js';
import { CodeDispatch } from './code-dispatch.js';
import { CodeSender, codeSenderOf } from './code-sender.js';
import { OneTimeCodes } from './one-time-codes.js';
import { Ownership } from './ownership.js';
import { Principals } from './principals.js';
import { RefreshTokens } from './refresh-tokens.js';
import { RequestLimits } from './request-limits.js';
import { SendLimits } from './send-limits.js';
import { SessionsService } from './sessions.service.js';
import { SignInService } from './sign-in.service.js';
import { SigningKeys } from './signing-keys.js';

@Global()
@Module({
  imports: [UsersModule, IdempotencyModule],
  controllers: [AuthController, ApiKeysController],
  providers: [
    ...[AccessTokens, ApiKeys, ApiKeysService, Ownership, Principals],
    // In this order: whoever may not call is told that, and nothing of fields.
    { provide: APP_GUARD, useClass: AccessGuard },
    { provide: APP_GUARD, useClass: UndeclaredGuard },
    ContinuedAccess,
    ...[AuthSecret, SigningKeys, SessionsService, RefreshTokens, AuthSweeper],
    ...[SignInService, OneTimeCodes, SendLimits, CodeDispatch, RequestLimits],
    { provide: CodeSender, useFactory: codeSenderOf, inject: [CONFIG] },
  ],
  exports: [AuthSecret, ContinuedAccess, Ownership, Principals, SessionsService],
})
export class AuthModule {}
