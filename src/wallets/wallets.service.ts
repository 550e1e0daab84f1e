import { Inject, Injectable } from '@nestjs/common';
import { DataSource, LessThan, type QueryRunner } from 'typeorm';
import { AuditService } from '../audit/audit.service.js';
import { demandScope, type Caller, type Principal } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { guardedUpdate } from '../database/guarded-update.js';
import { inTransaction, WriteConflict } from '../database/transaction.js';
import { Problem } from '../errors.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { AmountError, formatAmount, parseAmount, type AmountInput } from '../money.js';
import { CURSOR_ID, pageOf, readCursor, type Page } from '../paging.js';
import { User } from '../users/user.entity.js';
import type { EventType } from '../events/event-types.js';
import { Outbox } from '../events/outbox.service.js';
import { UsersService } from '../users/users.service.js';
import { NO_OWNER, Wallet, WalletName } from './wallet.entity.js';
import {
  walletBody,
  type ChangeWalletDto,
  type ListWalletsQuery,
  type OpenWalletDto,
  type WalletBody,
} from './wallets.dto.js';

const LABEL_DEFAULT = 'main';

@Injectable()
export class WalletsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly users: UsersService,
    private readonly idempotency: IdempotencyService,
    private readonly audit: AuditService,
    private readonly outbox: Outbox,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Opens an empty wallet. It may stand below its minimum balance until the first credit.
   * @throws {Problem} `user_not_found`, `user_suspended`, `wallet_exists`, `too_many_wallets`
   */
  open(asked: OpenWalletDto, caller: Caller): Promise<Answer<WalletBody>> {
    const dto = caller.userId === undefined ? asked : ownWallet(asked, caller.userId);
    const currency = dto.currency ?? this.config.defaultCurrency;
    const minimumBalance = readAmount(
      'minimum_balance',
      dto.minimum_balance ?? this.config.defaultMinimumBalance,
      currency,
    );
    if (dto.user_id === undefined && dto.label === undefined) {
      throw Problem.field('label', 'is needed for a wallet without user_id, to tell it from the others');
    }
    const label = dto.label ?? LABEL_DEFAULT;
    const lowBalanceThreshold = thresholdOf(dto.low_balance_threshold, currency);
    // What was asked, not what a default made of it: a repeat is the same also where somebody has changed that meanwhile.
    const askedMinimum = dto.minimum_balance === undefined ? undefined : minimumBalance;
    const request: unknown[] = ['wallets.open', dto.user_id, dto.currency, label, askedMinimum, dto.metadata];
    if (lowBalanceThreshold !== null) request.push(lowBalanceThreshold); // keys of requests without one stay what they were
    return this.idempotency.record(caller, request, async (runner) => {
      if (dto.user_id !== undefined) await this.activeOwner(runner, dto.user_id);
      if (caller.userId !== undefined) await demandRoom(runner, caller.userId);
      const id = newId();
      await takeName(runner, { ownerId: dto.user_id ?? NO_OWNER, currency, label, walletId: id });
      await runner.manager.insert(Wallet, {
        id,
        userId: dto.user_id ?? null,
        kind: 'customer',
        currency,
        label,
        status: 'active',
        balance: 0n,
        held: 0n,
        minimumBalance,
        lowBalanceThreshold,
        entryCount: 0,
        metadata: dto.metadata ?? null,
      });
      return walletBody(await this.told(runner, 'wallet.opened', id));
    });
  }

  /** @throws {Problem} `wallet_not_found` */
  async read(id: string, runner?: QueryRunner): Promise<Wallet> {
    const wallet = await (runner ?? this.dataSource).manager.findOneBy(Wallet, { id });
    if (!wallet) throw new Problem('wallet_not_found', `There is no wallet ${id}.`);
    return wallet;
  }

  /** The wallet of an owner (or of the house) by its name, or nothing. */
  async findByName(userId: string | undefined, currency: string, label: string): Promise<Wallet | undefined> {
    const name = await this.dataSource.manager.findOneBy(WalletName, { ownerId: userId ?? NO_OWNER, currency, label });
    return name ? this.read(name.walletId) : undefined;
  }

  /** Wallets, newest first. A person sees their own. */
  async list(asked: ListWalletsQuery, { userId }: Principal): Promise<Page<WalletBody>> {
    if (userId !== undefined && (asked.user_id ?? userId) !== userId) return { data: [], next_cursor: null };
    const query = userId === undefined ? asked : { ...asked, user_id: userId };
    const after = readCursor('wallets', query.cursor, CURSOR_ID);
    const rows = await this.dataSource.manager.find(Wallet, {
      where: {
        ...(query.user_id === undefined ? {} : { userId: query.user_id }),
        ...(query.currency === undefined ? {} : { currency: query.currency }),
        ...(query.label === undefined ? {} : { label: query.label }),
        ...(query.status === undefined ? {} : { status: query.status }),
        ...(query.include_system ? {} : { kind: 'customer' as const }),
        ...(after ? { id: LessThan(after) } : {}),
      },
      order: { id: 'DESC' },
      take: query.limit + 1,
    });
    return pageOf('wallets', rows, query.limit, (wallet) => wallet.id, walletBody);
  }

  /**
   * Changes the given fields. A minimum balance above what is available now is refused: law 3 holds at all times.
   * Lowering it is an act of an operator, who says why.
   * @throws {Problem} `wallet_not_found`, `system_wallet`, `wallet_closed`, `wallet_exists`, `precondition_failed`,
   *   `below_minimum_balance`, `insufficient_scope`
   */
  change(id: string, dto: ChangeWalletDto, caller: Caller): Promise<Wallet> {
    return inTransaction(this.dataSource, async (runner) => {
      const wallet = await lockCustomerWallet(runner, id);
      const floor: Partial<Wallet> = dto.minimum_balance === undefined ? {} : newFloor(wallet, dto.minimum_balance);
      await this.recordLowering(runner, wallet, floor.minimumBalance ?? null, dto.reason, caller);
      await guardedUpdate(
        runner,
        Wallet,
        wallet,
        {
          ...(dto.label === undefined ? {} : { label: dto.label }),
          ...floor,
          ...(dto.low_balance_threshold === undefined
            ? {}
            : { lowBalanceThreshold: thresholdOf(dto.low_balance_threshold, wallet.currency) }),
          ...(dto.metadata === undefined ? {} : { metadata: dto.metadata }),
        },
        caller.ifMatch,
      );
      if (dto.label !== undefined && dto.label !== wallet.label) await rename(runner, wallet, dto.label);
      return this.told(runner, 'wallet.changed', id, wallet.version);
    });
  }

  /** Writes down what became of a wallet, unless it still is what it was, and returns it. */
  private async told(runner: QueryRunner, type: EventType, id: string, versionBefore?: number): Promise<Wallet> {
    const wallet = await this.read(id, runner);
    if (wallet.version === versionBefore) return wallet;
    const { version, balance: balanceMinor } = wallet;
    // As every read says it: what has expired is held no more.
    const heldMinor = wallet.held - wallet.expired;
    await this.outbox.record(runner, [
      { type, objectId: id, subjects: [{ id, version, balanceMinor, heldMinor }], body: walletBody(wallet) },
    ]);
    return wallet;
  }

  /** A repeat, which leaves the minimum balance where it is, is no act and no mistake. */
  private async recordLowering(
    runner: QueryRunner,
    { id, currency, minimumBalance: fromMinor }: Wallet,
    toMinor: bigint | null,
    reason: string | undefined,
    caller: Caller,
  ): Promise<void> {
    if (toMinor === null || toMinor > fromMinor) {
      if (reason !== undefined) throw Problem.field('reason', 'is only for lowering the minimum balance');
      return;
    }
    if (toMinor === fromMinor) return;
    demandScope(caller, 'wallets:admin', 'Lowering a minimum balance');
    if (reason === undefined) throw Problem.field('reason', 'is needed to lower the minimum balance');
    const details = { from: formatAmount(fromMinor, currency), to: formatAmount(toMinor, currency), currency };
    await this.audit.record(runner, caller, {
      ...{ action: 'wallet.floor_lowered', objectType: 'wallet', objectId: id, reason, details },
    });
  }

  private async activeOwner(runner: QueryRunner, userId: string): Promise<User> {
    const user = await this.users.read(userId, runner);
    if (user.status === 'suspended') throw new Problem('user_suspended', `User ${userId} is suspended.`);
    return user;
  }
}

