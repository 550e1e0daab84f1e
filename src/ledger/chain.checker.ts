/**
 * Walks the entries of every wallet in order, each with its transaction, and holds it against the entry before it: the
 * laws that need a hash, or the order of a history. Pages by key keep memory constant, and the next page is on its way
 * while one is checked, so PostgreSQL and this process work side by side.
 */
import type { QueryResult } from 'pg';
import type { QueryRunner } from 'typeorm';
import { CHAIN_START, entryHash, transactionDigest, type Hash } from '../transactions/entry.hash.js';
import type { TransactionType } from '../transactions/transaction.entity.js';
import type { Finding } from './law.js';

/** Rows of a page: 10 ms of this process, which may be one that serves requests meanwhile. 8,000 would be 3 % faster. */
const PAGE_SIZE = 1_000;
const NO_WALLET = '00000000-0000-0000-0000-000000000000';

/** Entry, then transaction; all as text, as the driver's own reading of times and numbers costs more than hashing. */
type Row = [
  walletId: string,
  seq: string,
  transactionId: string,
  leg: string,
  amount: string,
  balanceAfter: string,
  creditedAfter: string,
  /** Null where it is the transaction's. */
  createdAt: string | null,
  effectiveAt: string | null,
  hash: string,
  type: string | null,
  currency: string | null,
  transactionAmount: string | null,
  description: string | null,
  reference: string | null,
  metadata: string | null,
  actor: string,
  reversesId: string | null,
  holdId: string | null,
  reason: string | null,
  /** Null where it is the posting time. */
  transactionEffectiveAt: string | null,
  transactionCreatedAt: string,
];

/** Where a wallet's history stands. */
interface Position {
  walletId: string;
  seq: bigint;
  balanceMinor: bigint;
  creditedMinor: bigint;
  createdAt: string;
  hash: Hash;
}

/**
 * @param walletId only this wallet's entries; left out, all.
 * @param found takes every broken row.
 * @param onPage hears how many entries are checked so far.
 * @returns how many entries there are.
 */
export async function checkChains(
  runner: QueryRunner,
  walletId: string | undefined,
  found: (finding: Finding) => void,
  onPage: (entryCount: number) => void,
): Promise<number> {
  const client = (await runner.connect()) as { query(config: object): Promise<QueryResult> };
  const read = async (after: Position): Promise<Row[]> => {
    const values = [after.walletId, after.seq, PAGE_SIZE, ...(walletId ? [walletId] : [])];
    const result = await client.query({ text: pageSql(walletId), values, rowMode: 'array', types: AS_TEXT });
    return result.rows as Row[];
  };
  await runner.query(`SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'`);
  let entryCount = 0;
  let before = startOf(NO_WALLET);
  let page = read({ ...before, seq: -1n });
  for (;;) {
    const rows = await page;
    const last = rows.at(-1);
    const isLast = rows.length < PAGE_SIZE || !last;
    if (!isLast) page = read({ ...startOf(last[0]), seq: BigInt(last[1]) });
    for (const row of rows) before = checkEntry(row, row[0] === before.walletId ? before : startOf(row[0]), found);
    entryCount += rows.length;
    onPage(entryCount);
    if (isLast) return entryCount;
  }
}

