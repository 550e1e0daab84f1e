/** `asper import --dry-run`: reads the file as an import would, without a database. */
import { createHash } from 'node:crypto';
import { formatAmount } from '../money.js';
import type { CsvReader } from './csv.reader.js';
import type { ImportOptions } from './import.options.js';
import { Rejects } from './rejects.js';

/**
 * Prints what is wrong with the file and how low an account goes: a refusal is final for its transaction_id, so
 * the minimum balance is better known before the first run than after it.
 * @returns the number of bad lines.
 */
export async function dryRun(reader: CsvReader, { currency, delimiter }: ImportOptions): Promise<number> {
  const balances = new Map<string, bigint>();
  const seen = new SeenIds();
  const rejects = new Rejects(undefined, delimiter, reader.headings);
  let [movementCount, repeatedCount, badLineCount] = [0, 0, 0];
  let lowest: { balanceMinor: bigint; accountId: string } | undefined;
  for await (const row of reader.rows()) {
    if ('bad' in row) {
      badLineCount += 1;
      rejects.add(row.bad.line, row.bad.reason, row.bad.fields);
      continue;
    }
    const { transactionId, accountId, amountMinor, type } = row.movement;
    // Exports that overlap have it again; the import would not post it again.
    if (!seen.add(transactionId)) {
      repeatedCount += 1;
      continue;
    }
    movementCount += 1;
    const balanceMinor = (balances.get(accountId) ?? 0n) + (type === 'credit' ? amountMinor : -amountMinor);
    balances.set(accountId, balanceMinor);
    if (!lowest || balanceMinor < lowest.balanceMinor) lowest = { balanceMinor, accountId };
  }
  for (const line of rejects.listing()) console.error(line);
  const count = (value: number) => value.toLocaleString('en-US');
  console.log(`accounts        ${count(balances.size)}`);
  const repeated = repeatedCount > 0 ? ` (and ${count(repeatedCount)} with a transaction_id once more, left out)` : '';
  console.log(`movements       ${count(movementCount)}${repeated}`);
  console.log(`bad lines       ${count(badLineCount)}`);
  if (lowest) {
    const money = formatAmount(lowest.balanceMinor, currency);
    console.log(
      `lowest balance  ${money} ${currency} (account ${lowest.accountId}); the minimum balance may not be above it`,
    );
  }
  console.log('Nothing was posted: this was a dry run.');
  return badLineCount;
}

/**
 * Ids by seven bytes of a hash: 36 MB for a million, where their texts take 125. In parts, as one Set ends at 16 million. Among a
 * million the odds of two ids that look the same are one in 140,000, and it is a dry run.
 */
class SeenIds {
  private readonly parts = Array.from({ length: 256 }, () => new Set<number>());

  /** @returns whether it is new. */
  add(id: string): boolean {
    const hash = createHash('sha256').update(id).digest();
    const part = this.parts[hash[0]!]!;
    return part.size < part.add(hash.readUIntBE(1, 6)).size;
  }
}
