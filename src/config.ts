/**
 * The environment, read once into one frozen object. Every limit of the service has its name here. All
 * mistakes are reported together, and the service does not start with any.
 */
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { getCountries, type CountryCode } from 'libphonenumber-js/min';
import { readAuth } from './auth/auth.config.js';
import { CURRENCIES } from './currencies.js';
import { Environment } from './environment.js';
import { isAmountShaped } from './money.js';
import { readWebhooks } from './webhooks/webhooks.config.js';
import { isTimeZone, TIME_ZONE_RULE } from './time-zone.js';
import { readTracing } from './tracing/tracing.config.js';

/** External wallets per currency. A process takes one, at random unless told which, so two rarely share a row. */
export const EXTERNAL_STRIPES = 16;

/** Processes that one start may become. PostgreSQL is the limit long before. */
export const WORKERS_MAX = 64;

/** The longest that a hold may last. */
export const HOLD_DAYS_MAX = 365;

/** All mistakes of a configuration, one sentence each. */
export class ConfigError extends Error {
  constructor(readonly problems: string[]) {
    super(`The configuration has ${problems.length} mistake(s):\n${problems.map((p) => `  - ${p}`).join('\n')}`);
  }
}

/** Everything that the environment decides. Durations are in the unit that ends the name. */
export type Config = Readonly<ReturnType<typeof readConfig>>;
/** Injection token of the {@link Config}. */
export const CONFIG = Symbol('CONFIG');

/**
 * Reads and checks the environment.
 * @throws {ConfigError} listing every variable that is wrong and what it may be.
 */
export function readConfig(variables: Record<string, string | undefined>) {
  const env = new Environment(variables);
  const workers = readWorkers(env);
  const auth = readAuth(env, variables);
  const config = {
    /** 0 lets the system choose (tests). */
    port: env.integer('PORT', 5000, 0, 65535),
    ...auth,
    ...readWebhooks(env, auth),
    /** Processes that share the port; the limits of pools and queues hold for each. */
    workers,
    ...readDatabase(env, auth.production),
    /** Whether this process does what goes on beside requests: a service does, a command does not. */
    background: true,
    dataDir: env.text('DATA_DIR', '') || undefined,
    locking: env.oneOf('LOCKING', ['pessimistic', 'optimistic'], 'pessimistic'),
    logLevel: env.oneOf('LOG_LEVEL', ['error', 'warn', 'info', 'debug'], 'info'),
    logFormat: env.oneOf('LOG_FORMAT', ['json', 'text'], auth.production ? 'json' : 'text'),
    ...readDefaults(env),
    /** Outcomes are replayed for this long; later a repeat is told "already used" and is never executed again. */
    idempotencyRetentionHours: env.integer('IDEMPOTENCY_RETENTION_HOURS', 72, 72, 24 * 3650),
    /** After so many days a key is free again, and a repeat executes; 0: never. */
    idempotencyForgetDays: readForgetDays(env),
    /** Events can be read, sent and replayed for this long. A webhook is tried for three days. */
    eventRetentionDays: env.integer('EVENT_RETENTION_DAYS', 30, 7, 36_500),
    /** The attempts at deliveries that have ended can be looked up for this long. */
    deliveryRetentionDays: env.integer('DELIVERY_RETENTION_DAYS', 30, 1, 36_500),
    retentionSweepSeconds: env.integer('RETENTION_SWEEP_SECONDS', 60, 1, 86_400),
    ...readLoad(env, auth.production),
    /** Postings that may wait in memory. Past it the answer is 503 at once. At 8,000 a second, half a second. */
    queueLengthMax: env.integer('QUEUE_LENGTH_MAX', 4_096, 1, 1_000_000),
    /** Postings committed together. Batches of 500 go a quarter faster than with 512, as four share the wallets' rows. */
    groupSizeMax: env.integer('GROUP_SIZE_MAX', 2_048, 1, 10_000),
    /** Attempts at one group before its callers hear 503. */
    groupAttemptsMax: env.integer('GROUP_ATTEMPTS_MAX', 8, 1, 100),
    /** No further attempt at a group starts after this long. */
    groupDeadlineMs: env.integer('GROUP_DEADLINE_MS', 10_000, 100, 600_000),
    /** Open live streams; 15 to 20 KB each. */
    streamsMax: env.integer('STREAMS_MAX', 5_000, 1, 100_000),
    /** Of the first worker; the others take the ones that follow. */
    externalStripe: env.integer('EXTERNAL_STRIPE', stripeAtRandom(workers), 0, EXTERNAL_STRIPES - 1),
    /** Days and months of the wallets' limits begin at midnight here. */
    limitTimeZone: readTimeZone(env),
    /** How long a hold lasts whose caller does not say. */
    holdDaysDefault: env.integer('HOLD_DAYS_DEFAULT', 7, 1, HOLD_DAYS_MAX),
    /** How far the captures of a hold may exceed it, in percent: tips, fuel, freight. */
    captureTolerancePercent: env.integer('CAPTURE_TOLERANCE_PERCENT', 0, 0, 100),
    /** Holds stop counting the moment they expire; this often, what has expired is also written down. */
    holdSweepSeconds: env.integer('HOLD_SWEEP_SECONDS', 60, 1, 86_400),
    /** How often due schedules are looked for; half of it is what an occurrence waits on average. */
    schedulePollSeconds: env.integer('SCHEDULE_POLL_SECONDS', 1, 1, 3_600),
    /** Whether the clock of holds and schedules can be put forward. */
    testClock: readTestClock(env, variables),
    /** SECURITY: bodies beyond this are refused before they are parsed. */
    bodyBytesMax: 64 * 1024,
    batchBytesMax: 1024 * 1024,
    /** A check over HTTP reads at most this many entries: 100,000 take 1.1 s. Larger ledgers: `asper check`. */
    ledgerCheckEntriesMax: env.integer('LEDGER_CHECK_ENTRIES_MAX', 100_000, 1, 10_000_000),
    ...readReceipts(env),
    ...readTracing(env),
    /** The original's history call answers in one piece; past this many rows it asks for a shorter range. */
    classicHistoryMax: 10_000,
  };
  if (env.problems.length > 0) throw new ConfigError(env.problems);
  return Object.freeze(config);
}

