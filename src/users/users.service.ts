import { Inject, Injectable } from '@nestjs/common';
import { parsePhoneNumberFromString } from 'libphonenumber-js/min';
import { DataSource, LessThan, type QueryRunner } from 'typeorm';
import { AuditService } from '../audit/audit.service.js';
import { SessionsService } from '../auth/sessions.service.js';
import { demandScope, type Caller } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { guardedUpdate } from '../database/guarded-update.js';
import { constraintOf, sqlState, UNIQUE_VIOLATION } from '../database/sqlstate.js';
import { inTransaction } from '../database/transaction.js';
import { Problem } from '../errors.js';
import type { EventType } from '../events/event-types.js';
import { Outbox } from '../events/outbox.service.js';
import { CURSOR_ID, pageOf, readCursor, type Page } from '../paging.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { User, type UserStatus } from './user.entity.js';
import { userBody, type ChangeUserDto, type ListUsersQuery, type RegisterUserDto, type UserBody } from './users.dto.js';

@Injectable()
export class UsersService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly idempotency: IdempotencyService,
    private readonly audit: AuditService,
    private readonly sessions: SessionsService,
    private readonly outbox: Outbox,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Registers a user. @throws {Problem} `phone_number_taken`, or `validation_failed` on an impossible number. */
  register(dto: RegisterUserDto, caller: Caller): Promise<Answer<UserBody>> {
    const phoneNumber = this.phoneNumber(dto.phone_number);
    return this.idempotency.record(caller, ['users.register', phoneNumber, dto.metadata], async (runner) => {
      const user = { id: newId(), phoneNumber, status: 'active' as const, metadata: dto.metadata ?? null };
      await takingPhoneNumber(runner.manager.insert(User, user));
      return userBody(await this.told(runner, 'user.registered', user.id));
    });
  }

  /** @throws {Problem} `user_not_found` */
  async read(id: string, runner?: QueryRunner): Promise<User> {
    const user = await (runner ?? this.dataSource).manager.findOneBy(User, { id });
    if (!user) throw new Problem('user_not_found', `There is no user ${id}.`);
    return user;
  }

  /** Users, newest first. */
  async list(query: ListUsersQuery): Promise<Page<UserBody>> {
    const after = readCursor('users', query.cursor, CURSOR_ID);
    const rows = await this.dataSource.manager.find(User, {
      where: {
        ...(query.phone_number === undefined ? {} : { phoneNumber: this.phoneNumber(withPlus(query.phone_number)) }),
        ...(after ? { id: LessThan(after) } : {}),
      },
      order: { id: 'DESC' },
      take: query.limit + 1,
    });
    return pageOf('users', rows, query.limit, (user) => user.id, userBody);
  }

  /**
   * Changes the given fields. Suspending a user ends all of its sessions, and so does another number: they were begun by the old one.
   * @throws {Problem} `user_not_found`, `precondition_failed`, `phone_number_taken`, `insufficient_scope`
   */
  async change(id: string, dto: ChangeUserDto, caller: Caller): Promise<User> {
    if (dto.reason !== undefined && dto.status === undefined && dto.phone_number === undefined) {
      throw Problem.field('reason', 'is only for changing the status or the phone number');
    }
    const changes = {
      ...(dto.phone_number === undefined ? {} : { phoneNumber: this.phoneNumber(dto.phone_number) }),
      ...(dto.status === undefined ? {} : { status: dto.status }),
      ...(dto.metadata === undefined ? {} : { metadata: dto.metadata }),
    };
    let endedSessions: string[] = [];
    const changed = await inTransaction(this.dataSource, async (runner) => {
      const user = await runner.manager.findOne(User, { where: { id }, lock: { mode: 'pessimistic_write' } });
      if (!user) throw new Problem('user_not_found', `There is no user ${id}.`);
      await takingPhoneNumber(guardedUpdate(runner, User, user, changes, caller.ifMatch));
      if (dto.status !== undefined && dto.status !== user.status) {
        endedSessions = await this.changeStatus(runner, id, dto.status, dto.reason, caller);
      }
      if (changes.phoneNumber !== undefined && changes.phoneNumber !== user.phoneNumber) {
        endedSessions.push(...(await this.changedNumber(runner, id, dto.reason, caller)));
      }
      return this.told(runner, 'user.changed', id, user.version);
    });
    this.sessions.forget(endedSessions);
    return changed;
  }

  /** Writes down what became of a user, unless it still is what it was, and returns it. */
  private async told(runner: QueryRunner, type: EventType, id: string, versionBefore?: number): Promise<User> {
    const user = await this.read(id, runner);
    if (user.version === versionBefore) return user;
    await this.outbox.record(runner, [
      { type, objectId: id, subjects: [{ id, version: user.version }], body: userBody(user) },
    ]);
    return user;
  }

  /** @returns the sessions that ended with it. */
  private async changeStatus(
    runner: QueryRunner,
    id: string,
    status: UserStatus,
    reason: string | undefined,
    caller: Caller,
  ): Promise<string[]> {
    demandScope(caller, 'users:admin', 'Changing the status of a user');
    if (reason === undefined) throw Problem.field('reason', 'is needed to change the status');
    const isSuspended = status === 'suspended';
    const ended = isSuspended ? await this.sessions.endOfUser(runner, id, 'user_suspended') : [];
    await this.audit.record(runner, caller, {
      ...{ action: isSuspended ? 'user.suspended' : 'user.activated', objectType: 'user', objectId: id, reason },
      ...(isSuspended && { details: { sessions_ended: ended.length } }),
    });
    return ended;
  }

  /** @returns the sessions that ended with it. */
  private async changedNumber(runner: QueryRunner, id: string, reason: string | undefined, caller: Caller) {
    const ended = await this.sessions.endOfUser(runner, id, 'operator');
    await this.audit.record(runner, caller, {
      ...{ action: 'user.phone_number_changed', objectType: 'user', objectId: id, reason },
      details: { sessions_ended: ended.length },
    });
    return ended;
  }

  /**
   * The user who has proven a number; the first time, where SIGN_UP is open, that makes them one. Until the transaction
   * ends nobody can be suspended in between.
   */
  async ofProvenNumber(phoneNumber: string, runner: QueryRunner): Promise<User | null> {
    const { manager } = runner;
    if (this.config.signUp === 'open') {
      const user = { id: newId(), phoneNumber, status: 'active' as const, metadata: null };
      const insert = manager.createQueryBuilder().insert().into(User).values(user).orIgnore().returning('id');
      const { raw } = await insert.execute();
      if ((raw as unknown[]).length > 0) await this.told(runner, 'user.registered', user.id);
    }
    return manager.findOne(User, { where: { phoneNumber }, lock: { mode: 'pessimistic_read' } });
  }

  /** Whether a one-time code would let somebody in who has the number (E.164). */
  async maySignIn(phoneNumber: string): Promise<boolean> {
    const user = await this.dataSource.manager.findOneBy(User, { phoneNumber });
    return user ? user.status === 'active' : this.config.signUp === 'open';
  }

  /**
   * E.164 of a number as people write it. It must be possible (right length), not proven to exist.
   * @throws {Problem} `validation_failed`
   */
  phoneNumber(text: string): string {
    const phone = parsePhoneNumberFromString(text, this.config.defaultPhoneRegion);
    // Some plans have national numbers that are longer than E.164, and the table, allow.
    if (phone?.isPossible() && E164.test(phone.number)) return phone.number;
    const region = this.config.defaultPhoneRegion;
    throw Problem.field(
      'phone_number',
      `must be a possible number: international such as "+919876543210", or national digits of ${region}`,
    );
  }
}

/** A plus that was not written %2B in a URL arrives as a blank, and without it the number would be one of the default region. */
function withPlus(inQuery: string): string {
  return inQuery.replace(/^ /, '+');
}

const E164 = /^\+[1-9]\d{1,14}$/;

/** Turns the violated unique constraint into the error that a caller understands. */
async function takingPhoneNumber(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION || constraintOf(error) !== 'users_phone_number_key') throw error;
    throw new Problem('phone_number_taken', 'Another user has this phone number.');
  }
}
