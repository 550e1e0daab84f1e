/**
 * Posts the movements of a file in waves: up to one engine's group of movements in file order, all under way
 * together, and the next wave only when every one of them has its outcome.
 *
 * The order of an account's rows decides which debits are covered, and a refusal is kept under its key for good. So
 * the order must survive a lost database too. A wave is queued in one turn of the event loop and fits one group, and a
 * group is one database transaction: when it fails, nothing of the wave was posted and nothing after it was queued, and
 * the same wave is sent again in the same order with the same keys. Several waves under way would let a later row of
 * an account commit while an earlier one is being repeated. The next wave is read and its wallets are opened meanwhile.
 */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { OPERATOR, type Caller } from '../caller.js';
import { isDatabaseFault } from '../database/sqlstate.js';
import { ERRORS, Problem, type ErrorCode } from '../errors.js';
import type { TransactionsService } from '../transactions/transactions.service.js';
import type { ExternalWallets } from '../wallets/external-wallets.js';
import type { WalletCurrencies } from '../wallets/wallet-currencies.js';
import type { Movement } from './movement.js';

/** What became of a movement, now or in an earlier run. */
export type MovementOutcome =
  { kind: 'posted'; replayed: boolean; balanceAfterMinor: bigint } | { kind: 'refused'; reason: string };

/** The database has not answered for too long. What is in is in; the rest waits for another run. */
export class ImportStopped extends Error {}

/** Longer than the restart of a database server or a failover takes. */
const RETRY_SECONDS_MAX = 120;
const RETRY_DELAY_MAX_MS = 2_000;

export interface WavePosterOptions {
  currency: string;
  source: string;
  /** Whether the person asked to stop: no further attempt is made then. */
  isStopping: () => boolean;
  /** Takes a line when the database has to be waited for. */
  log: (line: string) => void;
}

/** What helps in a file, where the problem's own words are for whoever calls the API. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  idempotency_key_reused:
    'a line with this transaction_id was imported before, with other contents. If it was cut off then, reverse what it posted and ' +
    'give this one a transaction_id of its own.',
};

export class WavePoster {
  constructor(
    private readonly transactions: TransactionsService,
    private readonly currencies: WalletCurrencies,
    private readonly externals: ExternalWallets,
    private readonly options: WavePosterOptions,
  ) {}

  /**
   * Posts a wave and calls `settle` for each movement, in file order within an attempt.
   * @param walletIds by account id.
   * @throws {ImportStopped} when the database stays away.
   */
  async post(
    wave: readonly Movement[],
    walletIds: ReadonlyMap<string, string>,
    settle: (movement: Movement, outcome: MovementOutcome) => void,
  ): Promise<void> {
    let left = [...wave];
    await this.insist(async () => {
      await this.warm(left.map(({ accountId }) => walletIds.get(accountId)!));
      const outcomes = await Promise.all(
        left.map((movement) => this.postOne(movement, walletIds.get(movement.accountId)!)),
      );
      const unsettled: Movement[] = [];
      let failure: unknown;
      outcomes.forEach((outcome, i) => {
        if ('failure' in outcome) {
          failure = outcome.failure;
          unsettled.push(left[i]!);
        } else settle(left[i]!, outcome);
      });
      left = unsettled;
      if (left.length > 0) throw failure;
    });
  }

  /**
   * Repeats work that fails for want of a database, with growing pauses.
   * @throws {ImportStopped} when that takes too long or the person has asked to stop; anything else as it comes.
   */
  async insist(work: () => Promise<void>): Promise<void> {
    const givingUpAt = Date.now() + RETRY_SECONDS_MAX * 1_000;
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (!isRetryable(error)) throw error;
        const reason = error instanceof Problem ? error.detail : (error as Error).message;
        if (this.options.isStopping() || Date.now() >= givingUpAt) {
          throw new ImportStopped(`The database could not be used: ${reason}`);
        }
        if (attempt === 3) this.options.log(`Waiting for the database (${reason}) …`);
        await delay(Math.min(RETRY_DELAY_MAX_MS, 50 * 2 ** attempt));
      }
    }
  }

  /**
   * TransactionsService reads a wallet's currency and the external wallet's id before it queues. With both in memory
   * each takes the same two microtasks, so movements are queued in the order in which they are called.
   */
  private async warm(walletIds: string[]): Promise<void> {
    await Promise.all(walletIds.map(async (id) => void (await this.currencies.of(id))));
    await this.externals.idFor(this.options.currency);
    // From a fresh turn, so that nothing runs between the first call and the last that is queued.
    await nextTurn();
  }

  private async postOne(movement: Movement, walletId: string): Promise<MovementOutcome | { failure: unknown }> {
    const { amount, operation, effectiveAt, transactionId, type } = movement;
    const dto = { amount, description: operation, reference: transactionId, effective_at: effectiveAt };
    const caller: Caller = { ...OPERATOR, scope: `import:${this.options.source}`, idempotencyKey: transactionId };
    try {
      const { body, replayed } = await this.transactions[type](walletId, dto, caller);
      // Written by formatAmount with exactly the currency's decimals; parseAmount stops at the largest single amount.
      const { balance_after } = body.entries.find(({ wallet_id }) => wallet_id === walletId)!;
      return { kind: 'posted', replayed, balanceAfterMinor: BigInt(balance_after!.replace('.', '')) };
    } catch (error) {
      if (error instanceof Problem && error.status < 500) {
        return { kind: 'refused', reason: `${error.code}: ${ADVICE[error.code] ?? error.detail}` };
      }
      return { failure: error };
    }
  }
}

function isRetryable(error: unknown): boolean {
  return error instanceof Problem ? ERRORS[error.code].retryable : isDatabaseFault(error);
}
