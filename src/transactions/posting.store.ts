/**
 * The SQL of the money path, for a whole group at once. Its order is lock wallets, find outcomes, (decide), and then in one
 * statement update wallets, insert events, transactions, entries, keys.
 */
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type QueryRunner } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import { idsOf, namesOf, rowsOf, valuesOf, type Columns } from '../database/columns.js';
import { runPrepared, type Prepared, type Write } from '../database/prepared.js';
import type { RawRow } from '../database/raw-row.js';
import { foundOutcome, type FoundOutcome } from '../idempotency/idempotency.store.js';
import { isExternalWalletId } from '../wallets/external-wallets.js';
import { Wallet } from '../wallets/wallet.entity.js';
import { CHAIN_START } from './entry.hash.js';
import type { PostedEntry, PostedTransaction, WalletState } from './ledger.js';
import type { Instruction } from './posting.engine.js';

@Injectable()
export class PostingStore {
  private readonly readAll: Prepared;
  private readonly readFree: Prepared;

  constructor(dataSource: DataSource, @Inject(CONFIG) { locking }: Config) {
    this.readAll = { name: 'read_wallets', text: readWalletsSql(dataSource, locking) };
    this.readFree = { name: 'read_free_wallets', text: readWalletsSql(dataSource, locking, 'skip_locked') };
  }

  /**
   * Reads the wallets of a group, with `LOCKING=pessimistic` under row locks.
   * Lock order: every transaction of the service that locks several rows takes wallets of customers first, by id, then
   * external ones, by id, then keys in (scope, key) order as they are inserted. One global order, so no two transactions
   * wait in a circle; and whoever waits for a customer's wallet does not have the external one that all others need.
   * @param passes leaves out the customers' wallets that another transaction has locked, instead of waiting for them.
   */
  async readWallets(
    runner: QueryRunner,
    ids: string[],
    passes: boolean,
  ): Promise<Array<{ state: WalletState; updatedAt: Date }>> {
    const { rows } = await runPrepared(runner, passes ? this.readFree : this.readAll, [
      idsOf(ids.filter((id) => !isExternalWalletId(id))),
      idsOf(ids.filter(isExternalWalletId)),
    ]);
    return rows.map((row) => ({ state: walletState(row), updatedAt: row.updated_at }));
  }

  /**
   * The database's time, and what is already known of the group's keys and (after a first attempt) transactions.
   * It runs after the locks, in a statement of its own: under READ COMMITTED that is a new snapshot, which sees
   * whatever the previous holder of a lock committed.
   * @returns found outcomes by the id of the instruction that asks.
   */
  async findOutcomes(runner: QueryRunner, instructions: readonly Instruction[], isRetry: boolean) {
    const real = instructions.filter(({ isDryRun }) => !isDryRun);
    const keyed = real.filter(({ key }) => key !== undefined);
    const keyless = isRetry ? real.filter(({ key }) => key === undefined) : [];
    const values = [...valuesOf(ASKED, keyed), idsOf(keyless.map(({ id }) => id))];
    const { rows } = await runPrepared(runner, FIND_OUTCOMES, values);
    const found = new Map<string, FoundOutcome>();
    for (const row of rows) if (row.asked_by) found.set(row.asked_by, foundOutcome(row));
    return { now: rows[0]!.now as Date, found };
  }

  /** What earlier reversals of these transactions gave back, by transaction and leg. */
  async readReversed(runner: QueryRunner, ids: string[]): Promise<Map<string, Map<number, bigint>>> {
    const { rows } = await runPrepared(runner, READ_REVERSED, [ids]);
    const reversed = new Map<string, Map<number, bigint>>();
    for (const { reverses_id: id, leg, amount } of rows) {
      if (!reversed.has(id)) reversed.set(id, new Map());
      reversed.get(id)!.set(leg, BigInt(amount));
    }
    return reversed;
  }

  /** Moves the wallets to their new state. Where one is not at the version read, that is a serialization failure. */
  walletUpdate(wallets: WalletState[], now: Date): Write {
    return { ...UPDATE_WALLETS, values: [...valuesOf(MOVED, wallets), now, wallets.length] };
  }

  /** Demands that wallets are still at the version read. Where one is not, that is a serialization failure. */
  walletCheck(wallets: WalletState[]): Write {
    return { ...CHECK_WALLETS, values: [...valuesOf(UNMOVED, wallets), wallets.length] };
  }

