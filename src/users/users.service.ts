import { Inject, Injectable } from '@nestjs/common';
import { parsePhoneNumberFromString } from 'libphonenumber-js/min';
import { DataSource, LessThan, type QueryRunner } from 'typeorm';
import type { Caller } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { guardedUpdate } from '../database/guarded-update.js';
import { constraintOf, sqlState, UNIQUE_VIOLATION } from '../database/sqlstate.js';
import { inTransaction } from '../database/transaction.js';
import { Problem } from '../errors.js';
import { CURSOR_ID, pageOf, readCursor, type Page } from '../paging.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { User } from './user.entity.js';
import { userBody, type ChangeUserDto, type ListUsersQuery, type RegisterUserDto, type UserBody } from './users.dto.js';

@Injectable()
export class UsersService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly idempotency: IdempotencyService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Registers a user. @throws {Problem} `phone_number_taken`, or `validation_failed` on an impossible number. */
  register(dto: RegisterUserDto, caller: Caller): Promise<Answer<UserBody>> {
    const phoneNumber = this.phoneNumber(dto.phone_number);
    return this.idempotency.record(caller, ['users.register', phoneNumber, dto.metadata], async (runner) => {
      const user = { id: newId(), phoneNumber, status: 'active' as const, metadata: dto.metadata ?? null };
      await takingPhoneNumber(runner.manager.insert(User, user));
      return userBody(await this.read(user.id, runner));
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
    const after = readCursor(query.cursor, CURSOR_ID);
    const rows = await this.dataSource.manager.find(User, {
      where: {
        ...(query.phone_number === undefined ? {} : { phoneNumber: this.phoneNumber(query.phone_number) }),
        ...(after ? { id: LessThan(after) } : {}),
      },
      order: { id: 'DESC' },
      take: query.limit + 1,
    });
    return pageOf(rows, query.limit, (user) => user.id, userBody);
  }

  /** Changes the given fields. @throws {Problem} `user_not_found`, `precondition_failed`, `phone_number_taken` */
  change(id: string, dto: ChangeUserDto, caller: Caller): Promise<User> {
    const changes = {
      ...(dto.phone_number === undefined ? {} : { phoneNumber: this.phoneNumber(dto.phone_number) }),
      ...(dto.status === undefined ? {} : { status: dto.status }),
      ...(dto.metadata === undefined ? {} : { metadata: dto.metadata }),
    };
    return inTransaction(this.dataSource, async (runner) => {
      const user = await runner.manager.findOne(User, { where: { id }, lock: { mode: 'pessimistic_write' } });
      if (!user) throw new Problem('user_not_found', `There is no user ${id}.`);
      await takingPhoneNumber(guardedUpdate(runner, User, user, changes, caller.ifMatch));
      return this.read(id, runner);
    });
  }

  /** E.164 of a number as people write it. It must be possible (right length), not proven to exist. */
  private phoneNumber(text: string): string {
    const phone = parsePhoneNumberFromString(text, this.config.defaultPhoneRegion);
    if (phone?.isPossible()) return phone.number;
    const region = this.config.defaultPhoneRegion;
    throw Problem.field(
      'phone_number',
      `must be a possible number: international such as "+919876543210", or national digits of ${region}`,
    );
  }
}

/** Turns the violated unique constraint into the error that a caller understands. */
async function takingPhoneNumber(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION || constraintOf(error) !== 'users_phone_number_key') throw error;
    throw new Problem('phone_number_taken', 'Another user has this phone number.');
  }
}