/** Holds an entry against the one before it. @returns where the history stands then, as the rows say. */
function checkEntry(row: Row, before: Position, found: (finding: Finding) => void): Position {
  const [walletId, seqText, transactionId, , amountText, balanceText, creditedText, ownCreatedAt, effectiveAt] = row;
  const createdAt = ownCreatedAt ?? row[21];
  const report = (law: string, detail: string) =>
    found({ law, table: 'entries', row: `${walletId}/${seqText}`, detail: `${detail} (transaction ${transactionId})` });
  const seq = BigInt(seqText);
  const [amountMinor, balanceMinor, creditedMinor] = [BigInt(amountText), BigInt(balanceText), BigInt(creditedText)];
  if (seq !== before.seq + 1n) report('seq has no gap', `follows seq ${before.seq}`);
  const expectedMinor = before.balanceMinor + amountMinor;
  if (balanceMinor !== expectedMinor)
    report('balance follows', `balance_after is ${balanceMinor}, not ${expectedMinor}`);
  const creditedExpected = before.creditedMinor + (amountMinor > 0n ? amountMinor : 0n);
  if (creditedMinor !== creditedExpected)
    report('credited follows', `credited_after is ${creditedMinor}, not ${creditedExpected}`);
  // In one time zone and of one shape, the texts sort as the times do.
  if (createdAt < before.createdAt) report('time never runs backwards', `${createdAt}, after ${before.createdAt}`);
  const hash = row[9].slice(2); // \\x
  if (row[10] === null) report('an entry has a transaction', 'there is no such transaction');
  else {
    const [transactionEffectiveAt, transactionCreatedAt] = [row[20], row[21]];
    if (ownCreatedAt !== null)
      report(
        'an entry is posted with its transaction',
        `posted at ${createdAt}, its transaction at ${transactionCreatedAt}`,
      );
    if (effectiveAt !== transactionEffectiveAt)
      report(
        'an entry is effective with its transaction',
        `effective_at is ${effectiveAt}, not ${transactionEffectiveAt}`,
      );
    const expectedHash = hashOf(row, before.hash);
    if (expectedHash !== hash)
      report('the chain holds', `hash is ${hash}, entry and transaction give ${expectedHash ?? 'none'}`);
  }
  return { walletId, seq, balanceMinor, creditedMinor, createdAt, hash };
}

/** The hash that an entry must have; nothing where its times are none that were ever posted. */
function hashOf(row: Row, previous: Hash): Hash | undefined {
  const createdAt = instantOf(row[21]);
  const effectiveAt = row[20] === null ? createdAt : instantOf(row[20]);
  if (!effectiveAt || !createdAt) return undefined;
  const digest = transactionDigest({
    id: row[2],
    type: row[10] as TransactionType,
    currency: row[11],
    amountMinor: row[12] === null ? null : BigInt(row[12]),
    description: row[13],
    reference: row[14],
    metadata: row[15] === null ? null : JSON.parse(row[15]),
    actor: row[16],
    reversesId: row[17],
    holdId: row[18],
    reason: row[19],
    effectiveAt,
    createdAt,
  });
  return entryHash(previous, digest, {
    walletId: row[0],
    seq: Number(row[1]),
    leg: Number(row[3]),
    amountMinor: BigInt(row[4]),
    balanceAfterMinor: BigInt(row[5]),
  });
}

const startOf = (walletId: string): Position => ({
  walletId,
  seq: 0n,
  balanceMinor: 0n,
  creditedMinor: 0n,
  createdAt: '',
  hash: CHAIN_START,
});

/** `2026-01-31 09:30:00.123+00`. The service writes whole milliseconds; a hand may write more, which no hash covers. */
const INSTANT = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,3})?)\+00$/;

function instantOf(text: string): Date | undefined {
  const match = INSTANT.exec(text);
  return match ? new Date(`${match[1]}T${match[2]}Z`) : undefined;
}

const AS_TEXT = { getTypeParser: () => (value: string) => value };

/**
 * Writing a time as text costs PostgreSQL 0.5 µs, so of the four of an entry only those that differ are sent.
 * LATERAL with OFFSET 0: one index probe an entry, and never a sort of all transactions for each page.
 */
function pageSql(walletId: string | undefined): string {
  return `
  SELECT e.wallet_id, e.seq, e.transaction_id, e.leg, e.amount, e.balance_after, e.credited_after, nullif(e.created_at, t.created_at),
         e.effective_at, e.hash, t.type, t.currency, t.amount, t.description, t.reference, t.metadata, t.actor,
         t.reverses_id, t.hold_id, t.reason, nullif(t.effective_at, t.created_at), t.created_at
    FROM entries e
    LEFT JOIN LATERAL (SELECT * FROM transactions WHERE id = e.transaction_id OFFSET 0) t ON true
   WHERE ${walletId ? 'e.wallet_id = $4 AND ' : ''}(e.wallet_id, e.seq) > ($1::uuid, $2::bigint)
   ORDER BY e.wallet_id, e.seq LIMIT $3`;
}
