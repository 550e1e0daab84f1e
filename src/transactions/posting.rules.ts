/**
 * What may be posted: pure code, without I/O, clock or framework. `decide` looks at the wallets of a group and
 * at its postings in arrival order, and says for each what becomes of it. A refusal is decided here, before
 * anything is written, so it never disturbs its neighbours in the group.
 */
import assert from 'node:assert';
import { ERRORS, type ErrorCode } from '../errors.js';
import { BALANCE_MINOR_MAX, formatAmount } from '../money.js';
import type { Metadata } from '../users/user.entity.js';
import type { WalletKind, WalletStatus } from '../wallets/wallet.entity.js';
import type { TransactionType } from './transaction.entity.js';

/** One side of a posting: what a wallet gains (positive) or loses, in minor units. */
export interface Leg {
  walletId: string;
  amountMinor: bigint;
}

/** A movement of money that somebody asks for. Complete before it is queued: the engine adds nothing but time. */
export interface Posting {
  /** Chosen before the first attempt, so that every further attempt is the same transaction. */
  transactionId: string;
  type: TransactionType;
  currency: string;
  amountMinor: bigint;
  /** They add up to zero. All wallets hold `currency`. */
  legs: readonly Leg[];
  /** The caller that `key` belongs to; also the transaction's actor. */
  scope: string;
  key?: string;
  fingerprint?: Buffer;
  description?: string;
  reference?: string;
  metadata?: Metadata;
  effectiveAt?: Date;
  /** Floor asked for by a debit: higher than the wallet's it is a stricter check, lower it moves the wallet's. */
  minimumBalanceMinor?: bigint;
  /** The wallet and the version that the caller saw (`If-Match`). */
  ifMatch?: { walletId: string; version: number };
}

/** A wallet as a group sees it: read under lock, then moved forward posting by posting. */
export interface WalletState {
  readonly id: string;
  readonly kind: WalletKind;
  readonly status: WalletStatus;
  readonly versionRead: number;
  balanceMinor: bigint;
  heldMinor: bigint;
  minimumBalanceMinor: bigint;
  entryCount: number;
  version: number;
}

export interface PostedEntry {
  walletId: string;
  seq: number;
  amountMinor: bigint;
  balanceAfterMinor: bigint;
}

/** A transaction with its entries, as it is written and as it is answered. */
export interface PostedTransaction {
  id: string;
  type: TransactionType;
  currency: string;
  amountMinor: bigint;
  description: string | null;
  reference: string | null;
  metadata: Metadata | null;
  actor: string;
  reversesId: string | null;
  effectiveAt: Date;
  createdAt: Date;
  entries: PostedEntry[];
}

export type Refusal = { kind: 'refused'; code: ErrorCode; detail: string };
export type Outcome = { kind: 'posted'; transaction: PostedTransaction } | Refusal;

/**
 * Decides each posting, in order; each sees what those before it left behind.
 * @param wallets every wallet that a leg names; moved forward in place by the postings that pass.
 * @param now the posting time of all of them.
 * @returns one outcome for each posting, in the same order.
 */
export function decide(wallets: Map<string, WalletState>, postings: readonly Posting[], now: Date): Outcome[] {
  return postings.map((posting) => {
    assert(posting.legs.reduce((sum, leg) => sum + leg.amountMinor, 0n) === 0n, 'legs add up to zero');
    return refusal(wallets, posting) ?? { kind: 'posted', transaction: apply(wallets, posting, now) };
  });
}

/** The first reason against a posting, in the order of the error table; nothing where it may pass. */
function refusal(wallets: Map<string, WalletState>, posting: Posting): Refusal | undefined {
  const { ifMatch } = posting;
  if (ifMatch && state(wallets, ifMatch.walletId).version !== ifMatch.version) {
    const { version } = state(wallets, ifMatch.walletId);
    return refuse('precondition_failed', `The wallet is at version ${version}, not ${ifMatch.version}.`);
  }
  let first: Refusal | undefined;
  for (const leg of posting.legs) {
    const reason = legRefusal(state(wallets, leg.walletId), leg.amountMinor, posting);
    if (reason && (!first || PRECEDENCE.indexOf(reason.code) < PRECEDENCE.indexOf(first.code))) first = reason;
  }
  return first;
}

