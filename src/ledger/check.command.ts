/** `asper check`: a table of what was checked, every broken row, and an exit code. */
import type { Command } from 'commander';
import { DataSource } from 'typeorm';
import { databaseOptions } from '../../ormconfig.js';
import { commandConfig, type Config } from '../config.js';
import { missingMigrations } from '../database/migrate.js';
import { onDatabase } from '../import/open-service.js';
import { Progress } from '../import/progress.js';
import { UsageError } from '../usage-error.js';
import { checkLedger, type CheckResult } from './ledger.checker.js';

const EXIT = { sound: 0, broken: 1 } as const;
const WALLET_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface RawCheckOptions {
  wallet?: string;
  json?: boolean;
  receipt?: string;
}

/** Declares `asper check`. */
export function declareCheck(program: Command): Command {
  return program
    .command('check')
    .summary('re-derive every law of the ledger from its rows')
    .description(
      'Re-derives every law of the ledger from its rows alone: balances, numbering, floors, holds, zero sums, ' +
        'reversals, limits, the outcomes of idempotency keys, and the hash chain of every wallet. Names each row that ' +
        'breaks one. It only reads, in one snapshot: a running service goes on beside it.',
    )
    .option('-w, --wallet <id>', 'check only this wallet, and the transactions, holds and keys that it has a part in')
    .option('-r, --receipt <file>', 'only hold a stored receipt against the ledger: is the entry still what it was?')
    .option('--json', 'print one JSON object instead of the table')
    .addHelpText(
      'after',
      `
Examples:
  $ asper check
  $ asper check --wallet 0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90
  $ asper check --receipt receipt.json
  $ asper check --json > check.json || mail -s 'The ledger is broken' you@example.com < check.json

The result goes to stdout, progress to stderr. Of each law the first 1,000 broken rows are named, and all are counted.

Exit codes: 0 every law holds, 1 a law is broken, 2 the check could not be made: the command or the configuration is
wrong, or there is no database.`,
    );
}

/**
 * Runs the check and prints what it found.
 * @returns the exit code.
 * @throws {UsageError} where there is no such wallet.
 */
export async function checkCommand({ wallet, json, receipt }: RawCheckOptions): Promise<number> {
  if (receipt !== undefined) return checkReceipt(receipt);
  if (wallet !== undefined && !WALLET_ID.test(wallet)) {
    throw new UsageError('--wallet must be the id of a wallet: a UUID in lower case.');
  }
  const { result, seconds } = await onDatabase(readerConfig(), say, (config) => check(config, wallet));
  if (wallet !== undefined && result.walletCount + result.entryCount === 0) {
    throw new UsageError(`There is no wallet ${wallet}.`);
  }
  console.log(json ? jsonOf(result, seconds) : tableOf(result, seconds).join('\n'));
  return result.isSound ? EXIT.sound : EXIT.broken;
}

/** The signature is verified with the keys of this configuration; on another machine RECEIPT_KEYS_RETIRED names them. */
async function checkReceipt(file: string): Promise<number> {
  const { ReceiptKeys } = await import('../receipts/receipt.keys.js');
  const { readReceipt, receiptMismatch } = await import('../receipts/receipt.check.js');
  const jws = readReceipt(file);
  const mismatch = await onDatabase(readerConfig(), say, async (config) => {
    const dataSource = await new DataSource(databaseOptions(config)).initialize();
    try {
      await demandSchema(dataSource);
      return await receiptMismatch(dataSource, jws, await new ReceiptKeys(config).publicKeys());
    } finally {
      await dataSource.destroy();
    }
  });
  console.log(mismatch ? `BROKEN: ${mismatch}.` : 'The ledger says what the receipt says.');
  return mismatch ? EXIT.broken : EXIT.sound;
}

/** As the owner, where one is named: a database that was restored has not given the service's role its rights yet. */
function readerConfig(): Config {
  const config = commandConfig();
  return { ...config, databaseUrl: config.databaseOwnerUrl || config.databaseUrl, databaseRole: '' };
}

async function check(config: Config, walletId: string | undefined) {
  const dataSource = await new DataSource(withoutTimeouts(config)).initialize();
  const startedAt = performance.now();
  const progress = new Progress(100, process.stderr, 'entries');
  try {
    await demandSchema(dataSource);
    const onProgress = (part: number, entryCount: number) => progress.update(Math.floor(100 * part), entryCount);
    const result = await checkLedger(dataSource, { walletId, limitTimeZone: config.limitTimeZone, onProgress });
    return { result, seconds: (performance.now() - startedAt) / 1_000 };
  } finally {
    progress.stop();
    await dataSource.destroy();
  }
}

/** A check changes nothing, so neither does it migrate; and a database without a schema is no ledger that is sound. */
async function demandSchema(dataSource: DataSource): Promise<void> {
  const missing = await missingMigrations(dataSource);
  if (missing.length === 0) return;
  const what = missing.length === dataSource.migrations.length ? 'has no ledger' : 'has an older schema';
  throw new UsageError(
    `The database ${what}: ${missing.length} of ${dataSource.migrations.length} migrations of this version are missing. Check with ` +
      'the version that the service runs, or run `asper migrate` first. Is DATABASE_URL the right one?',
  );
}

/** A large ledger takes as long as it takes; the service's own limits are for callers who wait. */
function withoutTimeouts(config: Config) {
  const options = databaseOptions(config);
  const timeouts = { statement_timeout: 0, idle_in_transaction_session_timeout: 0, query_timeout: undefined };
  return { ...options, extra: { ...(options.extra as object), ...timeouts }, poolSize: 1 } as typeof options;
}

function tableOf({ isSound, entryCount, walletCount, transactionCount, breaches }: CheckResult, seconds: number) {
  const number = (n: number) => Math.round(n).toLocaleString('en-US');
  const lines = breaches.flatMap(({ law, count, findings }) => [
    `BROKEN ${law}: ${number(count)} ${count === 1 ? 'row' : 'rows'}`,
    ...findings.map(({ table, row, detail }) => `  ${table} ${row}: ${detail}`),
    ...(count > findings.length ? [`  … and ${number(count - findings.length)} more`] : []),
  ]);
  return [
    ...lines,
    `wallets             ${number(walletCount)}`,
    `transactions        ${number(transactionCount)}`,
    `entries             ${number(entryCount)}`,
    `broken laws         ${number(breaches.length)}`,
    `seconds             ${seconds.toFixed(1)}`,
    `entries per second  ${number(entryCount / seconds)}`,
    isSound ? 'The ledger is sound.' : 'THE LEDGER IS BROKEN.',
  ];
}

function jsonOf(
  { isSound, entryCount, walletCount, transactionCount, breaches }: CheckResult,
  seconds: number,
): string {
  return JSON.stringify({
    is_sound: isSound,
    wallets: walletCount,
    transactions: transactionCount,
    entries: entryCount,
    seconds: Number(seconds.toFixed(3)),
    broken_laws: Object.fromEntries(breaches.map(({ law, count }) => [law, count])),
    findings: breaches.flatMap(({ findings }) => findings),
  });
}

function say(line: string): void {
  console.error(line);
}
