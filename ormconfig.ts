/**
 * The one DataSource: Nest builds its own from `databaseOptions()`, the TypeORM CLI loads the default export.
 * Entities and migrations stand here by name; there are no globs to miss a file.
 */
import 'reflect-metadata';
import type { Client } from 'pg';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { CreateLedger1763800000000 } from './migrations/1763800000000-create-ledger.js';
import { LifeOfMoney1763900000000 } from './migrations/1763900000000-life-of-money.js';
import { CommitBehind1763950000000 } from './migrations/1763950000000-commit-behind.js';
import { Growth1764000000000 } from './migrations/1764000000000-growth.js';
import { WhoMayCall1764100000000 } from './migrations/1764100000000-who-may-call.js';
import { Outbox1764200000000 } from './migrations/1764200000000-outbox.js';
import { Clock1764250000000 } from './migrations/1764250000000-clock.js';
import { Webhooks1764300000000 } from './migrations/1764300000000-webhooks.js';
import { Retention1764350000000 } from './migrations/1764350000000-retention.js';
import { Schedules1764400000000 } from './migrations/1764400000000-schedules.js';
import { Positions1764450000000 } from './migrations/1764450000000-positions.js';
import { OnePass1764500000000 } from './migrations/1764500000000-one-pass.js';
import { Settle1764550000000 } from './migrations/1764550000000-settle.js';
import { FromNothing1764600000000 } from './migrations/1764600000000-from-nothing.js';
import { DeadDeliveries1764650000000 } from './migrations/1764650000000-dead-deliveries.js';
import { ExpiredSessions1764700000000 } from './migrations/1764700000000-expired-sessions.js';
import { AuditEntry } from './src/audit/audit-entry.entity.js';
import { ApiKey } from './src/auth/api-key.entity.js';
import { OneTimeCode } from './src/auth/one-time-code.entity.js';
import { RefreshToken, Session } from './src/auth/session.entity.js';
import { SigningKey } from './src/auth/signing-key.entity.js';
import { commandConfig, type Config } from './src/config.js';
import { sendTogether } from './src/database/send-together.js';
import { OutboxBatch, OutboxEvent, OutboxPlace } from './src/events/outbox.entity.js';
import { IdempotencyKey } from './src/idempotency/idempotency-key.entity.js';
import { Schedule } from './src/schedules/schedule.entity.js';
import { Hold, HoldChange } from './src/transactions/hold.entity.js';
import { Entry, Transaction } from './src/transactions/transaction.entity.js';
import { WalletLimits, WalletStatusChange } from './src/transactions/wallet-state.entity.js';
import { tracing } from './src/tracing/tracing.js';
import { User } from './src/users/user.entity.js';
import { WebhookDelivery, WebhookEndpoint } from './src/webhooks/webhook.entities.js';
import { Wallet, WalletName } from './src/wallets/wallet.entity.js';

/**
 * Wallets, keys and entries are looked up by id. With the default price of a random page, which is for spinning disks,
 * the planner reads a small table of wallets whole instead: 0.37 ms of a lonely debit, 0.13 by id. And no query here
 * runs long enough to earn back the 30 ms and more for which the server would compile it.
 */
const PLANS = 'SET random_page_cost = 1.1; SET jit = off';
/** What texts of times and hashes look like, and what a transaction sees: somebody may have set other defaults for the database. */
const MEANING = `SET DateStyle = 'ISO'; SET bytea_output = 'hex'; SET default_transaction_isolation = 'read committed'`;
const SESSION = `${PLANS}; ${MEANING}`;

/** DataSource options for a configuration whose `databaseUrl` is set. Every wait on the database has an end. */
export function databaseOptions(config: Config): DataSourceOptions {
  return {
    type: 'postgres',
    url: config.databaseUrl,
    entities: [
      ...[User, Wallet, WalletName, WalletLimits, WalletStatusChange],
      ...[Transaction, Entry, Hold, HoldChange, IdempotencyKey],
      ...[OutboxBatch, OutboxEvent, OutboxPlace, WebhookEndpoint, WebhookDelivery, Schedule],
      ...[ApiKey, Session, RefreshToken, OneTimeCode, SigningKey, AuditEntry],
    ],
    migrations: [
      ...[CreateLedger1763800000000, LifeOfMoney1763900000000, CommitBehind1763950000000],
      ...[Growth1764000000000, WhoMayCall1764100000000, Outbox1764200000000, Clock1764250000000, Webhooks1764300000000],
      ...[Retention1764350000000, Schedules1764400000000, Positions1764450000000],
      ...[OnePass1764500000000, Settle1764550000000, FromNothing1764600000000],
      ...[DeadDeliveries1764650000000, ExpiredSessions1764700000000],
    ],
    migrationsTableName: 'migrations',
    synchronize: false,
    // One migration at a time, so that a lock-heavy one never holds up the locks of another.
    migrationsTransactionMode: 'each',
    applicationName: 'asper-wallet',
    connectTimeoutMS: config.databaseConnectTimeoutMs,
    poolSize: config.databasePoolSizeMax,
    extra: {
      statement_timeout: config.databaseStatementTimeoutMs,
      lock_timeout: config.databaseLockTimeoutMs,
      idle_in_transaction_session_timeout: config.databaseStatementTimeoutMs,
      // The client's own clock, for a server that has stopped answering at all.
      query_timeout: config.databaseStatementTimeoutMs + 1_000,
      keepAlive: true,
      // Statements that do not wait for one another's results travel together.
      pipeline: true,
      onConnect: (client: Client) => {
        sendTogether(client);
        tracing?.watch(client);
        // SECURITY: from here on it may do what the service's statements do, and nothing else.
        return client.query(config.databaseRole === '' ? SESSION : `${SESSION}; SET ROLE "${config.databaseRole}"`);
      },
    },
  };
}

/** For `typeorm -d dist/ormconfig.js`: the database of `DATABASE_URL`, else the embedded one. */
async function commandLineDataSource(): Promise<DataSource> {
  const config = commandConfig();
  const owner = { ...config, databaseUrl: config.databaseOwnerUrl || config.databaseUrl, databaseRole: '' };
  if (owner.databaseUrl) return new DataSource(databaseOptions(owner));
  const { openEmbedded } = await import('./src/database/embedded.js');
  const embedded = await openEmbedded({ dataDir: config.dataDir, role: 'command', log: console.error });
  const dataSource = new DataSource(databaseOptions({ ...owner, databaseUrl: embedded.url }));
  const destroy = dataSource.destroy.bind(dataSource);
  dataSource.destroy = async () => {
    try {
      await destroy();
    } finally {
      await embedded.stop();
    }
  };
  return dataSource;
}

const runByTypeormCli =
  /typeorm[\\/](cli|cli-ts-node)/.test(process.argv[1] ?? '') || /typeorm$/.test(process.argv[1] ?? '');
export default runByTypeormCli ? await commandLineDataSource() : undefined;
