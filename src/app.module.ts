import { Global, Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { databaseOptions } from '../ormconfig.js';
import { AuditModule } from './audit/audit.module.js';
import { AuthModule } from './auth/auth.module.js';
import { Background } from './background.js';
import { ClassicModule } from './classic/classic.module.js';
import { ClockModule } from './clock/clock.module.js';
import { CONFIG, type Config } from './config.js';
import { ProblemFilter } from './error.filter.js';
import { EventsModule } from './events/events.module.js';
import { OutboxModule } from './events/outbox.module.js';
import { LedgerModule } from './ledger/ledger.module.js';
import { LiveModule } from './live/live.module.js';
import { OpsModule } from './ops/ops.module.js';
import { ReceiptsModule } from './receipts/receipts.module.js';
import { RetentionModule } from './retention/retention.module.js';
import { SchedulesModule } from './schedules/schedules.module.js';
import { StatementsModule } from './statements/statements.module.js';
import { TelemetryModule } from './telemetry/telemetry.module.js';
import { TransactionsModule } from './transactions/transactions.module.js';
import { UsersModule } from './users/users.module.js';
import { StrictValidationPipe } from './validation.pipe.js';
import { WebhooksModule } from './webhooks/webhooks.module.js';
import { WalletsModule } from './wallets/wallets.module.js';

@Global()
@Module({})
export class AppModule {
  /** The whole service for one configuration, whose `databaseUrl` is set. */
  static with(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [
        TypeOrmModule.forRoot({ ...databaseOptions(config), retryAttempts: 0 }),
        TelemetryModule,
        AuditModule,
        OutboxModule,
        ClockModule,
        AuthModule,
        UsersModule,
        WalletsModule,
        TransactionsModule,
        EventsModule,
        WebhooksModule,
        LiveModule,
        SchedulesModule,
        StatementsModule,
        RetentionModule,
        LedgerModule,
        ReceiptsModule,
        ClassicModule,
        OpsModule,
      ],
      providers: [
        { provide: CONFIG, useValue: config },
        Background,
        { provide: APP_FILTER, useClass: ProblemFilter },
        { provide: APP_PIPE, useClass: StrictValidationPipe },
      ],
      exports: [CONFIG, Background],
    };
  }
}