/**
 * The configuration of a command (`asper`, migrations). It opens no port, so who may call over HTTP is no question
 * here: whoever can start it with these variables holds the database's password already.
 * @throws {ConfigError}
 */
export function commandConfig(): Config {
  const config = readConfig({ ...process.env, AUTH: 'open', HOST: '127.0.0.1', NODE_ENV: undefined });
  return { ...config, background: false };
}

function readWorkers(env: Environment): number {
  const raw = env.text('WORKERS', '1');
  const workers = raw === 'auto' ? Math.min(availableParallelism(), WORKERS_MAX) : Number(raw);
  const isRight = Number.isInteger(workers) && workers >= 1 && workers <= WORKERS_MAX;
  env.check(isRight, 'WORKERS', raw, `auto or a whole number from 1 to ${WORKERS_MAX}`);
  return isRight ? workers : 1;
}

/** Of two services with 4 workers each, aligned ranges overlap 1 time in 4, others 7 times in 16. */
function stripeAtRandom(workers: number): number {
  return workers * randomInt(Math.max(1, Math.floor(EXTERNAL_STRIPES / workers)));
}

/** Less than a month is no time for a client that was away. */
function readForgetDays(env: Environment): number {
  const days = env.integer('IDEMPOTENCY_FORGET_DAYS', 0, 0, 36_500);
  env.check(days === 0 || days >= 30, 'IDEMPOTENCY_FORGET_DAYS', String(days), '0 (never) or at least 30');
  return days;
}

function readTestClock(env: Environment, variables: Record<string, string | undefined>): boolean {
  const isOn = env.oneOf('TEST_CLOCK', ['on', 'off'], 'off') === 'on';
  if (isOn && variables.NODE_ENV === 'production') {
    env.problems.push('TEST_CLOCK=on lets holds run out early and is refused with NODE_ENV=production');
  }
  return isOn;
}

/** How much is taken on at once, and for how long. */
function readLoad(env: Environment, production: boolean) {
  return {
    /** A posting that has waited this long is refused, without having been begun. */
    queueWaitMsMax: env.integer('QUEUE_WAIT_MS_MAX', 5_000, 100, 600_000),
    /** Requests under way in a process; further ones hear 503 before their body is read. */
    requestsMax: env.integer('REQUESTS_MAX', 10_000, 1, 1_000_000),
    /** Bodies of all requests under way together; parsed, they take some times that. */
    bodiesBytesMax: env.integer('BODIES_BYTES_MAX', 134_217_728, 1_048_576, 17_179_869_184),
    /** By then every request has an answer. */
    requestDeadlineMs: env.integer('REQUEST_DEADLINE_MS', 15_000, 100, 600_000),
    /** Between the signal to stop and the end of serving: whoever sends requests here notices that it is not ready. */
    shutdownGraceMs: env.integer('SHUTDOWN_GRACE_MS', production ? 3_000 : 0, 0, 60_000),
  };
}

