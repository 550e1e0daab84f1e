/** The life of a hold: reserved, changed, captured, voided or expired. Pure. */
import { formatAmount } from '../money.js';
import {
  nextVersion,
  refuse,
  type Capture,
  type ChangeHold,
  type HoldState,
  type HoldStep,
  type Ledger,
  type Outcome,
  type Posted,
  type Refusal,
  type Reserve,
  type VoidHold,
  type WalletState,
} from './ledger.js';
import { availableRefusal, legsRefusal, moveMoney, settleFloor, statusRefusal, type Terms } from './legs.rules.js';
import type { HoldAction } from './hold.entity.js';

/** Sets money aside. Under law 3 it counts like money that is gone. */
export function reserve(ledger: Ledger, posting: Reserve): Outcome {
  const wallet = ledger.wallet(posting.walletId);
  const reason =
    expiryRefusal(ledger, posting.expiresAt) ??
    statusRefusal(wallet, true) ??
    availableRefusal(wallet, availableOf(wallet), -posting.amountMinor);
  if (reason) return reason;
  const hold: HoldState = {
    id: posting.id,
    walletId: wallet.id,
    description: posting.description ?? null,
    reference: posting.reference ?? null,
    metadata: posting.metadata ?? null,
    actor: posting.actor,
    createdAt: ledger.now,
    amountMinor: posting.amountMinor,
    capturedMinor: 0n,
    status: 'active',
    expiresAt: posting.expiresAt,
    version: 0,
    updatedAt: ledger.now,
  };
  ledger.holds.set(hold.id, hold);
  holdBack(wallet, posting.amountMinor, hold);
  return step(ledger, hold, 'created', posting.actor);
}

/** Raises, lowers or extends a hold. */
export function changeHold(ledger: Ledger, posting: ChangeHold): Outcome {
  const hold = ledger.hold(posting.holdId);
  const wallet = ledger.wallet(hold.walletId);
  const amountMinor = posting.amountMinor ?? hold.amountMinor;
  const raiseMinor = amountMinor - hold.amountMinor;
  const reason =
    activeRefusal(hold) ??
    expiryRefusal(ledger, posting.expiresAt) ??
    (raiseMinor > 0n
      ? (statusRefusal(wallet, true) ?? availableRefusal(wallet, availableOf(wallet), -raiseMinor))
      : undefined);
  if (reason) return reason;
  if (amountMinor <= hold.capturedMinor) {
    const captured = `${formatAmount(hold.capturedMinor, wallet.currency)} ${wallet.currency}`;
    return refuse('hold_too_low', `${captured} of the hold is captured already.`);
  }
  hold.amountMinor = amountMinor;
  if (posting.expiresAt) hold.expiresAt = posting.expiresAt;
  holdBack(wallet, raiseMinor, hold);
  return step(ledger, hold, 'changed', posting.actor);
}

/** Takes money of a hold, and where that was the last of it, or `final`, ends the hold. */
export function capture(ledger: Ledger, posting: Capture): Outcome {
  const hold = ledger.hold(posting.holdId);
  const wallet = ledger.wallet(hold.walletId);
  const restMinor = remainingOf(hold);
  const amountMinor = posting.amountMinor ?? restMinor;
  const legs = [
    { walletId: wallet.id, amountMinor: -amountMinor },
    { walletId: posting.toWalletId, amountMinor },
  ];
  const release = {
    walletId: wallet.id,
    amountMinor: posting.isFinal || amountMinor > restMinor ? restMinor : amountMinor,
  };
  const terms: Terms = { release, counts: true };
  const reason =
    activeRefusal(hold) ?? toleranceRefusal(hold, wallet, amountMinor, posting) ?? legsRefusal(ledger, legs, terms);
  if (reason) return reason;
  const transaction = moveMoney(
    ledger,
    {
      id: posting.id,
      type: 'capture',
      currency: wallet.currency,
      amountMinor,
      description: posting.description ?? hold.description,
      reference: posting.reference ?? hold.reference,
      metadata: posting.metadata ?? null,
      actor: posting.actor,
      reversesId: null,
      holdId: hold.id,
      reason: null,
      effectiveAt: posting.effectiveAt,
    },
    legs,
    terms,
  );
  hold.capturedMinor += amountMinor;
  if (posting.isFinal || hold.capturedMinor >= hold.amountMinor) hold.status = 'captured';
  forgetExpiry(wallet);
  return { ...step(ledger, hold, 'captured', posting.actor, transaction.id), transaction };
}

