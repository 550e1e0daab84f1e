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
 * Ids by 8 bytes of a hash: 16 to 32 MB for a million, where a Set of the texts takes 125 and ends at 16 million ids.
 * Among a million the odds of two ids that look the same are one in 30 million, and it is a dry run.
 */
class SeenIds {
  private slots = new BigUint64Array(1_024);
  private count = 0;

  /** @returns whether it is new. */
  add(id: string): boolean {
    // Zero marks a free slot.
    const hash = createHash('sha256').update(id).digest().readBigUInt64LE() || 1n;
    if (!put(this.slots, hash)) return false;
    this.count += 1;
    if (this.count > this.slots.length / 2) {
      const larger = new BigUint64Array(this.slots.length * 2);
      for (const earlier of this.slots) if (earlier !== 0n) put(larger, earlier);
      this.slots = larger;
    }
    return true;
  }
}

/** Into the first free slot from the hash's own on; half of them are free. */
function put(slots: BigUint64Array, hash: bigint): boolean {
  let slot = Number(hash % BigInt(slots.length));
  while (slots[slot] !== 0n) {
    if (slots[slot] === hash) return false;
    slot = (slot + 1) % slots.length;
  }
  slots[slot] = hash;
  return true;
}
