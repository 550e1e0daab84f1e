/** What a posting's outcome tells the world. Pure. */
import type { Happening, Subject } from '../events/outbox.service.js';
import { formatAmount } from '../money.js';
import { holdBody } from './holds.dto.js';
import { walletIdsOf, type HoldStep, type Ledger, type Posted, type Posting, type WalletState } from './ledger.js';
import { statusChangeBody } from './wallet-states.dto.js';

const STATUS_EVENTS = { active: 'wallet.unfrozen', frozen: 'wallet.frozen', closed: 'wallet.closed' } as const;

/**
 * The events of what was just posted; the ledger stands where it left it.
 * @param watched what {@link watch} saw before it.
 */
export function eventsOf(ledger: Ledger, posted: Posted, watched?: Map<WalletState, bigint>): Happening[] {
  const { transaction, holdStep, statusChange } = posted;
  const events: Happening[] = [];
  if (transaction) {
    const subjects: Subject[] = [];
    for (const { walletId } of transaction.entries) {
      const wallet = ledger.wallet(walletId);
      if (wallet.kind === 'external' || subjects.some(({ id }) => id === walletId)) continue;
      subjects.push(subjectOf(wallet));
    }
    events.push({ type: 'transaction.posted', objectId: transaction.id, subjects });
  }
  if (holdStep) events.push(holdEvent(ledger, holdStep));
  if (statusChange) {
    const { id, walletId, status } = statusChange;
    const subjects = [subjectOf(ledger.wallet(walletId))];
    events.push({ type: STATUS_EVENTS[status], objectId: id, subjects, body: statusChangeBody(statusChange) });
  }
  if (watched) events.push(...crossingsOf(watched));
  return events;
}

function holdEvent(ledger: Ledger, { hold, action }: HoldStep): Happening {
  const wallet = ledger.wallet(hold.walletId);
  const body = holdBody(hold, wallet.currency);
  return { type: `hold.${action}`, objectId: hold.id, subjects: [subjectOf(wallet)], body };
}

function subjectOf({ id, version, balanceMinor, heldMinor }: WalletState): Subject {
  return { id, version, balanceMinor, heldMinor };
}

/** What is available in the wallets of a posting that have a threshold, before it is decided; nothing where none has. */
export function watch(ledger: Ledger, posting: Posting): Map<WalletState, bigint> | undefined {
  let before: Map<WalletState, bigint> | undefined;
  for (const id of walletIdsOf(posting)) {
    const wallet = ledger.wallet(id);
    if (wallet.thresholdMinor !== null) (before ??= new Map()).set(wallet, availableOf(wallet));
  }
  return before;
}

/** An event for each watched wallet that has fallen under its threshold since. */
function crossingsOf(before: Map<WalletState, bigint>): Happening[] {
  const events: Happening[] = [];
  for (const [wallet, beforeMinor] of before) {
    const { id, currency, thresholdMinor } = wallet;
    const availableMinor = availableOf(wallet);
    if (beforeMinor < thresholdMinor! || availableMinor >= thresholdMinor!) continue;
    const money = (minor: bigint) => formatAmount(minor, currency);
    const body = { wallet_id: id, currency, threshold: money(thresholdMinor!), available: money(availableMinor) };
    events.push({ type: 'wallet.below_threshold', objectId: id, subjects: [subjectOf(wallet)], body });
  }
  return events;
}

const availableOf = (wallet: WalletState): bigint => wallet.balanceMinor - wallet.heldMinor;
