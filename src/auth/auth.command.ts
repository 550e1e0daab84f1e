/** `asper auth`: secrets and keys, for those who run the service. */
import type { Command } from 'commander';
import { randomBytes } from 'node:crypto';
import { commandConfig, type Config } from '../config.js';
import { withDatabase, withService } from '../import/open-service.js';
import { UsageError } from '../usage-error.js';
import { SIGNS_AFTER_SECONDS, SigningKeys } from './signing-keys.js';

/** Declares `asper auth new-secret` and `asper auth rotate-keys`. */
export function declareAuth(program: Command): void {
  const auth = program.command('auth').description('what people sign in with');
  auth
    .command('new-secret')
    .description('print a new secret for AUTH_SECRET. Replacing it ends all access tokens, and no session')
    .action(() => console.log(`AUTH_SECRET=${randomBytes(32).toString('base64')}`));
  auth
    .command('rotate-keys')
    .description('make the next key that access tokens are signed with, and delete those that are done')
    .option(
      '--in <seconds>',
      'when it begins to sign; by then every cached key set must have it',
      String(SIGNS_AFTER_SECONDS),
    )
    .action(async (options: { in: string }) => {
      const config = commandConfig();
      const afterSeconds = readSeconds(options.in);
      requireSecret(config);
      const made = await withDatabase(config, console.error, (onDatabase) =>
        withService(onDatabase, (service) => service.get(SigningKeys, { strict: false }).rotate(afterSeconds)),
      );
      console.log(`The key ${made.kid} signs from ${made.signsFrom.toISOString()} on.`);
      if (made.deleted > 0) console.log(`${made.deleted} of the keys before it are done, and deleted.`);
    });
}

function readSeconds(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new UsageError(`--in must be a whole number of seconds, not "${text}"`);
}

/** @throws {UsageError} A key that is sealed under another secret than the service's would be none. */
function requireSecret(config: Config): void {
  if (config.authSecret || !config.databaseUrl) return;
  throw new UsageError('AUTH_SECRET must be that of the service whose database DATABASE_URL is.');
}