/** The order of the error table; it matters only where both wallets have a reason. */
const PRECEDENCE = Object.keys(ERRORS);

function legRefusal(wallet: WalletState, amountMinor: bigint, posting: Posting): Refusal | undefined {
  const balanceMinor = wallet.balanceMinor + amountMinor;
  const isCountable = balanceMinor <= BALANCE_MINOR_MAX && balanceMinor >= -BALANCE_MINOR_MAX;
  const uncountable = isCountable
    ? undefined
    : refuse('balance_out_of_range', `The balance of wallet ${wallet.id} would leave the countable range.`);
  if (wallet.kind === 'external') return uncountable;
  if (wallet.status === 'closed') return refuse('wallet_closed', `Wallet ${wallet.id} is closed.`);
  if (wallet.status === 'frozen' && amountMinor < 0n) {
    return refuse('wallet_frozen', `Wallet ${wallet.id} is frozen; nothing may leave it.`);
  }

  const money = (minor: bigint) => `${formatAmount(minor, posting.currency)} ${posting.currency}`;
  const availableMinor = balanceMinor - wallet.heldMinor;
  const floorMinor = amountMinor < 0n ? debitFloor(wallet, posting) : wallet.minimumBalanceMinor;
  if (availableMinor >= floorMinor) return uncountable;
  if (amountMinor > 0n) {
    return refuse(
      'minimum_balance_unmet',
      `The first credit must lift the wallet to its minimum balance of ${money(floorMinor)}.`,
    );
  }
  const beforeMinor = wallet.balanceMinor - wallet.heldMinor;
  return availableMinor < 0n
    ? refuse('insufficient_funds', `${money(beforeMinor)} is available, ${money(-amountMinor)} was asked for.`)
    : refuse(
        'below_minimum_balance',
        `${money(availableMinor)} would be left, less than the minimum balance of ${money(floorMinor)}.`,
      );
}

function debitFloor(wallet: WalletState, posting: Posting): bigint {
  return posting.minimumBalanceMinor ?? wallet.minimumBalanceMinor;
}

function apply(wallets: Map<string, WalletState>, posting: Posting, now: Date): PostedTransaction {
  const entries = posting.legs.map(({ walletId, amountMinor }) => {
    const wallet = state(wallets, walletId);
    wallet.balanceMinor += amountMinor;
    wallet.entryCount += 1;
    wallet.version += 1;
    // Law 3 binds the stored floor, so a balance allowed under it takes the floor down with it; a stricter one
    // is a check of this debit alone.
    if (amountMinor < 0n && wallet.kind === 'customer' && debitFloor(wallet, posting) < wallet.minimumBalanceMinor) {
      wallet.minimumBalanceMinor = debitFloor(wallet, posting);
    }
    return { walletId, seq: wallet.entryCount, amountMinor, balanceAfterMinor: wallet.balanceMinor };
  });
  return {
    id: posting.transactionId,
    type: posting.type,
    currency: posting.currency,
    amountMinor: posting.amountMinor,
    description: posting.description ?? null,
    reference: posting.reference ?? null,
    metadata: posting.metadata ?? null,
    actor: posting.scope,
    reversesId: null,
    effectiveAt: posting.effectiveAt ?? now,
    createdAt: now,
    entries,
  };
}

function state(wallets: Map<string, WalletState>, id: string): WalletState {
  const wallet = wallets.get(id);
  assert(wallet, `wallet ${id} was read with its group`);
  return wallet;
}

function refuse(code: ErrorCode, detail: string): Refusal {
  return { kind: 'refused', code, detail };
}
