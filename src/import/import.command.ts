/** `asper import`: options in, summary and exit code out. */
import { commandConfig } from '../config.js';
import { UsageError } from '../usage-error.js';
import { CsvReader } from './csv.reader.js';
import { dryRun } from './dry-run.js';
import { readImportOptions, type ImportOptions, type RawImportOptions } from './import.options.js';
import type { ImportResult } from './importer.js';

const EXIT = { done: 0, incomplete: 1, interrupted: 130 } as const;

/**
 * Runs the command and prints what came of it: the summary to stdout, everything else to stderr.
 * @returns the exit code.
 * @throws {UsageError} before anything is opened.
 */
export async function importCommand(file: string, raw: RawImportOptions): Promise<number> {
  const config = commandConfig();
  const options = readImportOptions(file, raw, config);
  const reader = await openReader(options);
  if (options.dryRun) return (await dryRun(reader, options)) === 0 ? EXIT.done : EXIT.incomplete;
  // They take 0.3 s to load: whoever mistyped an option need not wait for it.
  const { Importer } = await import('./importer.js');
  const { withDatabase, withService } = await import('./open-service.js');
  const interrupt = watchForInterrupt();
  try {
    const result = await withDatabase(config, say, (onDatabase) => {
      // A second run months later is still "already imported": keys of imports answer for as long as they are kept.
      const keeping = { ...onDatabase, idempotencyRetentionHours: Number.POSITIVE_INFINITY };
      return withService(keeping, (service) => new Importer(service, reader, options, keeping, interrupt.asked).run());
    });
    print(result, options);
    if (interrupt.asked()) return EXIT.interrupted;
    const { refused, badLines } = result.tally;
    return result.stopped || refused + badLines > 0 ? EXIT.incomplete : EXIT.done;
  } finally {
    interrupt.stopWatching();
  }
}

async function openReader(options: ImportOptions): Promise<CsvReader> {
  try {
    return await CsvReader.open(options);
  } catch (error) {
    throw new UsageError(`${options.file}: ${(error as Error).message}`);
  }
}

function print({ tally, wallets, rejects, stopped }: ImportResult, options: ImportOptions): void {
  for (const line of rejects.listing()) say(line);
  if (wallets.otherFloorCount > 0) {
    say(
      `${wallets.otherFloorCount} wallets were there already with another minimum balance than ${options.minimumBalance}; ` +
        'theirs was left as it is (PATCH /v1/wallets/{id} changes it).',
    );
  }
  for (const line of tally.lines(wallets.ids.size, wallets.openedCount)) console.log(line);
  if (stopped) say(`${stopped}. Run the same command again: it posts what is missing and nothing twice.`);
}

function say(line: string): void {
  console.error(line);
}

/** Ctrl-C asks; what is under way is finished first. Pressed again, it ends at once (and nothing is lost then either). */
function watchForInterrupt() {
  let asked = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (asked) {
      // With an embedded server, whoever opened it now stops it; nobody else may listen.
      stopWatching();
      if (process.listenerCount(signal) === 0) process.exit(EXIT.interrupted);
      return void process.emit(signal, signal);
    }
    asked = true;
    say('\nStopping after what is under way …');
  };
  const stopWatching = () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return { asked: () => asked, stopWatching };
}
