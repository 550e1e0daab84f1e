/**
 * Turns requests for money into postings. With currency and external wallet in memory, credit and debit wait equally
 * long before they queue: calls made in one turn of the event loop are queued in their order, which `asper import`
 * relies on.
 */
import { Injectable } from '@nestjs/common';
import { Ownership } from '../auth/ownership.js';
import { originOf, type Caller, type Principal } from '../caller.js';
import { Problem } from '../errors.js';
import type { Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { formatAmount } from '../money.js';
import type { Page, PageQuery } from '../paging.js';
import { ExternalWallets } from '../wallets/external-wallets.js';
import { WalletCurrencies } from '../wallets/wallet-currencies.js';
import { readAmount } from '../wallets/wallets.service.js';
import type { Metadata } from '../users/user.entity.js';
import type { Leg, Movement, Posting, ReadTransaction } from './ledger.js';
import { movedBy, PersonView } from './person-view.js';
import { PostingService } from './posting.service.js';
import type { ReversalsBody } from './reversals.dto.js';
import {
  transactionBody,
  type CreditDto,
  type DebitDto,
  type JournalDto,
  type ListTransactionsQuery,
  type MovementDto,
  type NotesDto,
  type ReversalDto,
  type TransactionBody,
  type TransferDto,
} from './transactions.dto.js';
import { TransactionsQueries } from './transactions.queries.js';

/** A movement that a request asks for, and what of it makes the request the same: not its id, which is new each time. */
export interface Draft {
  movement: Movement;
  request: readonly unknown[];
}

@Injectable()
export class TransactionsService {
  constructor(
    private readonly postings: PostingService,
    private readonly queries: TransactionsQueries,
    private readonly currencies: WalletCurrencies,
    private readonly externals: ExternalWallets,
    private readonly ownership: Ownership,
    private readonly view: PersonView,
  ) {}

  /** Money from outside into a wallet. */
  async credit(walletId: string, dto: CreditDto, caller: Caller, isDryRun = false): Promise<Answer<TransactionBody>> {
    return this.post(await this.draftCredit(walletId, dto, caller), caller, walletId, isDryRun);
  }

  /**
   * Money out of a wallet to outside.
   * @param reason why its minimum balance may go down, where the call itself is the reason.
   */
  async debit(
    walletId: string,
    dto: DebitDto,
    caller: Caller,
    isDryRun = false,
    reason?: string,
  ): Promise<Answer<TransactionBody>> {
    return this.post(await this.draftDebit(walletId, dto, caller, reason), caller, walletId, isDryRun);
  }

  /** Money between two wallets of one currency; a person's comes from their own. `If-Match` is held against the wallet that pays. */
  async transfer(dto: TransferDto, caller: Caller, isDryRun = false): Promise<Answer<TransactionBody>> {
    if (caller.userId !== undefined) await this.ownership.checkWallet(dto.from_wallet_id, caller.userId);
    return this.post(await this.draftTransfer(dto, caller), caller, dto.from_wallet_id, isDryRun);
  }

  /** Any number of legs that add up to zero. `If-Match` is held against the wallet of the first. */
  async journal(dto: JournalDto, caller: Caller, isDryRun = false): Promise<Answer<TransactionBody>> {
    return this.post(await this.draftJournal(dto, caller), caller, dto.entries[0]!.wallet_id, isDryRun);
  }

  async draftCredit(walletId: string, dto: CreditDto, caller: Caller): Promise<Draft> {
    const currency = await this.currencies.of(walletId);
    const amountMinor = readAmount('amount', dto.amount, currency);
    // The wallet outside depends on the process that answers; it is no part of what the caller asked for.
    const outside = await this.externals.idFor(currency);
    return draft('credit', currency, amountMinor, legs(outside, walletId, amountMinor), dto, caller, [walletId]);
  }

  async draftDebit(walletId: string, dto: DebitDto, caller: Caller, reason = dto.reason): Promise<Draft> {
    if (dto.reason !== undefined && dto.minimum_balance === undefined) {
      throw Problem.field('reason', 'is only for lowering the minimum balance');
    }
    const currency = await this.currencies.of(walletId);
    const amountMinor = readAmount('amount', dto.amount, currency);
    const minimumBalanceMinor =
      dto.minimum_balance === undefined ? undefined : readAmount('minimum_balance', dto.minimum_balance, currency);
    const outside = await this.externals.idFor(currency);
    const own = [walletId, minimumBalanceMinor];
    if (dto.reason !== undefined) own.push(dto.reason); // only then: keys of requests without one stay what they were
    const made = draft('debit', currency, amountMinor, legs(walletId, outside, amountMinor), dto, caller, own);
    if (minimumBalanceMinor === undefined) return made;
    made.movement.minimumBalanceMinor = minimumBalanceMinor;
    if (reason !== undefined && caller.scopes.has('wallets:admin')) {
      made.movement.loweringReason = reason;
      made.movement.origin = originOf(caller);
    }
    return made;
  }

  async draftTransfer(dto: TransferDto, caller: Caller): Promise<Draft> {
    const { from_wallet_id: from, to_wallet_id: to } = dto;
    if (from === to) throw Problem.field('to_wallet_id', 'must be another wallet than from_wallet_id');
    const currency = await this.currencies.of(from);
    const toCurrency = await this.currencies.of(to);
    if (toCurrency !== currency) {
      throw new Problem('currency_mismatch', `The paying wallet holds ${currency}, the other one ${toCurrency}.`);
    }
    const amountMinor = readAmount('amount', dto.amount, currency);
    return draft('transfer', currency, amountMinor, legs(from, to, amountMinor), dto, caller, [from, to]);
  }

  async draftJournal(dto: JournalDto, caller: Caller): Promise<Draft> {
    const sums = new Map<string, bigint>();
    const legs: Leg[] = [];
    let creditMinor = 0n;
    for (const [i, entry] of dto.entries.entries()) {
      const currency = await this.currencies.of(entry.wallet_id);
      const amountMinor = readAmount(`entries.${i}.amount`, entry.amount, currency);
      if (amountMinor === 0n) throw Problem.field(`entries.${i}.amount`, 'must not be zero');
      legs.push({ walletId: entry.wallet_id, amountMinor });
      sums.set(currency, (sums.get(currency) ?? 0n) + amountMinor);
      if (amountMinor > 0n) creditMinor += amountMinor;
    }
    const uneven = [...sums].filter(([, sum]) => sum !== 0n);
    if (uneven.length > 0) {
      const found = uneven.map(([currency, sum]) => `${formatAmount(sum, currency)} ${currency}`).join(', ');
      throw Problem.field('entries', `must add up to zero in each currency, not to ${found}`);
    }
    const isOne = sums.size === 1;
    const parts = legs.map(({ walletId, amountMinor }) => [walletId, amountMinor]);
    return draft('journal', isOne ? [...sums.keys()][0]! : null, isOne ? creditMinor : null, legs, dto, caller, parts);
  }

  /** Undoes a transaction, whole or in part. */
  async reverse(id: string, dto: ReversalDto, caller: Caller, isDryRun = false): Promise<Answer<TransactionBody>> {
    const original = await this.find(id);
    const part = partOf(original, dto);
    const notes = notesOf(dto);
    const { reason, on_shortfall: onShortfall } = dto;
    const effectiveAt = instantOf(dto.effective_at);
    const request = [
      'reversal',
      id,
      part?.amountMinor,
      part?.currency,
      reason,
      onShortfall,
      ...Object.values(notes),
      effectiveAt,
    ];
    const build = (): Posting => ({
      ...{ kind: 'reversal', id: newId(), actor: caller.scope, original, part, reason, effectiveAt, ...notes },
      origin: originOf(caller),
      allowNegative: onShortfall === 'allow_negative',
    });
    return this.postings.transaction(caller, request, build, isDryRun);
  }

  /** What has been given back of a transaction, and what can still be. */
  async reversals(id: string, query: PageQuery, caller: Principal): Promise<ReversalsBody> {
    const original = await this.read(id, caller);
    const page = await this.queries.reversalsOf(id, query);
    const whole = movedBy(original.entries);
    const given = await this.queries.reversedOf(id, caller.userId);
    const list = (amountOf: (currency: string) => bigint) =>
      [...whole.keys()].map((currency) => ({ currency, amount: formatAmount(amountOf(currency), currency) }));
    const reversed = (currency: string) => given.get(currency) ?? 0n;
    const isReversible = original.type !== 'reversal';
    return {
      reversed: list(reversed),
      reversible: list((currency) => (isReversible ? whole.get(currency)! - reversed(currency) : 0n)),
      ...page,
      data: await this.view.of(page.data, caller),
    };
  }

  /** @throws {Problem} `transaction_not_found` */
  async read(id: string, caller: Principal): Promise<TransactionBody> {
    return (await this.view.of([transactionBody(await this.find(id))], caller))[0]!;
  }

  /** Transactions, newest first. A person sees those of a wallet of their own. */
  async list(query: ListTransactionsQuery, caller: Principal): Promise<Page<TransactionBody>> {
    if (caller.userId !== undefined) {
      if (query.wallet_id === undefined) throw Problem.field('wallet_id', 'is needed: name a wallet of your own');
      if (!(await this.ownership.isOwn(query.wallet_id, caller.userId))) return { data: [], next_cursor: null };
    }
    const page = await this.queries.list(query, caller.userId !== undefined);
    return { ...page, data: await this.view.of(page.data, caller) };
  }

  private async find(id: string): Promise<ReadTransaction> {
    const transaction = await this.queries.find(id);
    if (!transaction) throw new Problem('transaction_not_found', `There is no transaction ${id}.`);
    return transaction;
  }

  private post({ movement, request }: Draft, caller: Caller, guarded: string, isDryRun: boolean) {
    if (caller.userId !== undefined && movement.effectiveAt) {
      throw Problem.field('effective_at', 'is for servers and operators: leave it out');
    }
    if (caller.ifMatch !== undefined) movement.ifMatch = { walletId: guarded, version: caller.ifMatch };
    return this.postings.transaction(caller, request, () => movement, isDryRun);
  }
}

function draft(
  type: Movement['type'],
  currency: string | null,
  amountMinor: bigint | null,
  legs: Leg[],
  dto: MovementDto,
  caller: Caller,
  own: readonly unknown[],
): Draft {
  const { description, reference, metadata } = notesOf(dto);
  const effectiveAt = instantOf(dto.effective_at);
  return {
    movement: {
      kind: 'movement',
      id: newId(),
      actor: caller.scope,
      type,
      currency,
      amountMinor,
      legs,
      effectiveAt,
      description,
      reference,
      metadata,
    },
    request: [type, own, amountMinor, description, reference, metadata, effectiveAt],
  };
}

/** What a request says about itself, always in this order. */
export function notesOf({ description, reference, metadata }: NotesDto) {
  return { description, reference, metadata: metadata && inStoredOrder(metadata) };
}

export function instantOf(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : new Date(text);
}

function partOf(original: ReadTransaction, dto: ReversalDto): { amountMinor: bigint; currency: string } | undefined {
  if (dto.amount === undefined) {
    if (dto.currency === undefined) return undefined;
    throw Problem.field('currency', 'is the currency of amount: send both for a part, or neither for all of it');
  }
  const currencies = new Set(original.entries.map(({ currency }) => currency));
  const currency = dto.currency ?? original.currency;
  if (currency === null)
    throw Problem.field('currency', `is needed: the transaction has ${[...currencies].join(', ')}`);
  if (!currencies.has(currency)) throw Problem.field('currency', `must be one of ${[...currencies].join(', ')}`);
  return { amountMinor: readAmount('amount', dto.amount, currency), currency };
}

function legs(from: string, to: string, amountMinor: bigint): Leg[] {
  return [
    { walletId: from, amountMinor: -amountMinor },
    { walletId: to, amountMinor },
  ];
}

/** Names in the order in which `jsonb` keeps them (length, then bytes), so that a replay repeats the first body. */
function inStoredOrder(metadata: Metadata): Metadata {
  const pairs = Object.entries(metadata).map(([name, value]) => ({ name, value, bytes: Buffer.from(name) }));
  pairs.sort((a, b) => a.bytes.length - b.bytes.length || a.bytes.compare(b.bytes));
  return Object.fromEntries(pairs.map(({ name, value }) => [name, value]));
}
