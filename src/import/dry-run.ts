/** `asper import --dry-run`: reads the file as an import would, without a database. */
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
  const rejects = new Rejects(undefined, delimiter, reader.headings);
  let [movementCount, badLineCount] = [0, 0];
  let lowest: { balanceMinor: bigint; accountId: string } | undefined;
  for await (const row of reader.rows()) {
    if ('bad' in row) {
      badLineCount += 1;
      rejects.add(row.bad.line, row.bad.reason, row.bad.fields);
      continue;
    }
    movementCount += 1;
    const { accountId, amountMinor, type } = row.movement;
    const balanceMinor = (balances.get(accountId) ?? 0n) + (type === 'credit' ? amountMinor : -amountMinor);
    balances.set(accountId, balanceMinor);
    if (!lowest || balanceMinor < lowest.balanceMinor) lowest = { balanceMinor, accountId };
  }
  for (const line of rejects.listing()) console.error(line);
  const count = (value: number) => value.toLocaleString('en-US');
  console.log(`accounts        ${count(balances.size)}`);
  console.log(`movements       ${count(movementCount)}`);
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
