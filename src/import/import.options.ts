/** The options of `asper import`: how they are called, and what is wrong with them before anything is opened. */
import { Command, Option } from 'commander';
import { openSync, closeSync, statSync, realpathSync } from 'node:fs';
import type { Config } from '../config.js';
import { CURRENCIES } from '../currencies.js';
import { AmountError, parseAmount } from '../money.js';
import { UsageError } from '../usage-error.js';
import { COLUMNS } from './movement.js';

/** As commander hands them over. */
export interface RawImportOptions {
  currency?: string;
  minimumBalance?: string;
  map: string[];
  delimiter: string;
  source: string;
  report?: string;
  rejects?: string;
  dryRun?: boolean;
}

export interface ImportOptions {
  file: string;
  fileBytes: number;
  currency: string;
  /** Left out: the service's default. */
  minimumBalance?: string;
  map: ReadonlyMap<string, string>;
  delimiter: string;
  source: string;
  report?: string;
  rejects?: string;
  dryRun: boolean;
}

/** Declares `asper import`. */
export function declareImport(program: Command): Command {
  return program
    .command('import')
    .summary('import movements of accounts from a CSV file')
    .description(
      'Imports movements of accounts from a CSV file, one wallet for each account.\n\n' +
        'Columns, in any order: transaction_id, date, account_id, type (credit or debit), amount; and if there are any: ' +
        'balance_after (compared, not imported) and operation (the description). Others are ignored. The rows of an ' +
        'account stand in the order in which they happened. A transaction_id is imported once: the same file again, or ' +
        'a run after an interruption, posts only what is missing.',
    )
    .argument('<file.csv>', 'UTF-8, with headings in its first line')
    .option('-c, --currency <code>', 'ISO 4217 code of all amounts (default: DEFAULT_CURRENCY, else INR)')
    .option(
      '-m, --minimum-balance <amount>',
      'floor of the wallets that are opened; negative is a credit line: --minimum-balance=-5000 (default: DEFAULT_MINIMUM_BALANCE, else 100)',
    )
    .addOption(
      new Option(
        '--map <theirs=ours>',
        'a heading of the file and the column it is: --map "Booked on=date"; repeatable',
      )
        .default([], 'none')
        .argParser((value: string, earlier: string[]) => [...earlier, value]),
    )
    .option('-d, --delimiter <mark>', 'what separates the fields: one character, or "tab"', ',')
    .option('-s, --source <name>', 'the system that transaction_id belongs to; ids of two sources never meet', 'csv')
    .option('-r, --report <file>', 'write account_id,wallet_id,balance of every account of the file')
    .option('--rejects <file>', 'write every line that did not go in, with its reason')
    .option('-n, --dry-run', 'only read the file: find bad lines and the lowest balance of all accounts')
    .addHelpText(
      'after',
      `
Examples:
  $ asper import bank.csv --currency CZK --minimum-balance=-5000 --report balances.csv
  $ asper import export.csv --delimiter ';' --map "Booking date=date" --map "Account=account_id"

Works beside a running service and without one. The database is the one of DATABASE_URL, else the embedded one of
DATA_DIR. Ctrl-C stops cleanly; the same command goes on where it was.

Exit codes: 0 everything is in, 1 lines were bad or refused, or the database went away and stayed so, 2 the
command or the configuration is wrong, or the database could not be reached, 130 stopped with Ctrl-C.`,
    );
}

/** Checks options that belong together. @throws {UsageError} saying what to write instead. */
export function readImportOptions(file: string, raw: RawImportOptions, config: Config): ImportOptions {
  const currency = raw.currency?.toUpperCase() ?? config.defaultCurrency;
  if (!CURRENCIES.has(currency))
    throw new UsageError(`--currency must be an ISO 4217 code such as INR, not "${raw.currency}".`);
  try {
    parseAmount(raw.minimumBalance ?? config.defaultMinimumBalance, currency, { signed: true });
  } catch (error) {
    if (error instanceof AmountError) throw new UsageError(`--minimum-balance ${error.message}.`);
    throw error;
  }
  const delimiter = /^(tab|\\t)$/.test(raw.delimiter) ? '\t' : raw.delimiter;
  if (delimiter.length !== 1 || /["\r\n]/.test(delimiter)) {
    throw new UsageError('--delimiter must be one character such as ";", or tab.');
  }
  // It becomes part of the transactions' actor; blanks and colons would read as something else there.
  if (!/^[\w.-]{1,100}$/.test(raw.source)) {
    throw new UsageError('--source must be 1 to 100 letters, digits, dots, dashes or underscores.');
  }
  const fileBytes = sizeOf(file);
  const { report, rejects } = raw;
  if (!raw.dryRun) prepareOutputs(file, { '--report': report, '--rejects': rejects });
  return {
    file,
    fileBytes,
    currency,
    minimumBalance: raw.minimumBalance,
    map: readMap(raw.map),
    delimiter,
    source: raw.source,
    report,
    rejects,
    dryRun: raw.dryRun ?? false,
  };
}

/** Our names by theirs. */
function readMap(pairs: string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const pair of pairs) {
    const at = pair.lastIndexOf('=');
    const [theirs, ours] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    if (at < 1 || theirs === '' || !(COLUMNS as readonly string[]).includes(ours)) {
      throw new UsageError(
        `--map ${pair}: write <heading of the file>=<column>, the column one of ${COLUMNS.join(', ')}.`,
      );
    }
    if (map.has(theirs) || [...map.values()].includes(ours)) throw new UsageError(`--map ${pair}: mapped twice.`);
    map.set(theirs, ours);
  }
  return map;
}

function sizeOf(file: string): number {
  try {
    closeSync(openSync(file, 'r'));
    const status = statSync(file);
    if (status.isFile()) return status.size;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(code === 'ENOENT' ? `There is no file ${file}.` : `${file} cannot be read: ${message}`);
  }
  throw new UsageError(`${file} is not a file.`);
}

/** Finds out now, not after an hour, that a file cannot be written; and never over the one that is imported. */
function prepareOutputs(file: string, outputs: Record<string, string | undefined>): void {
  const taken = new Set([realpathSync(file)]);
  for (const [option, path] of Object.entries(outputs)) {
    if (path === undefined) continue;
    try {
      closeSync(openSync(path, 'a'));
    } catch (error) {
      throw new UsageError(`${option} ${path} cannot be written: ${(error as Error).message}`);
    }
    const real = realpathSync(path);
    if (taken.has(real)) throw new UsageError(`${option} ${path} is another file of this command; choose a new name.`);
    taken.add(real);
  }
}