/**
 * SECURITY: a person may open wallets of their own, on the house's terms: a minimum balance of their choice could be a
 * credit line, and notes are the house's.
 * @throws {Problem} `user_not_found` where it would be somebody else's
 */
function ownWallet(dto: OpenWalletDto, userId: string): OpenWalletDto {
  if ((dto.user_id ?? userId) !== userId) throw new Problem('user_not_found', `There is no user ${dto.user_id}.`);
  for (const field of ['minimum_balance', 'low_balance_threshold', 'metadata'] as const) {
    if (dto[field] !== undefined) throw Problem.field(field, 'is for servers and operators: leave it out');
  }
  return { ...dto, user_id: userId };
}

/**
 * Locks one wallet for a change that is no posting. Lock order: a single wallet row, as the posting engine locks it.
 * @throws {Problem} `wallet_not_found`, `system_wallet`, `wallet_closed`
 */
export async function lockCustomerWallet(runner: QueryRunner, id: string): Promise<Wallet> {
  await runner.manager.findOne(Wallet, { where: { id }, select: { id: true }, lock: { mode: 'pessimistic_write' } });
  // Read again under the lock: what has expired of its holds must be of the same moment as the row.
  const wallet = await runner.manager.findOneBy(Wallet, { id });
  if (!wallet) throw new Problem('wallet_not_found', `There is no wallet ${id}.`);
  if (wallet.kind !== 'customer') throw new Problem('system_wallet', `Wallet ${id} belongs to the system.`);
  if (wallet.status === 'closed') throw new Problem('wallet_closed', `Wallet ${id} is closed.`);
  return wallet;
}

