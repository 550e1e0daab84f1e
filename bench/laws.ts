/** After the speed, the truth: what was measured must have happened, without a deadlock, and the books must balance. */
import type { Client } from 'pg';

const LAWS: Record<string, string> = {
  'entries that do not add up to zero in a transaction': `
    SELECT transaction_id FROM entries GROUP BY transaction_id HAVING sum(amount) <> 0`,
  'wallets whose balance is not the sum of their entries, or whose seq has a gap': `
    SELECT w.id FROM wallets w LEFT JOIN entries e ON e.wallet_id = w.id GROUP BY w.id
      HAVING coalesce(sum(e.amount), 0) <> w.balance OR count(e.seq) <> w.entry_count
          OR coalesce(max(e.seq), 0) <> w.entry_count`,
  'transactions without entries': `
    SELECT id FROM transactions t WHERE NOT EXISTS (SELECT FROM entries WHERE transaction_id = t.id)`,
};

/**
 * @param acknowledged transactions that clients were told of; @param unknown those whose answer was lost.
 * @param opened transactions that were there before.
 * @returns what is wrong, one sentence each.
 */
export async function brokenLaws(
  client: Client,
  { acknowledged, unknown, opened }: { acknowledged: number; unknown: number; opened: number },
): Promise<string[]> {
  const broken: string[] = [];
  for (const [what, sql] of Object.entries(LAWS)) {
    const { rows } = await client.query<{ number: string }>(`SELECT count(*) AS number FROM (${sql}) broken`);
    if (rows[0]!.number !== '0') broken.push(`${rows[0]!.number} ${what}`);
  }
  const deadlocks = await client.query<{ number: string }>(
    'SELECT deadlocks AS number FROM pg_stat_database WHERE datname = current_database()',
  );
  if (deadlocks.rows[0]!.number !== '0') broken.push(`${deadlocks.rows[0]!.number} deadlocks`);
  const { rows } = await client.query<{ number: string }>('SELECT count(*) AS number FROM transactions');
  const posted = Number(rows[0]!.number) - opened;
  if (posted < acknowledged || posted > acknowledged + unknown) {
    broken.push(`${posted} transactions posted, ${acknowledged} acknowledged, ${unknown} of unknown outcome`);
  }
  return broken;
}
