/**
 * Posts what is due. It runs in every process; a schedule is with one of them at a time.
 *
 * An occurrence is posted as a transfer under an idempotency key of its own, which is its time, and only then written down
 * in the schedule. Whoever dies in between leaves the schedule as it was: the next one posts under the same key, is
 * answered what was posted, and writes that down. So each is posted once, whatever happens when.
 *
 * A refusal is an outcome, and the schedule goes on to the next occurrence. A fault (no database, too much to do) is not: the
 * occurrence is tried again until it has an outcome.
 */
import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Caller } from '../caller.js';
import { Clock } from '../clock/clock.js';
import { CONFIG, type Config } from '../config.js';
import { Problem, type ErrorCode } from '../errors.js';
import { IdempotencyService } from '../idempotency/idempotency.service.js';
import { formatAmount } from '../money.js';
import { Metrics } from '../telemetry/metrics.js';
import { TransactionsService } from '../transactions/transactions.service.js';
import { missedOf, occurrenceAfter } from './occurrences.js';
import { ScheduleStore, type DueSchedule, type Outcome } from './schedule.store.js';

/** Schedules that a process works at together. Their postings share groups. */
const UNDER_WAY_MAX = 64;
/**
 * Taken at once. Where so many are under way of one wallet, the others of that wallet wait: 200 that paid into one that was locked
 * took all places for 10 s at a time, and any other was 20 s late.
 */
const OF_WALLET_MAX = 16;
/** After faults it waits 1, 2, 4, … seconds, and no longer than this. */
const PUT_OFF_SECONDS_MAX = 300;
const WARN_EVERY_MS = 10_000;

@Injectable()
export class ScheduleRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(ScheduleRunner.name);
  private readonly underWay = new Map<DueSchedule, Promise<void>>();
  private timer?: NodeJS.Timeout;
  private looking?: Promise<void>;
  private isWanted = false;
  /** Whether more may be due than there was room for. */
  private isCrowded = false;
  private isStopping = false;
  private warnedAt = -Infinity;

  constructor(
    private readonly store: ScheduleStore,
    private readonly transactions: TransactionsService,
    private readonly idempotency: IdempotencyService,
    private readonly clock: Clock,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.config.background) return;
    this.clock.onAdvance(() => this.look());
    this.timer = setInterval(() => this.look(), this.config.schedulePollSeconds * 1_000).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    clearInterval(this.timer);
    await this.looking;
    await Promise.all(this.underWay.values());
  }

  private look(): void {
    this.isWanted = true;
    this.looking ??= this.takeAll()
      .catch((error: unknown) => this.warn(`schedules wait: ${String(error)}`))
      .finally(() => (this.looking = undefined));
  }

  private async takeAll(): Promise<void> {
    while (this.isWanted && !this.isStopping) {
      this.isWanted = false;
      const most = Math.min(OF_WALLET_MAX, UNDER_WAY_MAX - this.underWay.size);
      if (most === 0) return; // whoever ends looks again
      const full = this.fullWallets();
      const taken = await this.store.take(most, full);
      this.isCrowded = taken.length === most || full.length > 0;
      if (taken.length === most) this.isWanted = true;
      for (const schedule of taken) this.start(schedule);
    }
  }

  private fullWallets(): string[] {
    const counts = new Map<string, number>();
    for (const { fromWalletId, toWalletId } of this.underWay.keys())
      for (const id of [fromWalletId, toWalletId]) counts.set(id, (counts.get(id) ?? 0) + 1);
    return [...counts].flatMap(([id, count]) => (count >= OF_WALLET_MAX ? [id] : []));
  }

  private start(schedule: DueSchedule): void {
    const work = this.work(schedule)
      .catch((error: unknown) => this.putOff(schedule, error))
      .then((isMoreDue) => {
        this.underWay.delete(schedule);
        if (isMoreDue || this.isCrowded) this.look();
      });
    this.underWay.set(schedule, work);
  }

  /** Gives one occurrence its outcome. @returns whether the next one is due as well */
  private async work(schedule: DueSchedule): Promise<boolean> {
    const { next, now, missed, attempts, missedBefore } = schedule;
    if (schedule.status !== 'active') return this.settle(schedule);
    if (missed === 'skip' && attempts === 1) {
      const passed = missedOf(schedule, next, now, missedBefore);
      if (passed) {
        await this.store.pass(schedule, passed);
        return passed.next !== undefined && passed.next.at <= now;
      }
    }
    return this.advance(schedule, await this.post(schedule));
  }

  private async advance(schedule: DueSchedule, outcome: Outcome): Promise<boolean> {
    const following = occurrenceAfter(schedule, schedule.next);
    await this.store.advance(schedule, outcome, following);
    this.metrics.occurrences.inc({ outcome: outcome.kind === 'posted' ? 'posted' : outcome.error });
    return following !== undefined && following.at <= schedule.now;
  }

  /** It was begun, and then paused or cancelled: what was posted is written down, and nothing else is posted. */
  private async settle(schedule: DueSchedule): Promise<boolean> {
    const outcome = await this.found(schedule);
    if (outcome) await this.advance(schedule, outcome);
    else await this.store.settle(schedule);
    return false;
  }

  /** @throws where it has no outcome yet */
  private async post(schedule: DueSchedule): Promise<Outcome> {
    const { currency, fromWalletId, toWalletId, description, reference, metadata } = schedule;
    if (schedule.isSuspended) return (await this.found(schedule)) ?? { kind: 'refused', error: 'user_suspended' };
    const dto = {
      ...{ from_wallet_id: fromWalletId, to_wallet_id: toWalletId },
      amount: formatAmount(schedule.amountMinor, currency),
      ...{ description: description ?? undefined, reference: reference ?? undefined, metadata: metadata ?? undefined },
    };
    try {
      const { body } = await this.transactions.transfer(dto, callerOf(schedule));
      return { kind: 'posted', transactionId: body.id };
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      // The key has an outcome; only to repeat the answer it is too late.
      const isUsed = error.code === 'idempotency_key_expired' || error.code === 'idempotency_key_reused';
      return (isUsed && (await this.found(schedule))) || { kind: 'refused', error: error.code };
    }
  }

  /** What the key of the occurrence has kept, however old. */
  private async found(schedule: DueSchedule): Promise<Outcome | undefined> {
    const caller = callerOf(schedule);
    const found = await this.idempotency.find(caller.scope, caller.idempotencyKey);
    if (found?.kind === 'executed') return { kind: 'posted', transactionId: found.transactionId };
    return found && { kind: 'refused', error: found.body.code as ErrorCode };
  }

  private async putOff(schedule: DueSchedule, error: unknown): Promise<boolean> {
    this.warn(`the schedule ${schedule.id} is tried again: ${String(error)}`);
    const seconds = Math.min(PUT_OFF_SECONDS_MAX, 2 ** Math.min(schedule.attempts - 1, 20));
    // Where not even that can be written, it is taken again when its time with this process is over.
    await this.store.putOff(schedule, seconds).catch(() => undefined);
    return false;
  }

  private warn(message: string): void {
    if (performance.now() - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = performance.now();
    this.logger.warn(message);
  }
}

/** SECURITY: a caller of its own for each schedule, whose keys nobody else can use. */
function callerOf({ id, next }: DueSchedule): Caller & { idempotencyKey: string } {
  return {
    scope: `schedule:${id}`,
    scopes: new Set(['transactions:write']),
    idempotencyKey: next.at.toISOString(),
  };
}