function thresholdOf(input: AmountInput | null | undefined, currency: string): bigint | null {
  return input === undefined || input === null ? null : readAmount('low_balance_threshold', input, currency);
}

/** Reads an amount field of a known currency. @throws {Problem} naming the field. */
export function readAmount(field: string, input: AmountInput, currency: string): bigint {
  try {
    return parseAmount(input, currency, { signed: true });
  } catch (error) {
    if (error instanceof AmountError) throw Problem.field(field, error.message);
    throw error;
  }
}

/**
 * A new minimum balance. Where expired holds cover it that are not released yet, a shortfall stands in for them until
 * the next posting releases them.
 */
function newFloor(wallet: Wallet, input: AmountInput): Pick<Wallet, 'minimumBalance' | 'shortfall'> {
  const minimumBalance = readAmount('minimum_balance', input, wallet.currency);
  const storedAvailable = wallet.balance - wallet.held;
  const available = storedAvailable + wallet.expired;
  // Without entries and holds it may still be filled. A hold on a credit line will be entries.
  const isInUse = wallet.entryCount > 0 || wallet.held > wallet.expired;
  // With a shortfall it may be lowered part of the way: less is missing then.
  const isLess = wallet.shortfall > 0n && minimumBalance <= wallet.minimumBalance;
  if (isInUse && available < minimumBalance && !isLess) {
    const money = (minor: bigint) => `${formatAmount(minor, wallet.currency)} ${wallet.currency}`;
    throw new Problem(
      'below_minimum_balance',
      `Only ${money(available)} is available, less than ${money(minimumBalance)}.`,
    );
  }
  const missing = minimumBalance - storedAvailable;
  return { minimumBalance, shortfall: wallet.entryCount > 0 && missing > 0n ? missing : 0n };
}

async function rename(runner: QueryRunner, wallet: Wallet, label: string): Promise<void> {
  const { id: walletId, currency } = wallet;
  const ownerId = wallet.userId ?? NO_OWNER;
  await takeName(runner, { ownerId, currency, label, walletId });
  await runner.manager.delete(WalletName, { ownerId, currency, label: wallet.label });
}

/**
 * @throws {Problem} `wallet_exists` where the owner has a wallet of this currency and label
 * @throws {WriteConflict} where others take the name and leave it again, each time
 */
async function takeName(runner: QueryRunner, name: WalletName): Promise<void> {
  const { walletId, ...key } = name;
  for (let attempt = 1; attempt <= NAME_ATTEMPTS_MAX; attempt++) {
    await runner.manager.createQueryBuilder().insert().into(WalletName).values(name).orIgnore().execute();
    const taken = await runner.manager.findOneBy(WalletName, key);
    if (!taken) continue; // whoever had it when we asked for it was renamed meanwhile
    if (taken.walletId === walletId) return;
    const { id, status } = await runner.manager.findOneByOrFail(Wallet, { id: taken.walletId });
    const which = status === 'closed' ? `: ${id}, which is closed, and keeps its name` : ` already: ${id}`;
    throw new Problem('wallet_exists', `There is a wallet "${name.label}" in ${name.currency}${which}.`);
  }
  throw new WriteConflict('the name comes and goes');
}
const NAME_ATTEMPTS_MAX = 5;

/** Whoever signed in could otherwise fill the database, a wallet a request. @throws {Problem} `too_many_wallets` */
async function demandRoom(runner: QueryRunner, userId: string): Promise<void> {
  await runner.query('SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE', [userId]); // one after another
  const count = await runner.manager.countBy(Wallet, { userId });
  if (count >= WALLETS_OF_PERSON_MAX) throw new Problem('too_many_wallets', `There are ${count} wallets already.`);
}
const WALLETS_OF_PERSON_MAX = 100;
