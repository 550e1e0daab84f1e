#!/usr/bin/env node
/** `asper`: what is done to a wallet service from the command line. Each command lives with what it works on. */
import './navigator.js';
import 'reflect-metadata';
import { Command, CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { commandConfig, ConfigError } from './config.js';
import { EmbeddedDatabaseError } from './database/embedded.system.js';
import { MigrationRefused } from './database/migration-refused.js';
import { isDatabaseFault } from './database/sqlstate.js';
import type { RawImportOptions } from './import/import.options.js';
import type { RawCheckOptions } from './ledger/check.command.js';
import { packageFile } from './package-root.js';
import { saidAll, surviveLostOutput } from './telemetry/say.js';
import { UsageError } from './usage-error.js';

const EXIT_USAGE = 2;
const EXIT_FAILED = 1;

// What reads along (`2>&1 | head`) may leave early; an import goes on, and a check says what it found by its exit code.
surviveLostOutput();

const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };
const program = new Command('asper')
  .description(
    'Asper Wallet from the command line. It works on the database of DATABASE_URL, else on the embedded one.',
  )
  .version(version)
  .showHelpAfterError('Add --help to see how it is used.')
  .addHelpText(
    'after',
    `
Exit codes:
  0    done
  1    it was not done, or not all of it; of check: the ledger is broken
  2    it cannot be tried: wrong usage or configuration, no such file, no database; of check: it could not be made
  130  an import was interrupted (Ctrl-C)`,
  )
  .exitOverride();

/** Loaded by need: `asper check` does without the application and starts in half the time. */
const COMMANDS: Record<string, () => Promise<void>> = {
  import: async () => {
    const { declareImport } = await import('./import/import.options.js');
    declareImport(program).action(async (file: string, options: RawImportOptions) => {
      const { importCommand } = await import('./import/import.command.js');
      process.exitCode = await importCommand(file, options);
    });
  },
  check: async () => {
    const { checkCommand, declareCheck } = await import('./ledger/check.command.js');
    declareCheck(program).action(async (options: RawCheckOptions) => {
      // 1 says that the ledger is broken, and nothing else may say that.
      process.exitCode = await checkCommand(options).catch((error: unknown) => {
        failed(error);
        return EXIT_USAGE;
      });
    });
  },
  receipts: async () => (await import('./receipts/receipts.command.js')).declareReceipts(program),
  keys: async () => (await import('./auth/keys.command.js')).declareKeys(program),
  auth: async () => (await import('./auth/auth.command.js')).declareAuth(program),
  webhooks: async () => (await import('./webhooks/webhooks.command.js')).declareWebhooks(program),
  migrate: async () => {
    const { withDatabase } = await import('./import/open-service.js');
    program
      .command('migrate')
      .description('bring the database schema up to date; the service does this by itself when it starts')
      .action(async () => {
        // Whoever asks for it hears where it cannot be had; other commands make do without.
        const config = { ...commandConfig(), databaseRoleNeeded: true };
        const ran = await withDatabase(config, console.error, (_, migrations) => Promise.resolve(migrations));
        for (const name of ran) console.log(`Ran ${name}.`);
        console.log('The schema is up to date.');
      });
  },
};

const asked = process.argv[2] ?? '';
if (Object.hasOwn(COMMANDS, asked)) await COMMANDS[asked]!();
else if (asked !== '-V' && asked !== '--version') for (const declare of Object.values(COMMANDS)) await declare();

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = failed(error);
}
// Whatever still holds the event loop (an idle connection, a timer) has nothing left to do. But a pipe takes 64 KB at once, and a
// check may say a megabyte.
await saidAll();
process.exit();

/** Says what went wrong, with a stack only where somebody should report it. @returns the exit code. */
function failed(error: unknown): number {
  // Commander has printed it; asking for help or the version is no mistake.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof UsageError || error instanceof ConfigError) {
    console.error(message);
    return EXIT_USAGE;
  }
  if (error instanceof EmbeddedDatabaseError || error instanceof MigrationRefused) console.error(message);
  else if (isDatabaseFault(error)) {
    console.error(`The database of DATABASE_URL cannot be used: ${message || code}`);
    return EXIT_USAGE;
  } else console.error((error as Error).stack ?? error);
  return EXIT_FAILED;
}
