/**
 * Every movement of money goes through here. A request hands over a posting and awaits its own outcome; the
 * engine commits postings in groups, one database transaction for each group.
 *
 * While one group is committing, the next gathers. There is no timer: an idle engine commits a lone posting at
 * once, a busy one commits hundreds together. A queued posting holds no database connection.
 */
import { Inject, Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { DataSource, type QueryRunner } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import { allSettled } from '../database/all-settled.js';
import { isDatabaseError, isDatabaseFault, sqlState } from '../database/sqlstate.js';
import { CommitUnknownError, inTransaction, WriteConflict } from '../database/transaction.js';
import { ERRORS, Problem } from '../errors.js';
import { IdempotencyStore, type FoundOutcome, type KeyRow } from '../idempotency/idempotency.store.js';
import { decide, type Outcome, type PostedTransaction, type Posting } from './posting.rules.js';
import { PostingStore } from './posting.store.js';

/** What became of a posting: decided now, or found under its key or transaction id. */
export type EngineOutcome = Outcome | (FoundOutcome & { now: Date });

interface Waiting {
  posting: Posting;
  resolve: (outcome: EngineOutcome) => void;
  reject: (error: unknown) => void;
}

@Injectable()
export class PostingEngine implements BeforeApplicationShutdown {
  private readonly logger = new Logger(PostingEngine.name);
  private queue: Waiting[] = [];
  private running?: Promise<void>;

  constructor(
    private readonly dataSource: DataSource,
    private readonly store: PostingStore,
    private readonly keys: IdempotencyStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Queues a posting and resolves with its outcome after COMMIT. Keys must be unique among postings in flight
   * (`IdempotencyService` sees to it).
   * @throws {Problem} `overloaded` at once when the queue is full, `database_unavailable` when nothing was
   *   written, `outcome_unknown` when nobody can tell yet.
   */
  post(posting: Posting): Promise<EngineOutcome> {
    if (this.queue.length >= this.config.queueLengthMax) {
      throw new Problem('overloaded', 'The queue of postings is full.', { retryAfterSeconds: 1 });
    }
    return new Promise((resolve, reject) => {
      this.queue.push({ posting, resolve, reject });
      // setImmediate lets requests that arrived in the same turn of the event loop share the first group.
      this.running ??= new Promise<void>((done) => setImmediate(() => void this.drain().then(done)));
    });
  }

  /** Waits until nothing is queued or committing. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.running;
  }

  private async drain(): Promise<void> {
    while (this.queue.length > 0) {
      const group = this.queue.splice(0, this.config.groupSizeMax);
      await this.commitGroup(group, Date.now() + this.config.groupDeadlineMs);
    }
    this.running = undefined;
  }

  /**
   * Commits a group, in as many transactions as conflicts and lost connections ask for. Never rejects.
   * @param commitUnknown whether an earlier transaction with these postings ended in an unanswered COMMIT.
   */
  private async commitGroup(group: Waiting[], deadline: number, commitUnknown?: boolean): Promise<void> {
    const postings = group.map(({ posting }) => posting);
    let isRetry = commitUnknown !== undefined;
    for (let attempt = 1; ; attempt++) {
      try {
        const outcomes = await inTransaction(this.dataSource, (runner) => this.postAll(runner, postings, isRetry));
        group.forEach(({ resolve }, i) => resolve(outcomes[i]!));
        return;
      } catch (error) {
        isRetry = true;
        commitUnknown ||= error instanceof CommitUnknownError;
        if (isRetryable(error) && attempt < this.config.groupAttemptsMax && Date.now() < deadline) {
          await delay(backoffMs(attempt, error));
          continue;
        }
        if (group.length > 1 && !(error instanceof CommitUnknownError) && !isDatabaseFault(error)) {
          // One posting in here breaks a law or hits a bug of ours. Halving finds it in log2(n) transactions, and
          // its neighbours go through.
          const middle = group.length >> 1;
          await this.commitGroup(group.slice(0, middle), deadline, commitUnknown ?? false);
          await this.commitGroup(group.slice(middle), deadline, commitUnknown ?? false);
          return;
        }
        this.logger.error(`a group of ${group.length} postings failed at attempt ${attempt}: ${describe(error)}`);
        const problem = asProblem(error, commitUnknown);
        group.forEach(({ reject }) => reject(problem));
        return;
      }
    }
  }

  /** One attempt: read and lock, decide, write. The caller commits. */
  private async postAll(runner: QueryRunner, postings: Posting[], isRetry: boolean): Promise<EngineOutcome[]> {
    const ids = new Set<string>();
    for (const { legs } of postings) for (const { walletId } of legs) ids.add(walletId);
    const [wallets, { now: clock, found }] = await allSettled(
      this.store.readWallets(runner, [...ids]),
      this.store.findOutcomes(runner, postings, isRetry),
    );
    // Law 2 wants history in order even if the server's clock was set back: never before a wallet's last posting.
    let now = clock;
    for (const { updatedAt } of wallets.values()) if (updatedAt > now) now = updatedAt;

    const fresh = found.size === 0 ? postings : postings.filter(({ transactionId }) => !found.has(transactionId));
    const decided = decide(wallets, fresh, now);
    await this.write(
      runner,
      fresh,
      decided,
      [...wallets.values()].filter((w) => w.version !== w.versionRead),
      now,
    );

    let next = 0;
    return postings.map(({ transactionId }) => {
      const earlier = found.get(transactionId);
      return earlier ? { ...earlier, now } : decided[next++]!;
    });
  }

  private async write(
    runner: QueryRunner,
    postings: Posting[],
    outcomes: Outcome[],
    moved: Parameters<PostingStore['updateWallets']>[1],
    now: Date,
  ): Promise<void> {
    const transactions: PostedTransaction[] = [];
    const keyRows: KeyRow[] = [];
    outcomes.forEach((outcome, i) => {
      if (outcome.kind === 'posted') transactions.push(outcome.transaction);
      if (postings[i]!.key !== undefined) keyRows.push(keyRow(postings[i]!, outcome));
    });
    const writes: Promise<unknown>[] = [];
    if (transactions.length > 0) {
      writes.push(
        this.store.updateWallets(runner, moved, now),
        this.store.insertTransactions(runner, transactions),
        this.store.insertEntries(runner, transactions),
      );
    }
    if (keyRows.length > 0) writes.push(this.insertKeys(runner, keyRows, now));
    // The first failure counts, and the wallets come first: where their version moved on, the entries fail as well,
    // but what happened is a conflict that another attempt settles.
    await allSettled(...writes);
  }

  /** @throws {WriteConflict} where another process has recorded one of the keys since they were looked up. */
  private async insertKeys(runner: QueryRunner, rows: KeyRow[], now: Date): Promise<void> {
    const inserted = await this.keys.insert(runner, rows, now);
    if (inserted !== rows.length) throw new WriteConflict(`${rows.length - inserted} keys were used meanwhile`);
  }
}

function keyRow({ scope, key, fingerprint, transactionId }: Posting, outcome: Outcome): KeyRow {
  const row = { scope, key: key!, fingerprint: fingerprint! };
  if (outcome.kind === 'posted') return { ...row, statusCode: 201, transactionId };
  const { code, detail } = outcome;
  return { ...row, statusCode: ERRORS[code].status, body: { code, detail } };
}

/**
 * Another attempt can help: somebody else moved first, or the connection went away. A unique violation (23505) is the
 * transaction of an earlier attempt, whose COMMIT was lost and came through late; the next attempt finds it.
 */
function isRetryable(error: unknown): boolean {
  if (error instanceof WriteConflict || error instanceof CommitUnknownError) return true;
  const state = sqlState(error);
  if (state === undefined) return isDatabaseError(error);
  return /^(40001|40P01|23505|08|57P0|25006)/.test(state);
}

/** Conflicts are over in milliseconds, a lost database in seconds. Full jitter keeps processes from marching in step. */
function backoffMs(attempt: number, error: unknown): number {
  const capMs = error instanceof WriteConflict || sqlState(error) ? 50 : 1_000;
  return Math.random() * Math.min(capMs, 5 * 2 ** attempt);
}

function asProblem(error: unknown, commitUnknown: boolean): Problem {
  if (commitUnknown) {
    return new Problem('outcome_unknown', 'The connection was lost during the commit.', { retryAfterSeconds: 1 });
  }
  if (error instanceof WriteConflict || isDatabaseFault(error) || /^40/.test(sqlState(error) ?? '')) {
    return new Problem('database_unavailable', 'The database did not take the posting in time.', {
      retryAfterSeconds: 1,
    });
  }
  return new Problem('internal_error', 'The posting met a state that the service did not expect.', { cause: error });
}

function describe(error: unknown): string {
  const cause = error instanceof CommitUnknownError ? error.cause : error;
  return `${sqlState(cause) ?? ''} ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`.trim();
}
