/** The life of schedules, as callers see it. What is due is posted by `schedule.runner.ts`. */
import { Injectable } from '@nestjs/common';
import { DataSource, In, LessThan, type QueryRunner } from 'typeorm';
import { Ownership } from '../auth/ownership.js';
import type { Caller, Principal } from '../caller.js';
import type { RawRow } from '../database/raw-row.js';
import { guardedUpdate } from '../database/guarded-update.js';
import { Problem } from '../errors.js';
import type { EventType } from '../events/event-types.js';
import { Outbox } from '../events/outbox.service.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { CURSOR_ID, pageOf, readCursor, type Page } from '../paging.js';
import { instantOf, notesOf, TransactionsService } from '../transactions/transactions.service.js';
import { WalletsService } from '../wallets/wallets.service.js';
import { missedOf } from './occurrences.js';
import { Schedule } from './schedule.entity.js';
import { scheduleBody, type CreateScheduleDto, type ListSchedulesQuery, type ScheduleBody } from './schedules.dto.js';

/** Clocks differ, and requests take time: a start that lies back no further is now. */
const START_LATE_MS = 60_000;
/** What one person can have done by the service stays small. Servers know what they do. */
const LIVE_PER_WALLET_MAX = 100;
const LIVE = ['active', 'paused'] as const;

/** What a change makes of a schedule that has not ended. */
type Change = (schedule: Schedule, now: Date) => Partial<Schedule>;

