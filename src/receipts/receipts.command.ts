/** `asper receipts`: keys for those who run the service. */
import type { Command } from 'commander';
import { randomBytes } from 'node:crypto';
import { privateKeyOf, publicJwkOf } from './jws.js';

/** Declares `asper receipts new-key`. */
export function declareReceipts(program: Command): void {
  program
    .command('receipts')
    .description('the keys that receipts are signed with')
    .command('new-key')
    .description(
      'print a new key for RECEIPT_KEY. When it replaces another, add the public key of that one (`x` in ' +
        'GET /v1/receipts/keys) to RECEIPT_KEYS_RETIRED, so that its receipts can still be verified',
    )
    .action(() => {
      const seed = randomBytes(32);
      console.log(`RECEIPT_KEY=${seed.toString('base64')}`);
      console.log(`# its public key, for RECEIPT_KEYS_RETIRED one day: ${publicJwkOf(privateKeyOf(seed)).x}`);
    });
}