function toleranceRefusal(hold: HoldState, wallet: WalletState, amountMinor: bigint, { tolerancePercent }: Capture) {
  const mostMinor = (hold.amountMinor * BigInt(100 + tolerancePercent)) / 100n - hold.capturedMinor;
  if (amountMinor <= mostMinor) return undefined;
  const money = (minor: bigint) => `${formatAmount(minor, wallet.currency)} ${wallet.currency}`;
  return refuse(
    'capture_exceeds_hold',
    `At most ${money(mostMinor)} can still be captured, ${money(amountMinor)} was asked for.`,
  );
}

/** Ends a hold without taking anything more. */
export function voidHold(ledger: Ledger, posting: VoidHold): Outcome {
  const hold = ledger.hold(posting.holdId);
  const reason = activeRefusal(hold);
  if (reason) return reason;
  return end(ledger, hold, 'voided', posting.actor);
}

/** Ends the holds whose time has passed, one at a time; nobody asked, so nobody is refused. */
export function* releaseExpired(ledger: Ledger): Generator<HoldStep> {
  for (const hold of ledger.holds.values()) {
    if (hold.status !== 'active' || hold.expiresAt > ledger.now) continue;
    const { holdStep } = end(ledger, hold, 'expired', 'system');
    ledger.versionsAfterExpiry.set(hold.walletId, ledger.wallet(hold.walletId).version);
    yield holdStep!;
  }
}

function end(ledger: Ledger, hold: HoldState, status: 'voided' | 'expired', actor: string): Posted {
  const wallet = ledger.wallet(hold.walletId);
  wallet.heldMinor -= remainingOf(hold);
  nextVersion(wallet);
  settleFloor(wallet);
  forgetExpiry(wallet);
  hold.status = status;
  return step(ledger, hold, status, actor);
}

function expiryRefusal({ now }: Ledger, expiresAt: Date | undefined): Refusal | undefined {
  if (expiresAt === undefined || expiresAt > now) return undefined;
  const [field, message] = ['expires_at', 'must be in the future'];
  return refuse('validation_failed', `${field} ${message}`, [{ field, message }]);
}

function activeRefusal(hold: HoldState): Refusal | undefined {
  if (hold.status === 'active') return undefined;
  const since = hold.status === 'expired' ? hold.expiresAt : hold.updatedAt;
  return refuse('hold_not_active', `Hold ${hold.id} was ${hold.status} at ${since.toISOString()}.`);
}

function holdBack(wallet: WalletState, amountMinor: bigint, { expiresAt }: HoldState): void {
  wallet.heldMinor += amountMinor;
  nextVersion(wallet);
  if (!wallet.holdsExpireAt || expiresAt < wallet.holdsExpireAt) wallet.holdsExpireAt = expiresAt;
  settleFloor(wallet);
}

/** With nothing held there is nothing to look for; otherwise the time stays, which at worst costs one look too many. */
function forgetExpiry(wallet: WalletState): void {
  if (wallet.heldMinor === 0n) wallet.holdsExpireAt = null;
}

/** Minor units that a hold still sets aside. */
export function remainingOf(hold: Pick<HoldState, 'amountMinor' | 'capturedMinor'>): bigint {
  return hold.amountMinor > hold.capturedMinor ? hold.amountMinor - hold.capturedMinor : 0n;
}

const availableOf = (wallet: WalletState): bigint => wallet.balanceMinor - wallet.heldMinor;

function step(ledger: Ledger, hold: HoldState, action: HoldAction, actor: string, transactionId?: string): Posted {
  hold.version += 1;
  hold.updatedAt = ledger.now;
  return { kind: 'posted', holdStep: { hold: { ...hold }, action, actor, transactionId: transactionId ?? null } };
}
