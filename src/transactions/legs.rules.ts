/** Which movements of money may pass, and what they do to wallets. Pure. */
import assert from 'node:assert';
import { ERRORS } from '../errors.js';
import { BALANCE_MINOR_MAX, formatAmount } from '../money.js';
import { entryHash, transactionDigest, type Hash } from './entry.hash.js';
import {
  nextVersion,
  refuse,
  type Ledger,
  type Leg,
  type PostedEntry,
  type PostedTransaction,
  type Refusal,
  type WalletState,
} from './ledger.js';
import { limitRefusal, useLimits } from './limit.rules.js';

/** What sets one movement apart from another in the eyes of the rules. */
export interface Terms {
  /** A debit's own floor: see `Movement.minimumBalanceMinor`. */
  floorMinor?: bigint;
  /** What the movement releases of the paying wallet's holds. */
  release?: { walletId: string; amountMinor: bigint };
  /** Wallets may go under their floor; they then stand in shortfall. */
  allowNegative?: boolean;
  /** Closing a wallet empties it, whatever its minimum. */
  isSweep?: boolean;
  /** Debits count against the limits of their wallets. */
  counts: boolean;
}

/** What all legs together do to one wallet. */
interface Change {
  walletId: string;
  netMinor: bigint;
  /** What its negative legs take, as a positive number. */
  debitMinor: bigint;
}

/** The order of the error table; it matters where several wallets have a reason. */
const PRECEDENCE = Object.keys(ERRORS);

/** The first reason against a movement, in the order of the error table; nothing where it may pass. */
export function legsRefusal(ledger: Ledger, legs: readonly Leg[], terms: Terms): Refusal | undefined {
  let first: Refusal | undefined;
  let firstId = '';
  const changes = changesOf(legs);
  for (const change of changes) {
    const reason = changeRefusal(ledger, change, terms);
    if (!reason || (first && PRECEDENCE.indexOf(reason.code) >= PRECEDENCE.indexOf(first.code))) continue;
    first = reason;
    firstId = change.walletId;
  }
  if (!first || first.detail.toLowerCase().includes(`wallet ${firstId}`)) return first;
  // Where only one can be meant, the caller knows which.
  const customers = changes.filter(({ walletId }) => ledger.wallet(walletId).kind === 'customer');
  return customers.length === 1 ? first : { ...first, detail: `Wallet ${firstId}: ${first.detail}` };
}

function changesOf(legs: readonly Leg[]): Change[] {
  const [first, second] = legs;
  // Nearly all are a pair: without the map a debit is decided in half the time.
  if (legs.length === 2 && first!.walletId !== second!.walletId) return [changeOf(first!), changeOf(second!)];
  const changes = new Map<string, Change>();
  for (const leg of legs) {
    const { netMinor, debitMinor } = changeOf(leg);
    const change = changes.get(leg.walletId);
    if (!change) changes.set(leg.walletId, { walletId: leg.walletId, netMinor, debitMinor });
    else {
      change.netMinor += netMinor;
      change.debitMinor += debitMinor;
    }
  }
  return [...changes.values()];
}

function changeOf({ walletId, amountMinor }: Leg): Change {
  return { walletId, netMinor: amountMinor, debitMinor: amountMinor < 0n ? -amountMinor : 0n };
}

function changeRefusal(ledger: Ledger, change: Change, terms: Terms): Refusal | undefined {
  const wallet = ledger.wallet(change.walletId);
  const balanceMinor = wallet.balanceMinor + change.netMinor;
  const creditedMinor = wallet.creditedMinor + change.netMinor + change.debitMinor;
  const isCountable =
    balanceMinor <= BALANCE_MINOR_MAX && balanceMinor >= -BALANCE_MINOR_MAX && creditedMinor <= BALANCE_MINOR_MAX;
  const uncountable = isCountable ? undefined : refuse('balance_out_of_range', uncountableDetail(wallet));
  if (wallet.kind === 'external') return uncountable;
  return (
    statusRefusal(wallet, change.debitMinor > 0n) ??
    (terms.counts && wallet.limited && change.debitMinor > 0n
      ? limitRefusal(ledger, wallet, change.debitMinor)
      : undefined) ??
    floorRefusal(wallet, change, terms) ??
    uncountable
  );
}

function uncountableDetail({ id, kind }: WalletState): string {
  if (kind === 'customer') return `The money of wallet ${id} would leave the countable range.`;
  // What comes in to it only grows: 9,000 of the largest amounts. There are fifteen more for each currency.
  return `What external wallet ${id} has taken would leave the countable range: start the service with another EXTERNAL_STRIPE.`;
}

/** Whether the wallet's status lets money in, or out. */
export function statusRefusal(wallet: WalletState, isDebit: boolean): Refusal | undefined {
  if (wallet.status === 'active') return undefined;
  if (wallet.status === 'closed') return refuse('wallet_closed', `Wallet ${wallet.id} is closed.`);
  if (wallet.freezeMode === 'all') {
    return refuse('wallet_frozen', `Wallet ${wallet.id} is frozen; nothing may enter or leave it.`);
  }
  return isDebit ? refuse('wallet_frozen', `Wallet ${wallet.id} is frozen; nothing may leave it.`) : undefined;
}