  transactionInsert(transactions: PostedTransaction[]): Write {
    const values = [
      ...valuesOf(TRANSACTION, transactions),
      ...valuesOf(EFFECTIVE, transactions),
      transactions[0]!.createdAt,
    ];
    return { ...INSERT_TRANSACTIONS, values };
  }

  /** All entries of the group at once: the trigger behind them checks zero sum and sequence once. */
  entryInsert(transactions: PostedTransaction[]): Write {
    const lines: Line[] = [];
    for (const transaction of transactions) for (const entry of transaction.entries) lines.push({ entry, transaction });
    return { ...INSERT_ENTRIES, values: [...valuesOf(ENTRY, lines), transactions[0]!.createdAt] };
  }
}

/** When it counts, where that is not when it was posted: nearly never, and a group without one sends no times at all. */
function effectiveApart({ effectiveAt, createdAt }: PostedTransaction): Date | null {
  return effectiveAt.getTime() === createdAt.getTime() ? null : effectiveAt;
}

function walletState(row: RawRow): WalletState {
  return {
    id: row.id,
    kind: row.kind,
    currency: row.currency,
    status: row.status,
    freezeMode: row.freeze_mode,
    limited: row.limited,
    thresholdMinor: row.low_balance_threshold === null ? null : BigInt(row.low_balance_threshold),
    versionRead: row.version,
    version: row.version,
    balanceMinor: BigInt(row.balance),
    creditedMinor: BigInt(row.credited),
    heldMinor: BigInt(row.held),
    holdsExpireAt: row.holds_expire_at,
    minimumBalanceMinor: BigInt(row.minimum_balance),
    shortfallMinor: BigInt(row.shortfall),
    entryCount: Number(row.entry_count),
    lastHash: row.last_hash ?? CHAIN_START,
  };
}

const WALLET_COLUMNS = [
  ...['kind', 'currency', 'status', 'freeze_mode', 'limited', 'balance', 'credited', 'held', 'holds_expire_at'],
  ...['minimum_balance', 'shortfall', 'low_balance_threshold', 'entry_count', 'version', 'updated_at'],
];

/**
 * The locking read as TypeORM writes it, taken once: building it anew costs 0.1 ms a group, and mapping rows to
 * entities more than the query itself.
 */
function readWalletsSql(dataSource: DataSource, locking: Config['locking'], onLocked?: 'skip_locked'): string {
  const sql = (parameter: string, onLocked?: 'skip_locked') => {
    const query = dataSource
      .createQueryBuilder()
      .select(['wallet.id AS id', `encode(wallet.last_hash, 'hex') AS last_hash`])
      .addSelect(WALLET_COLUMNS.map((column) => `wallet.${column} AS ${column}`))
      .from(Wallet, 'wallet')
      .where(`wallet.id = ANY(${parameter})`)
      .orderBy('wallet.id');
    if (locking === 'pessimistic') {
      query.setLock('pessimistic_write');
      if (onLocked) query.setOnLocked(onLocked);
    }
    return query.getQuery();
  };
  // `(SELECT $1)`: a plan that does not depend on how many there are. It was made anew for each lonely debit, 0.07 of 0.12 ms.
  return `
  WITH customers AS (${sql('(SELECT $1::uuid[])::uuid[]', onLocked)}), external AS (${sql('(SELECT $2::uuid[])::uuid[]')})
  SELECT * FROM customers UNION ALL SELECT * FROM external`;
}

/**
 * A row with the time is always there; the joined columns are null where nothing was found. LATERAL with OFFSET 0 makes
 * it one index probe a key: a plain join, planned while the table was small, went on scanning the whole table (one
 * lonely debit cost PostgreSQL 2.5 ms instead of 0.9).
 */
const ASKED: Columns<Instruction> = {
  id: ['uuid', ({ id }) => id],
  scope: ['text', ({ scope }) => scope],
  key: ['text', ({ key }) => key],
};

const FIND_OUTCOMES: Prepared = {
  name: 'find_outcomes',
  text: `
  SELECT clock.now, found.* FROM (SELECT clock_time() AS now) clock LEFT JOIN (
    SELECT asked.id AS asked_by, k.fingerprint, k.status_code, k.transaction_id, k.outcome, k.created_at
      FROM ${rowsOf(ASKED)} asked
      CROSS JOIN LATERAL (
        SELECT * FROM idempotency_keys WHERE scope = asked.scope AND key = asked.key OFFSET 0
      ) k
    UNION ALL
    SELECT t.id, NULL, NULL, t.id, NULL, t.created_at FROM transactions t WHERE t.id = ANY($4::uuid[])
  ) found ON true`,
};