@Injectable()
export class SchedulesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly idempotency: IdempotencyService,
    private readonly transactions: TransactionsService,
    private readonly wallets: WalletsService,
    private readonly ownership: Ownership,
    private readonly outbox: Outbox,
  ) {}

  /**
   * Makes a schedule. Whether there is money is asked when an occurrence is posted.
   * @throws {Problem} `wallet_not_found`, `system_wallet`, `wallet_closed`, `currency_mismatch`, `too_many_schedules`
   */
  async create(dto: CreateScheduleDto, caller: Caller): Promise<Answer<ScheduleBody>> {
    const { from_wallet_id: fromWalletId, to_wallet_id: toWalletId, every, time_zone: timeZone, missed } = dto;
    // SECURITY: nobody schedules what they could not transfer themself.
    if (caller.userId !== undefined) await this.ownership.checkWallet(fromWalletId, caller.userId);
    const { movement } = await this.transactions.draftTransfer(dto, caller);
    const [startsAt, endsAt] = [instantOf(dto.starts_at)!, instantOf(dto.ends_at) ?? null];
    if (endsAt !== null && endsAt < startsAt) throw Problem.field('ends_at', 'must not be before starts_at');
    const notes = notesOf(dto);
    const amount = movement.amountMinor!;
    const request: unknown[] = ['schedules.create', fromWalletId, toWalletId, amount, ...Object.values(notes)];
    request.push(every, startsAt, timeZone, endsAt, missed);
    return this.idempotency.record(caller, request, async (runner) => {
      const now = await nowOf(runner);
      if (startsAt.getTime() < now.getTime() - START_LATE_MS) {
        throw Problem.field('starts_at', 'must not be in the past');
      }
      const { userId } = await this.openWallet(runner, fromWalletId);
      await this.openWallet(runner, toWalletId);
      if (caller.userId !== undefined) await demandRoom(runner, fromWalletId, caller.userId);
      const id = newId();
      await runner.manager.insert(Schedule, {
        ...{ id, userId, fromWalletId, toWalletId, amount, currency: movement.currency!, every, startsAt, timeZone },
        ...{ endsAt, missed, status: 'active', nextN: 0, nextAt: startsAt, dueAt: startsAt, createdBy: caller.scope },
        ...{ description: notes.description ?? null, reference: notes.reference ?? null },
        metadata: notes.metadata ?? null,
      });
      return this.told(runner, 'schedule.created', id);
    });
  }

  /** Schedules, newest first. A person sees those that wallets of their own pay. */
  async list({ cursor, limit, wallet_id, status }: ListSchedulesQuery, caller: Principal): Promise<Page<ScheduleBody>> {
    const after = readCursor('schedules', cursor, CURSOR_ID);
    const rows = await this.dataSource.manager.find(Schedule, {
      where: {
        ...(caller.userId === undefined ? {} : { userId: caller.userId }),
        ...(wallet_id === undefined ? {} : { fromWalletId: wallet_id }),
        ...(status === undefined ? {} : { status }),
        ...(after === undefined ? {} : { id: LessThan(after) }),
      },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    return pageOf('schedules', rows, limit, ({ id }) => id, scheduleBody);
  }

  /** @throws {Problem} `schedule_not_found` */
  async read(id: string): Promise<ScheduleBody> {
    return scheduleBody(demand(await this.dataSource.manager.findOneBy(Schedule, { id }), id));
  }

  /**
   * Stops posting until it is resumed. What a process is posting at this moment is still posted.
   * @throws {Problem} `schedule_not_found`, `schedule_ended`, `schedule_not_active`, `precondition_failed`
   */
  pause(id: string, caller: Caller): Promise<Answer<ScheduleBody>> {
    return this.change(id, 'pause', caller, (schedule) => {
      if (schedule.status === 'paused') throw new Problem('schedule_not_active', `The schedule ${id} is paused.`);
      return { status: 'paused', dueAt: stillDue(schedule) };
    });
  }

  /**
   * Goes on. What was missed meanwhile is passed over, or posted in order, as `missed` says.
   * @throws {Problem} `schedule_not_found`, `schedule_ended`, `schedule_not_paused`, `precondition_failed`
   */
  resume(id: string, caller: Caller): Promise<Answer<ScheduleBody>> {
    return this.change(id, 'resume', caller, (schedule, now) => {
      if (schedule.status !== 'paused') throw new Problem('schedule_not_paused', `The schedule ${id} is active.`);
      return resumed(schedule, now);
    });
  }

  /** Ends it for good. @throws {Problem} `schedule_not_found`, `schedule_ended`, `precondition_failed` */
  cancel(id: string, caller: Caller): Promise<Answer<ScheduleBody>> {
    return this.change(id, 'cancel', caller, (schedule) => ({
      ...{ status: 'cancelled', nextAt: null, dueAt: stillDue(schedule) },
    }));
  }

  private change(id: string, verb: string, caller: Caller, changesOf: Change): Promise<Answer<ScheduleBody>> {
    return this.idempotency.record(caller, [`schedules.${verb}`, id], async (runner) => {
      const lock = { mode: 'pessimistic_write' } as const;
      const schedule = demand(await runner.manager.findOne(Schedule, { where: { id }, lock }), id);
      // As with holds: what the house has arranged, the house changes. A person can pause and cancel what is theirs.
      if (caller.userId !== undefined && schedule.createdBy !== caller.scope) {
        throw new Problem('forbidden', 'The schedule was not made by you: ask whoever runs the service.');
      }
      if (schedule.nextAt === null) throw new Problem('schedule_ended', `The schedule ${id} is ${schedule.status}.`);
      const now = await nowOf(runner);
      const changes = { ...changesOf(schedule, now), changedBy: caller.scope, updatedAt: now };
      await guardedUpdate(runner, Schedule, schedule, changes, caller.ifMatch);
      return this.told(runner, 'schedule.changed', id);
    });
  }

  /** Writes down what became of a schedule, and answers it. */
  private async told(runner: QueryRunner, type: EventType, id: string): Promise<ScheduleBody> {
    const body = scheduleBody(await runner.manager.findOneByOrFail(Schedule, { id }));
    await this.outbox.record(runner, [{ type, objectId: id, subjects: [{ id, version: body.version }], body }]);
    return body;
  }

  private async openWallet(runner: QueryRunner, id: string) {
    const wallet = await this.wallets.read(id, runner);
    if (wallet.status === 'closed') throw new Problem('wallet_closed', `Wallet ${id} is closed.`);
    return wallet;
  }
}

async function demandRoom(runner: QueryRunner, fromWalletId: string, userId: string): Promise<void> {
  await runner.query('SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE', [userId]); // one after another
  const count = await runner.manager.countBy(Schedule, { fromWalletId, status: In(LIVE) });
  if (count < LIVE_PER_WALLET_MAX) return;
  throw new Problem('too_many_schedules', `The wallet ${fromWalletId} has ${count} schedules.`);
}

/** An occurrence that was begun may have been posted: somebody has to look. */
function stillDue({ attempts, dueAt }: Schedule): Date | null {
  return attempts > 0 ? dueAt : null;
}

/** A schedule from now on. Where the next occurrence was begun already, it is for the runner to pass over those after it. */
function resumed(schedule: Schedule, now: Date): Partial<Schedule> {
  const { nextN, nextAt, missed, attempts } = schedule;
  const dueAt = schedule.dueAt ?? nextAt;
  if (missed === 'catch_up') return { status: 'active', dueAt };
  const passed = attempts > 0 ? undefined : missedOf(schedule, { n: nextN, at: nextAt! }, now, now);
  if (!passed) return { status: 'active', dueAt, missedBefore: now };
  const { count, last, next } = passed;
  return {
    ...{ status: next ? 'active' : 'completed', missedBefore: now },
    ...{ nextN: next?.n ?? last.n + 1, nextAt: next?.at ?? null, dueAt: next?.at ?? null },
    ...{ lastAt: last.at, lastOutcome: 'skipped', lastTransactionId: null, lastError: null },
    skippedCount: schedule.skippedCount + count,
  };
}

async function nowOf(runner: QueryRunner): Promise<Date> {
  const [row]: RawRow[] = await runner.query('SELECT clock_now() AS now');
  return row!.now;
}

function demand(schedule: Schedule | null, id: string): Schedule {
  if (!schedule) throw new Problem('schedule_not_found', `There is no schedule ${id}.`);
  return schedule;
}