/** Law 3. What only comes in is no danger to the floor, except that a first credit must reach it. */
function floorRefusal(wallet: WalletState, { walletId, netMinor }: Change, terms: Terms): Refusal | undefined {
  if (terms.allowNegative || terms.isSweep) return undefined;
  if (netMinor >= 0n && wallet.entryCount > 0) return undefined;
  const releasedMinor = terms.release?.walletId === walletId ? terms.release.amountMinor : 0n;
  if (releasedMinor > 0n && releasedMinor >= -netMinor) return undefined; // it was set aside for this
  const beforeMinor = wallet.balanceMinor - wallet.heldMinor + releasedMinor;
  const floorMinor = netMinor < 0n ? (terms.floorMinor ?? wallet.minimumBalanceMinor) : wallet.minimumBalanceMinor;
  return availableRefusal(wallet, beforeMinor, netMinor, floorMinor);
}

/** Whether `availableMinor` plus a change stays at the floor. Also asked for holds, which take without moving. */
export function availableRefusal(
  wallet: WalletState,
  availableMinor: bigint,
  changeMinor: bigint,
  floorMinor = wallet.minimumBalanceMinor,
): Refusal | undefined {
  const leftMinor = availableMinor + changeMinor;
  if (leftMinor >= floorMinor) return undefined;
  const money = (minor: bigint) => `${formatAmount(minor, wallet.currency)} ${wallet.currency}`;
  if (changeMinor > 0n) {
    return refuse(
      'minimum_balance_unmet',
      `The first credit must lift the wallet to its minimum balance of ${money(floorMinor)}.`,
    );
  }
  return leftMinor < 0n
    ? refuse('insufficient_funds', `${money(availableMinor)} is available, ${money(-changeMinor)} was asked for.`)
    : refuse(
        'below_minimum_balance',
        `${money(leftMinor)} would be left, less than the minimum balance of ${money(floorMinor)}.`,
      );
}

/**
 * Moves the wallets of a movement that may pass, and makes its entries.
 * @param about becomes the transaction.
 */
export function moveMoney(
  ledger: Ledger,
  about: Omit<PostedTransaction, 'entries' | 'createdAt' | 'effectiveAt'> & { effectiveAt?: Date },
  legs: readonly Leg[],
  terms: Terms,
): PostedTransaction {
  const { now } = ledger;
  const transaction = about as PostedTransaction;
  transaction.effectiveAt = about.effectiveAt ?? now;
  transaction.createdAt = now;
  transaction.entries = [];
  const digest = transactionDigest(transaction);
  legs.forEach((leg, i) => {
    const wallet = ledger.wallet(leg.walletId);
    if (terms.counts && wallet.limited && leg.amountMinor < 0n) {
      const isFirst = !legs.slice(0, i).some((l) => l.walletId === leg.walletId && l.amountMinor < 0n);
      useLimits(ledger, wallet, -leg.amountMinor, isFirst);
    }
    transaction.entries.push(moveWallet(wallet, leg.leg ?? i, leg.amountMinor, digest));
  });
  if (terms.release) ledger.wallet(terms.release.walletId).heldMinor -= terms.release.amountMinor;
  for (const { walletId } of legs) settleFloor(ledger.wallet(walletId), terms);
  return transaction;
}

function moveWallet(wallet: WalletState, leg: number, amountMinor: bigint, digest: Hash): PostedEntry {
  assert(amountMinor !== 0n, 'an entry moves something');
  wallet.balanceMinor += amountMinor;
  if (amountMinor > 0n) wallet.creditedMinor += amountMinor;
  wallet.entryCount += 1;
  nextVersion(wallet);
  const entry: PostedEntry = {
    walletId: wallet.id,
    currency: wallet.currency,
    seq: wallet.entryCount,
    leg,
    amountMinor,
    balanceAfterMinor: wallet.balanceMinor,
    creditedAfterMinor: wallet.creditedMinor,
    hash: wallet.lastHash,
  };
  entry.hash = wallet.lastHash = entryHash(wallet.lastHash, digest, entry);
  return entry;
}

/**
 * Law 3 binds the stored floor. A debit that an operator allows under it takes the floor down with it; a reversal
 * leaves the floor and opens a shortfall, which closes as money comes in. (A lower floor would turn a charged-back
 * credit into a credit line.)
 */
export function settleFloor(wallet: WalletState, terms: Pick<Terms, 'floorMinor' | 'allowNegative'> = {}): void {
  if (wallet.kind === 'external') return;
  const availableMinor = wallet.balanceMinor - wallet.heldMinor;
  if (terms.floorMinor !== undefined && terms.floorMinor < wallet.minimumBalanceMinor) {
    wallet.minimumBalanceMinor = terms.floorMinor;
  }
  if (wallet.shortfallMinor === 0n && !terms.allowNegative) return;
  const missingMinor = wallet.minimumBalanceMinor - availableMinor;
  wallet.shortfallMinor = missingMinor > 0n ? missingMinor : 0n;
}
