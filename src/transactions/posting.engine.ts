/**
 * Every movement of money goes through here. A request hands over an instruction (one posting, or a batch) and awaits
 * its own outcome; the engine commits instructions in groups, one database transaction for each group.
 *
 * While one group is committing, the next gathers. There is no timer: an idle engine commits a lone posting at
 * once, a busy one commits hundreds together. A queued posting holds no database connection.
 */
import { Inject, Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { DataSource, type QueryRunner } from 'typeorm';
import { AuditService, type CallersAct } from '../audit/audit.service.js';
import { CONFIG, type Config } from '../config.js';
import { allSettled } from '../database/all-settled.js';
import { runAsOne, type Write } from '../database/prepared.js';
import { isDatabaseFault, LOCK_NOT_AVAILABLE, sqlState } from '../database/sqlstate.js';
import {
  CommitUnknownError,
  inPipelinedTransaction,
  WriteConflict,
  type PipelinedTransaction,
} from '../database/transaction.js';
import { ERRORS } from '../errors.js';
import { Outbox, type Happening } from '../events/outbox.service.js';
import { IdempotencyStore, type FoundOutcome, type KeyRow } from '../idempotency/idempotency.store.js';
import { dayIn } from '../time-zone.js';
import { tracing } from '../tracing/tracing.js';
import { HoldStore } from './hold.store.js';
import { releaseExpired } from './hold.rules.js';
import {
  Ledger,
  walletIdsOf,
  type HoldStep,
  type Posted,
  type PostedTransaction,
  type StatusChange,
} from './ledger.js';
import { answer } from './posting.answers.js';
import { eventsOf } from './posting.events.js';
import { asProblem, backoffMs, describe, isRetryable } from './posting.failures.js';
import { PostingMetrics } from './posting.metrics.js';
import { decide, isRefused, type Decision, type Work } from './posting.rules.js';
import { OTHER_LANE, PostingQueue, withoutPassedOver, type Lane, type Waiting } from './posting.queue.js';
import { PostingStore } from './posting.store.js';
import { WalletStateStore } from './wallet-state.store.js';

/** What a request hands over, complete: the engine adds nothing but time. */
export interface Instruction extends Work {
  /** Names it in the group. Of a lone movement it is the transaction's id, by which a further attempt finds it. */
  id: string;
  /** The caller that `key` belongs to. */
  scope: string;
  key?: string;
  fingerprint?: string;
  /** What the key keeps, where that is not one transaction. */
  keep?: (decision: Decision) => { statusCode: number; body: object };
}

/** What became of an instruction: decided now, or found under its key or transaction id. */
export type InstructionOutcome = Decision | (FoundOutcome & { now: Date });

@Injectable()
export class PostingEngine implements BeforeApplicationShutdown {
  private readonly logger = new Logger(PostingEngine.name);
  private readonly queue: PostingQueue;
  private readonly running: Partial<Record<Lane, Promise<void>>> = {};

  constructor(
    private readonly dataSource: DataSource,
    private readonly store: PostingStore,
    private readonly holds: HoldStore,
    private readonly walletStates: WalletStateStore,
    private readonly keys: IdempotencyStore,
    private readonly audit: AuditService,
    private readonly outbox: Outbox,
    private readonly metrics: PostingMetrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.queue = new PostingQueue({ lengthMax: config.queueLengthMax, waitMsMax: config.queueWaitMsMax });
    metrics.watchQueue(() => this.queue.length, config.queueLengthMax);
  }

  /**
   * Queues an instruction and resolves with its outcome after COMMIT. Keys must be unique among instructions in
   * flight (`IdempotencyService` sees to it).
   * @throws {Problem} `overloaded` at once when the queue is full, `database_unavailable` when nothing was
   *   written, `outcome_unknown` when nobody can tell yet.
   */
  post(instruction: Instruction): Promise<InstructionOutcome> {
    return new Promise((resolve, reject) => {
      const trace = tracing?.current();
      this.queue.add({ instruction, resolve, reject, since: performance.now(), passedOver: 0, trace });
      this.start('passing');
    });
  }

  /** Whether a further posting would be refused. */
  get isFull(): boolean {
    return this.queue.isFull;
  }

  /** Waits until nothing is queued or committing. */
  async beforeApplicationShutdown(): Promise<void> {
    while (this.running.passing || this.running.blocking) await Promise.all(Object.values(this.running));
  }

  /** setImmediate lets requests that arrived in the same turn of the event loop share the first group. */
  private start(lane: Lane): void {
    this.running[lane] ??= new Promise<void>((done) => setImmediate(() => void this.drain(lane).then(done)));
  }

  private async drain(lane: Lane): Promise<void> {
    while (!this.queue.isEmpty(lane)) {
      const group = this.queue.take(lane, this.config.groupSizeMax);
      if (group.length > 0) await this.commitGroup(group, lane, Date.now() + this.config.groupDeadlineMs);
      if (lane === 'blocking') this.queue.unblock(group);
      if (!this.queue.isEmpty(OTHER_LANE[lane])) this.start(OTHER_LANE[lane]);
    }
    this.running[lane] = undefined;
  }

  /**
   * Commits a group, in as many transactions as conflicts and lost connections ask for. Never rejects.
   * @param commitUnknown whether an earlier transaction with these instructions ended in an unanswered COMMIT.
   */
  private async commitGroup(group: Waiting[], lane: Lane, deadline: number, commitUnknown?: boolean): Promise<void> {
    const instructions = group.map(({ instruction }) => instruction);
    const isHalf = commitUnknown !== undefined;
    let isRetry = isHalf;
    let timeout: unknown;
    const startedAt = performance.now();
    for (let attempt = 1; ; attempt++) {
      // Whose COMMIT may have gone through, that is found out now: such a wallet is waited for in either lane. So it is in
      // a half, as what one half passed over the other would overtake.
      const passes = !commitUnknown && (timeout !== undefined || (lane === 'passing' && !isHalf));
      try {
        const repeats = isRetry;
        const commit = () =>
          inPipelinedTransaction(this.dataSource, (transaction) =>
            this.postAll(transaction, instructions, passes, repeats),
          );
        const outcomes = await (tracing ? tracing.group(group, attempt, commit) : commit());
        this.metrics.committed(group, outcomes, startedAt);
        answer(group, outcomes);
        const passedOver = group.filter((_, i) => outcomes[i] === undefined);
        if (timeout !== undefined) passedOver.forEach(({ reject }) => reject(asProblem(timeout, false)));
        else if (passedOver.length > 0) this.queue.putBack(passedOver);
        return;
      } catch (error) {
        isRetry = true;
        commitUnknown ||= error instanceof CommitUnknownError;
        if (sqlState(error) === LOCK_NOT_AVAILABLE && !passes && !commitUnknown && group.length > 1) {
          // They have waited long enough. Only what names a wallet that is still locked fails.
          timeout = error;
          continue;
        }
        if (isRetryable(error) && attempt < this.config.groupAttemptsMax && Date.now() < deadline) {
          this.metrics.retried(error);
          await delay(backoffMs(attempt, error));
          continue;
        }
        if (group.length > 1 && !(error instanceof CommitUnknownError) && !isDatabaseFault(error)) {
          // One posting in here breaks a law or hits a bug of ours. Halving finds it in log2(n) transactions, and
          // its neighbours go through.
          const middle = group.length >> 1;
          await this.commitGroup(group.slice(0, middle), lane, deadline, commitUnknown ?? false);
          await this.commitGroup(group.slice(middle), lane, deadline, commitUnknown ?? false);
          return;
        }
        this.metrics.failed();
        this.logger.error(`a group of ${group.length} failed at attempt ${attempt}: ${describe(error)}`);
        const problem = asProblem(error, commitUnknown);
        group.forEach(({ reject }) => reject(problem));
        return;
      }
    }
  }

  /**
   * One attempt: read and lock, decide, write and commit.
   * @param passes over wallets that others have locked; what names one has no outcome.
   */
  private async postAll(
    transaction: PipelinedTransaction,
    instructions: Instruction[],
    passes: boolean,
    isRetry: boolean,
  ): Promise<Array<InstructionOutcome | undefined>> {
    const { ledger, found, isWhole } = await this.read(transaction, instructions, passes, isRetry);
    const { now } = ledger;
    const { expired, behind } = await this.catchUp(transaction.runner, ledger);
    const known = found.size === 0 ? instructions : instructions.filter(({ id }) => !found.has(id));
    const isReady = { has: (id: string) => ledger.wallets.has(id) && !behind.has(id) };
    const fresh = isWhole && behind.size === 0 ? known : withoutPassedOver(known, isReady);
    const decisions = fresh.map((instruction) => decide(ledger, instruction));
    const writes = this.write(transaction.runner, ledger, fresh, decisions, expired);
    const decidedAt = performance.now();
    await transaction.commitBehind(writes);
    this.metrics.wrote(decidedAt);

    if (fresh === instructions) return decisions;
    const outcomes = new Map<string, InstructionOutcome>();
    fresh.forEach(({ id }, i) => outcomes.set(id, decisions[i]!));
    for (const [id, earlier] of found) outcomes.set(id, { ...earlier, now });
    return instructions.map(({ id }) => outcomes.get(id));
  }

  /**
   * Locks the wallets, and reads what else the postings name, in one trip.
   */
  private async read(
    { runner, begun }: PipelinedTransaction,
    instructions: Instruction[],
    passes: boolean,
    isRetry: boolean,
  ) {
    const walletIds = new Set<string>();
    const holdIds = new Set<string>();
    const originalIds = new Set<string>();
    for (const { postings } of instructions) {
      for (const posting of postings) {
        if (posting.kind === 'refused') continue;
        for (const id of walletIdsOf(posting)) walletIds.add(id);
        if ('holdId' in posting) holdIds.add(posting.holdId);
        if (posting.kind === 'reversal') originalIds.add(posting.original.id);
      }
    }
    const [, wallets, { now: clock, found }, holds, reversed] = await allSettled(
      begun,
      this.store.readWallets(runner, [...walletIds], passes),
      this.store.findOutcomes(runner, instructions, isRetry),
      holdIds.size > 0 ? this.holds.read(runner, [...holdIds]) : Promise.resolve([]),
      originalIds.size > 0 ? this.store.readReversed(runner, [...originalIds]) : Promise.resolve(undefined),
    );
    // Law 2 wants history in order even if the server's clock was set back: never before a wallet's last posting.
    let now = clock;
    for (const { updatedAt } of wallets) if (updatedAt > now) now = updatedAt;
    const ledger = new Ledger(now, dayIn(this.config.limitTimeZone, now));
    for (const { state } of wallets) ledger.wallets.set(state.id, state);
    for (const hold of holds) if (ledger.wallets.has(hold.walletId)) ledger.holds.set(hold.id, hold);
    for (const id of originalIds) ledger.reversed.set(id, reversed?.get(id) ?? new Map<number, bigint>());
    return { ledger, found, isWhole: !passes || wallets.length === walletIds.size };
  }

  /**
   * Releases the holds of these wallets that have expired, and reads limits. A second trip, which most groups need not
   * make: a wallet's row says whether it can have either.
   * @returns what was released, and the wallets that may have more to be released: what names them comes after that.
   */
  private async catchUp(
    runner: QueryRunner,
    ledger: Ledger,
  ): Promise<{ expired: Posted[]; behind: ReadonlySet<string> }> {
    const { now } = ledger;
    const due: string[] = [];
    const limited: string[] = [];
    for (const wallet of ledger.wallets.values()) {
      if (wallet.holdsExpireAt && wallet.holdsExpireAt <= now) due.push(wallet.id);
      if (wallet.limited) limited.push(wallet.id);
    }
    if (due.length === 0 && limited.length === 0) return { expired: [], behind: NO_WALLETS };
    const [expiry, limits] = await allSettled(
      this.holds.readExpired(runner, due, now),
      this.walletStates.readLimits(runner, limited),
    );
    for (const limit of limits) ledger.limits.set(limit.walletId, limit);
    // Only without locks: somebody took them away since the wallet was read.
    if (ledger.limits.size < limited.length) throw new WriteConflict('limits are gone');
    for (const hold of expiry.holds) if (!ledger.holds.has(hold.id)) ledger.holds.set(hold.id, hold);
    const released: Posted[] = [];
    for (const holdStep of releaseExpired(ledger)) {
      released.push({ kind: 'posted', holdStep, events: eventsOf(ledger, { kind: 'posted', holdStep }) });
    }
    if (!expiry.isAll) return { expired: released, behind: new Set(due) };
    for (const id of due) ledger.wallet(id).holdsExpireAt = expiry.next.get(id) ?? null;
    return { expired: released, behind: NO_WALLETS };
  }

  /**
   * Hands everything to the driver at once. The first failure counts, and the wallets come first: where their version
   * moved on, the entries fail as well, but what happened is a conflict that another attempt settles.
   */
  private write(
    runner: QueryRunner,
    ledger: Ledger,
    instructions: Instruction[],
    decisions: Decision[],
    expired: Posted[],
  ): Promise<unknown>[] {
    if (instructions.length > 0 && instructions.every(({ isDryRun }) => isDryRun)) return [];
    const transactions: PostedTransaction[] = [];
    const events: Happening[] = [];
    const holdSteps: HoldStep[] = [];
    const statusChanges: StatusChange[] = [];
    const acts: CallersAct[] = [];
    const keyRows: KeyRow[] = [];
    const take = (posted: Posted) => {
      if (posted.transaction) transactions.push(posted.transaction);
      if (posted.events) events.push(...posted.events);
      if (posted.holdStep) holdSteps.push(posted.holdStep);
      if (posted.statusChange) statusChanges.push(posted.statusChange);
      if (posted.act) acts.push(posted.act);
    };
    for (const release of expired) take(release);
    decisions.forEach((decision, i) => {
      const instruction = instructions[i]!;
      if (instruction.isDryRun) return;
      // A mistake in a field leaves the key free, as it does where it is found before.
      const isMistake = decision.refusal?.code === 'validation_failed';
      if (instruction.key !== undefined && !isMistake) keyRows.push(keyRow(instruction, decision));
      if (decision.refusal) return;
      for (const outcome of decision.outcomes) if (outcome.kind === 'posted') take(outcome);
    });
    const moved = [...ledger.wallets.values()].filter((wallet) => wallet.version !== wallet.versionRead);
    const usedLimits = [...ledger.limits.values()].filter(({ isUsed }) => isUsed);

    const parts: Write[] = [];
    if (this.config.locking === 'optimistic' && decisions.some(isRefused)) {
      // What is posted fails by its wallets' versions where they moved on. What is refused would not, and the reads are several.
      parts.push(this.store.walletCheck([...ledger.wallets.values()].filter((w) => w.version === w.versionRead)));
    }
    if (moved.length > 0) parts.push(this.store.walletUpdate(moved, ledger.now));
    if (events.length > 0) parts.push(this.outbox.insert(events, ledger.now));
    if (transactions.length > 0) {
      parts.push(this.store.transactionInsert(transactions), this.store.entryInsert(transactions));
    }
    if (keyRows.length > 0) parts.push(this.keys.insertOf(keyRows, ledger.now));

    // On Citus, which is what optimistic locking is for, each goes to the shards by itself.
    const statements = this.config.locking === 'optimistic' ? parts.map((part) => [part]) : [parts];
    const writes: Promise<unknown>[] = parts.length > 0 ? statements.map((one) => runAsOne(runner, one)) : [];
    if (holdSteps.length > 0) writes.push(...this.holds.write(runner, holdSteps, ledger.now));
    if (statusChanges.length > 0) writes.push(this.walletStates.insertStatusChanges(runner, statusChanges));
    if (usedLimits.length > 0) writes.push(this.walletStates.updateLimits(runner, usedLimits));
    if (acts.length > 0) writes.push(this.audit.recordAll(runner, acts, ledger.now));
    return writes;
  }
}

const NO_WALLETS: ReadonlySet<string> = new Set();

function keyRow({ id, scope, key, fingerprint, keep }: Instruction, decision: Decision): KeyRow {
  const row: KeyRow = { scope, key: key!, fingerprint: fingerprint!, statusCode: 201 };
  if (decision.refusal) {
    const { code, detail, errors } = decision.refusal;
    row.statusCode = ERRORS[code].status;
    row.body = { code, detail, errors };
  } else if (keep) Object.assign(row, keep(decision));
  else row.transactionId = id;
  return row;
}
