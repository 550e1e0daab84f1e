/**
 * The environment, read once into one frozen object. Every limit of the service has its name here. All
 * mistakes are reported together, and the service does not start with any.
 */
import { randomInt } from 'node:crypto';
import { getCountries, type CountryCode } from 'libphonenumber-js/min';
import { CURRENCIES } from './currencies.js';
import { AMOUNT_TEXT, isAmountShaped } from './money.js';

/** External wallets per currency. A process takes one at random, so two processes rarely share a row. */
export const EXTERNAL_STRIPES = 16;

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

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/**
 * Reads and checks the environment.
 * @throws {ConfigError} listing every variable that is wrong and what it may be.
 */
export function readConfig(env: Record<string, string | undefined>) {
  const problems: string[] = [];
  const text = (name: string, fallback: string) => env[name]?.trim() || fallback;
  const integer = (name: string, fallback: number, min: number, max: number) => {
    const raw = text(name, String(fallback));
    const value = Number(raw);
    if (/^\d+$/.test(raw) && value >= min && value <= max) return value;
    problems.push(`${name} must be a whole number from ${min} to ${max}, not "${raw}"`);
    return fallback;
  };
  const oneOf = <T extends string>(name: string, allowed: readonly T[], fallback: T): T => {
    const raw = text(name, fallback);
    if ((allowed as readonly string[]).includes(raw)) return raw as T;
    problems.push(`${name} must be ${allowed.join(' or ')}, not "${raw}"`);
    return fallback;
  };

  const host = text('HOST', '127.0.0.1');
  const production = env.NODE_ENV === 'production';
  const auth = oneOf('AUTH', ['open', 'required'], LOOPBACK.test(host) && !production ? 'open' : 'required');
  if (auth === 'required') {
    problems.push(
      `AUTH=required (the default with NODE_ENV=production or on an address other than loopback, here ${host}) ` +
        'needs sign-in, which this version does not have yet; on a network that you trust, say AUTH=open',
    );
  } else if (production) {
    problems.push('AUTH=open lets everyone move money and is refused with NODE_ENV=production');
  }
  const databaseUrl = text('DATABASE_URL', '');
  if (databaseUrl && !/^postgres(ql)?:\/\/.+/.test(databaseUrl)) {
    problems.push('DATABASE_URL must look like postgresql://user:password@host:5432/database');
  }
  const defaultCurrency = text('DEFAULT_CURRENCY', 'INR');
  if (!CURRENCIES.has(defaultCurrency)) {
    problems.push(`DEFAULT_CURRENCY must be an ISO 4217 code with a minor unit such as INR, not "${defaultCurrency}"`);
  }
  const defaultMinimumBalance = text('DEFAULT_MINIMUM_BALANCE', '100');
  if (!isAmountShaped(defaultMinimumBalance, true)) {
    problems.push(`DEFAULT_MINIMUM_BALANCE must be a decimal number such as 100, not "${defaultMinimumBalance}"`);
  } else if (AMOUNT_TEXT.test(defaultMinimumBalance) && defaultMinimumBalance.includes('.')) {
    problems.push('DEFAULT_MINIMUM_BALANCE must be whole: it applies to every currency, and some have no decimals');
  }
  const defaultPhoneRegion = text('DEFAULT_PHONE_REGION', 'IN');
  if (!(getCountries() as string[]).includes(defaultPhoneRegion)) {
    problems.push(`DEFAULT_PHONE_REGION must be a two-letter country code such as IN, not "${defaultPhoneRegion}"`);
  }

  const config = {
    /** 0 lets the system choose (tests). */
    port: integer('PORT', 5000, 0, 65535),
    host,
    production,
    auth,
    /** Empty: start the embedded PostgreSQL. */
    databaseUrl,
    dataDir: text('DATA_DIR', '') || undefined,
    locking: oneOf('LOCKING', ['pessimistic', 'optimistic'], 'pessimistic'),
    logLevel: oneOf('LOG_LEVEL', ['error', 'warn', 'info', 'debug'], 'info'),
    defaultCurrency,
    defaultMinimumBalance,
    defaultPhoneRegion: defaultPhoneRegion as CountryCode,
    /** Outcomes are replayed for this long; later a repeat is told "already used" and is never executed again. */
    idempotencyRetentionHours: integer('IDEMPOTENCY_RETENTION_HOURS', 72, 72, 24 * 3650),
    /** Postings that may wait in memory. Past it the answer is 503 at once. At 8,000 a second, half a second. */
    queueLengthMax: integer('QUEUE_LENGTH_MAX', 4_096, 1, 1_000_000),
    /** Postings committed together. */
    groupSizeMax: integer('GROUP_SIZE_MAX', 512, 1, 10_000),
    /** Attempts at one group before its callers hear 503. */
    groupAttemptsMax: integer('GROUP_ATTEMPTS_MAX', 8, 1, 100),
    /** No further attempt at a group starts after this long. */
    groupDeadlineMs: integer('GROUP_DEADLINE_MS', 10_000, 100, 600_000),
    databasePoolSizeMax: integer('DATABASE_POOL_SIZE_MAX', 10, 2, 1_000),
    databaseConnectTimeoutMs: integer('DATABASE_CONNECT_TIMEOUT_MS', 5_000, 100, 600_000),
    databaseStatementTimeoutMs: integer('DATABASE_STATEMENT_TIMEOUT_MS', 10_000, 100, 600_000),
    databaseLockTimeoutMs: integer('DATABASE_LOCK_TIMEOUT_MS', 5_000, 100, 600_000),
    externalStripe: integer('EXTERNAL_STRIPE', randomInt(EXTERNAL_STRIPES), 0, EXTERNAL_STRIPES - 1),
    /** SECURITY: bodies beyond this are refused before they are parsed. */
    bodyBytesMax: 64 * 1024,
    pageSizeMax: 100,
    /** The original's history call answers in one piece; past this many rows it asks for a shorter range. */
    classicHistoryMax: 10_000,
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config);
}