const READ_REVERSED: Prepared = {
  name: 'read_reversed',
  text: `
  SELECT t.reverses_id, e.leg, sum(e.amount) AS amount
    FROM transactions t JOIN entries e ON e.transaction_id = t.id
   WHERE t.reverses_id = ANY($1::uuid[]) GROUP BY 1, 2`,
};

const UNMOVED: Columns<WalletState> = {
  id: ['uuid', (w) => w.id],
  version: ['int', (w) => w.versionRead],
};

const CHECK_WALLETS = {
  name: 'unmoved',
  text: `
  unmoved AS (
  SELECT 1 FROM ${rowsOf(UNMOVED)} r JOIN wallets w ON w.id = r.id AND w.version = r.version)`,
  demand: 'demand_rows((SELECT count(*) FROM unmoved), $3)',
};

const MOVED: Columns<WalletState> = {
  id: ['uuid', (w) => w.id],
  balance: ['bigint', (w) => w.balanceMinor],
  credited: ['bigint', (w) => w.creditedMinor],
  held: ['bigint', (w) => w.heldMinor],
  holds_expire_at: ['timestamptz', (w) => w.holdsExpireAt],
  minimum_balance: ['bigint', (w) => w.minimumBalanceMinor],
  shortfall: ['bigint', (w) => w.shortfallMinor],
  entry_count: ['bigint', (w) => w.entryCount],
  last_hash: ['bytea', (w) => (w.entryCount === 0 ? null : w.lastHash)],
  status: ['text', (w) => w.status],
  freeze_mode: ['text', (w) => w.freezeMode],
  version: ['int', (w) => w.version],
  version_read: ['int', (w) => w.versionRead],
};

const UPDATE_WALLETS = {
  name: 'wallets',
  text: `
  moved AS (
  UPDATE wallets w
     SET balance = m.balance, credited = m.credited, held = m.held, holds_expire_at = m.holds_expire_at,
         minimum_balance = m.minimum_balance, shortfall = m.shortfall, entry_count = m.entry_count,
         last_hash = m.last_hash, status = m.status, freeze_mode = m.freeze_mode, version = m.version, updated_at = $14
    FROM ${rowsOf(MOVED)} m
   WHERE w.id = m.id AND w.version = m.version_read RETURNING 1)`,
  demand: 'demand_rows((SELECT count(*) FROM moved), $15)',
};

const TRANSACTION: Columns<PostedTransaction> = {
  id: ['uuid', (t) => t.id],
  type: ['text', (t) => t.type],
  currency: ['text', (t) => t.currency],
  amount: ['bigint', (t) => t.amountMinor],
  description: ['text', (t) => t.description],
  reference: ['text', (t) => t.reference],
  metadata: ['jsonb', (t) => t.metadata],
  actor: ['text', (t) => t.actor],
  reverses_id: ['uuid', (t) => t.reversesId],
  hold_id: ['uuid', (t) => t.holdId],
  reason: ['text', (t) => t.reason],
};
const EFFECTIVE: Columns<PostedTransaction> = { effective_at: ['timestamptz', effectiveApart] };

const INSERT_TRANSACTIONS = {
  name: 'transactions',
  text: `
  posted AS (
  INSERT INTO transactions (${namesOf(TRANSACTION)}, effective_at, created_at)
  SELECT ${namesOf(TRANSACTION)}, coalesce(effective_at, $13::timestamptz), $13::timestamptz
    FROM ${rowsOf({ ...TRANSACTION, ...EFFECTIVE })} t)`,
};

interface Line {
  entry: PostedEntry;
  transaction: PostedTransaction;
}

const ENTRY: Columns<Line> = {
  wallet_id: ['uuid', ({ entry }) => entry.walletId],
  seq: ['bigint', ({ entry }) => entry.seq],
  transaction_id: ['uuid', ({ transaction }) => transaction.id],
  leg: ['smallint', ({ entry }) => entry.leg],
  amount: ['bigint', ({ entry }) => entry.amountMinor],
  balance_after: ['bigint', ({ entry }) => entry.balanceAfterMinor],
  credited_after: ['bigint', ({ entry }) => entry.creditedAfterMinor],
  effective_at: ['timestamptz', ({ transaction }) => effectiveApart(transaction)],
  hash: ['bytea', ({ entry }) => entry.hash],
};

const INSERT_ENTRIES = {
  name: 'entries',
  text: `
  entered AS (
  INSERT INTO entries (${namesOf(ENTRY)}, created_at)
  SELECT e.*, $10::timestamptz FROM ${rowsOf(ENTRY)} e)`,
};
