/**
 * Turns requests for money into postings, hands them to the engine, and puts outcomes into answers. With currency and
 * external wallet in memory, credit and debit wait equally long before they queue: calls made in one turn of the event
 * loop are queued in their order, which `asper import` relies on.
 */
import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import type { Caller } from '../caller.js';
import { Problem, problemBody, type ErrorCode } from '../errors.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import type { FoundOutcome } from '../idempotency/idempotency.store.js';
import { ExternalWallets } from '../wallets/external-wallets.js';
import { WalletCurrencies } from '../wallets/wallet-currencies.js';
import { readAmount } from '../wallets/wallets.service.js';
import { PostingEngine, type EngineOutcome } from './posting.engine.js';
import type { Leg, Posting } from './posting.rules.js';
import type { Metadata } from '../users/user.entity.js';
import type { TransactionType } from './transaction.entity.js';
import {
  transactionBody,
  type CreditDto,
  type DebitDto,
  type IdempotencyKeyBody,
  type PostingDto,
  type TransactionBody,
  type TransferDto,
} from './transactions.dto.js';
import { TransactionsQueries } from './transactions.queries.js';

@Injectable()
export class TransactionsService {
  constructor(
    private readonly engine: PostingEngine,
    private readonly queries: TransactionsQueries,
    private readonly idempotency: IdempotencyService,
    private readonly currencies: WalletCurrencies,
    private readonly externals: ExternalWallets,
  ) {}

  /** Money from outside into a wallet. */
  async credit(walletId: string, dto: CreditDto, caller: Caller): Promise<Answer<TransactionBody>> {
    const currency = await this.currencies.of(walletId);
    return this.post('credit', currency, await this.externals.idFor(currency), walletId, dto, caller, walletId);
  }

  /** Money out of a wallet to outside. */
  async debit(walletId: string, dto: DebitDto, caller: Caller): Promise<Answer<TransactionBody>> {
    const currency = await this.currencies.of(walletId);
    return this.post('debit', currency, walletId, await this.externals.idFor(currency), dto, caller, walletId);
  }

  /** Money between two wallets of one currency. `If-Match` is held against the wallet that pays. */
  async transfer(dto: TransferDto, caller: Caller): Promise<Answer<TransactionBody>> {
    const { from_wallet_id: from, to_wallet_id: to } = dto;
    if (from === to) throw Problem.field('to_wallet_id', 'must be another wallet than from_wallet_id');
    const currency = await this.currencies.of(from);
    const toCurrency = await this.currencies.of(to);
    if (toCurrency !== currency) {
      throw new Problem('currency_mismatch', `The paying wallet holds ${currency}, the other one ${toCurrency}.`);
    }
    return this.post('transfer', currency, from, to, dto, caller, from);
  }

  /** @throws {Problem} `transaction_not_found` */
  async read(id: string): Promise<TransactionBody> {
    const transaction = await this.queries.find(id);
    if (!transaction) throw new Problem('transaction_not_found', `There is no transaction ${id}.`);
    return transactionBody(transaction);
  }

  /** What a key of the caller led to. @throws {Problem} `idempotency_key_not_found` */
  async outcomeOfKey(key: string, caller: Caller): Promise<IdempotencyKeyBody> {
    const found = await this.idempotency.find(caller, key);
    if (!found) throw new Problem('idempotency_key_not_found', 'Nothing was executed under this key.');
    const created_at = found.createdAt.toISOString();
    if (found.kind === 'executed')
      return { key, status_code: 201, body: await this.read(found.transactionId), created_at };
    const { statusCode: status_code, body } = found;
    if (status_code < 400) return { key, status_code, body, created_at };
    const { code, detail } = body as { code: ErrorCode; detail: string };
    return { key, status_code, body: problemBody(code, detail), created_at };
  }

  private post(
    type: TransactionType,
    currency: string,
    from: string,
    to: string,
    dto: PostingDto & Partial<DebitDto>,
    caller: Caller,
    guarded: string,
  ): Promise<Answer<TransactionBody>> {
    const amountMinor = readAmount('amount', dto.amount, currency);
    const minimumBalanceMinor =
      dto.minimum_balance === undefined ? undefined : readAmount('minimum_balance', dto.minimum_balance, currency);
    const effectiveAt = dto.effective_at === undefined ? undefined : new Date(dto.effective_at);
    const { description, reference } = dto;
    const metadata = dto.metadata && inStoredOrder(dto.metadata);
    // The wallet outside depends on the process that answers; it is no part of what the caller asked for.
    const wallets = type === 'credit' ? [to] : type === 'debit' ? [from] : [from, to];
    const request = [type, wallets, amountMinor, minimumBalanceMinor, description, reference, metadata, effectiveAt];
    return this.idempotency.once(caller, request, async (fingerprint) => {
      const posting: Posting = {
        transactionId: uuidv7(),
        type,
        currency,
        amountMinor,
        legs: legs(from, to, amountMinor),
        scope: caller.scope,
        key: caller.idempotencyKey,
        fingerprint,
        description,
        reference,
        metadata,
        effectiveAt,
        minimumBalanceMinor,
        ifMatch: caller.ifMatch === undefined ? undefined : { walletId: guarded, version: caller.ifMatch },
      };
      return this.answerOf(posting, await this.engine.post(posting));
    });
  }

  private async answerOf(posting: Posting, outcome: EngineOutcome): Promise<Answer<TransactionBody>> {
    if (outcome.kind === 'posted') {
      return { status: 201, body: transactionBody(outcome.transaction), replayed: false };
    }
    if (outcome.kind === 'refused') throw new Problem(outcome.code, outcome.detail);
    const found: FoundOutcome = this.idempotency.replay(outcome, posting.fingerprint);
    if (found.kind !== 'executed') throw new Error('a key of another call has the fingerprint of a posting');
    const replayed = found.transactionId !== posting.transactionId;
    return { status: 201, body: await this.read(found.transactionId), replayed };
  }
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
