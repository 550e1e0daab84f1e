/**
 * Re-derives every law of the ledger from its rows alone: nothing that the service or the database's own triggers say
 * is believed. All of it is read in one snapshot, so a ledger in use is checked like one that rests.
 */
import type { DataSource, QueryRunner } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { inSnapshot } from '../database/transaction.js';
import { checkChains } from './chain.checker.js';
import { EVENT_PASSES } from './event.laws.js';
import { GUARDS } from './guards.js';
import { HOLD_PASSES } from './hold.laws.js';
import { KEY_PASSES } from './key.laws.js';
import { FINDINGS_PER_LAW_MAX, type Breach, type Finding, type Pass } from './law.js';
import { TRANSACTION_PASSES } from './transaction.laws.js';
import { walletPasses } from './wallet.laws.js';

export interface CheckOptions {
  /** Only what this wallet has a part in; left out, the whole ledger. */
  walletId?: string;
  /** Where the days of limits begin. */
  limitTimeZone: string;
  /** Hears how far it is: a part of 1, and the entries checked. */
  onProgress?: (part: number, entryCount: number) => void;
}

export interface CheckResult {
  isSound: boolean;
  entryCount: number;
  walletCount: number;
  transactionCount: number;
  /** Broken laws, in the order in which they were found. */
  breaches: Breach[];
}

/** For one connection at a time; larger sorts go to disk. */
const SORT_MEMORY = '64MB';
/** Time goes to the entries first: what the passes take after them, as a part of the whole (measured). */
const PASSES_PART = 0.2;

export function checkLedger(dataSource: DataSource, options: CheckOptions): Promise<CheckResult> {
  return inSnapshot(dataSource, async (runner) => {
    await runner.query(`SET LOCAL work_mem = '${SORT_MEMORY}'`);
    const { walletId, onProgress = () => undefined } = options;
    const counts = await countRows(runner, walletId);
    const breaches = new Breaches();
    const entryCount = await checkChains(
      runner,
      walletId,
      (finding) => breaches.add(finding),
      (checked) => onProgress(((1 - PASSES_PART) * checked) / Math.max(1, counts.entryCount), checked),
    );
    const passes = passesFor(options);
    for (const [i, pass] of passes.entries()) {
      await runPass(runner, pass, walletId, breaches);
      onProgress(1 - PASSES_PART + (PASSES_PART * (i + 1)) / passes.length, entryCount);
    }
    return { isSound: breaches.all.length === 0, ...counts, breaches: breaches.all };
  });
}

function passesFor({ limitTimeZone }: CheckOptions): Pass[] {
  return [
    GUARDS,
    ...walletPasses(limitTimeZone),
    ...TRANSACTION_PASSES,
    ...HOLD_PASSES,
    ...KEY_PASSES,
    ...EVENT_PASSES,
  ];
}

/** How much there is to check. */
async function countRows(runner: QueryRunner, walletId: string | undefined) {
  const [row]: RawRow[] = await runner.query(
    `SELECT (SELECT count(*) FROM wallets WHERE $1::uuid IS NULL OR id = $1) AS wallets,
            (SELECT count(*) FROM entries WHERE $1::uuid IS NULL OR wallet_id = $1) AS entries,
            CASE WHEN $1::uuid IS NULL THEN (SELECT count(*) FROM transactions)
                 ELSE (SELECT count(DISTINCT transaction_id) FROM entries WHERE wallet_id = $1) END AS transactions`,
    [walletId ?? null],
  );
  return {
    walletCount: Number(row!.wallets),
    entryCount: Number(row!.entries),
    transactionCount: Number(row!.transactions),
  };
}

async function runPass(runner: QueryRunner, { sql, values = [] }: Pass, walletId: string | undefined, into: Breaches) {
  // Counted in full, listed in part: a ledger that is broken all over must not fill the memory of this process. A row that breaks
  // a law in several ways (a transaction in two currencies, a reversal on two legs) is one row.
  const rows: Array<Finding & { place: string; count: string }> = await runner.query(
    `SELECT * FROM (
       SELECT law, "table", "row", string_agg(detail, '; ' ORDER BY detail) AS detail,
              row_number() OVER (PARTITION BY law) AS place, count(*) OVER (PARTITION BY law) AS count
         FROM (${sql}) found GROUP BY law, "table", "row"
     ) counted WHERE place <= ${FINDINGS_PER_LAW_MAX}`,
    [walletId ?? null, ...values],
  );
  for (const { law, table, row, detail, place, count } of rows) {
    into.add({ law, table, row, detail }, place === '1' ? Number(count) : 0);
  }
}

class Breaches {
  private readonly byLaw = new Map<string, Breach>();

  /** @param count how many more rows break the law; two passes that look at one law look at different rows. */
  add(finding: Finding, count = 1): void {
    const breach = this.byLaw.get(finding.law) ?? { law: finding.law, count: 0, findings: [] };
    this.byLaw.set(finding.law, breach);
    breach.count += count;
    if (breach.findings.length < FINDINGS_PER_LAW_MAX) breach.findings.push(finding);
  }

  get all(): Breach[] {
    return [...this.byLaw.values()];
  }
}