function readDatabase(env: Environment, production: boolean) {
  return {
    /** Empty: start the embedded PostgreSQL. */
    databaseUrl: readDatabaseUrl(env, 'DATABASE_URL'),
    /** Whoever owns the tables and migrates; empty: the same as `databaseUrl`. */
    databaseOwnerUrl: readDatabaseUrl(env, 'DATABASE_OWNER_URL'),
    /** What each connection of the service acts as; empty: as whoever it connects as. */
    databaseRole: readDatabaseRole(env),
    /** Where it cannot be had: whether that is a refusal, or a warning and the service acts as the owner. */
    databaseRoleNeeded: production,
    databasePoolSizeMax: env.integer('DATABASE_POOL_SIZE_MAX', 10, 2, 1_000),
    databaseConnectTimeoutMs: env.integer('DATABASE_CONNECT_TIMEOUT_MS', 5_000, 100, 600_000),
    databaseStatementTimeoutMs: env.integer('DATABASE_STATEMENT_TIMEOUT_MS', 10_000, 100, 600_000),
    databaseLockTimeoutMs: env.integer('DATABASE_LOCK_TIMEOUT_MS', 5_000, 100, 600_000),
  };
}

function readDatabaseRole(env: Environment): string {
  const role = env.text('DATABASE_ROLE', 'asper_service');
  env.check(/^[a-z_][a-z0-9_]{0,62}$/.test(role), 'DATABASE_ROLE', role, 'none, or small letters, digits and _');
  return role === 'none' ? '' : role;
}

function readDatabaseUrl(env: Environment, name: string): string {
  const url = env.text(name, '');
  const isRight = url === '' || /^postgres(ql)?:\/\/.+/.test(url);
  env.check(isRight, name, url, 'like postgresql://user:password@host:5432/database');
  return url;
}

/** SECURITY: what is wrong with the key is said without printing it. */
function readReceipts(env: Environment) {
  const seed = env.secret('RECEIPT_KEY', '`asper receipts new-key` makes one');
  const retired = env.list('RECEIPT_KEYS_RETIRED');
  for (const key of retired) {
    env.check(
      /^[\w-]{43}$/.test(key),
      'RECEIPT_KEYS_RETIRED',
      key,
      'public keys (`x` of the key set), separated by commas',
    );
  }
  return {
    /** Ed25519 seed that receipts are signed with; absent, one is made, except in production. */
    receiptKeySeed: seed,
    /** Earlier public keys, so that receipts which they signed can still be verified. */
    receiptKeysRetired: retired,
    /** Who a receipt says that it is from. */
    receiptIssuer: env.text('RECEIPT_ISSUER', 'asper-wallet'),
  };
}

function readTimeZone(env: Environment): string {
  const zone = env.text('LIMIT_TIME_ZONE', 'UTC');
  env.check(isTimeZone(zone), 'LIMIT_TIME_ZONE', zone, TIME_ZONE_RULE);
  return zone;
}

function readDefaults(env: Environment) {
  const defaultCurrency = env.text('DEFAULT_CURRENCY', 'INR');
  env.check(CURRENCIES.has(defaultCurrency), 'DEFAULT_CURRENCY', defaultCurrency, 'an ISO 4217 code such as INR');
  // Whole, as it applies to every currency and some have no decimals.
  const defaultMinimumBalance = env.text('DEFAULT_MINIMUM_BALANCE', '100');
  const isWhole = isAmountShaped(defaultMinimumBalance, true) && !defaultMinimumBalance.includes('.');
  env.check(isWhole, 'DEFAULT_MINIMUM_BALANCE', defaultMinimumBalance, 'a whole number such as 100');
  const region = env.text('DEFAULT_PHONE_REGION', 'IN');
  const isRegion = (getCountries() as string[]).includes(region);
  env.check(isRegion, 'DEFAULT_PHONE_REGION', region, 'a two-letter country code such as IN');
  return { defaultCurrency, defaultMinimumBalance, defaultPhoneRegion: region as CountryCode };
}
