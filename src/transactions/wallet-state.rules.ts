/** Freezing, unfreezing and closing a wallet. Pure. */
import type { CallersAct } from '../audit/audit.service.js';
import { formatAmount } from '../money.js';
import {
  nextVersion,
  refuse,
  type ChangeStatus,
  type Ledger,
  type Outcome,
  type PostedTransaction,
  type Refusal,
  type WalletState,
} from './ledger.js';
import { legsRefusal, moveMoney, type Terms } from './legs.rules.js';

const ACTIONS = { active: 'wallet.unfrozen', frozen: 'wallet.frozen', closed: 'wallet.closed' } as const;
const SWEEP: Terms = { isSweep: true, counts: false };

/** Changes the status of a wallet; closing needs it empty, or moves the rest to another wallet first. */
export function changeStatus(ledger: Ledger, posting: ChangeStatus): Outcome {
  const wallet = ledger.wallet(posting.walletId);
  const reason = statusChangeRefusal(wallet, posting);
  if (reason) return reason;
  let transaction: PostedTransaction | undefined;
  if (posting.status === 'closed') {
    const swept = sweep(ledger, wallet, posting);
    if (swept && 'kind' in swept) return swept;
    transaction = swept;
    if (wallet.minimumBalanceMinor > 0n) wallet.minimumBalanceMinor = 0n; // an empty wallet cannot keep a higher floor
    wallet.shortfallMinor = 0n;
  }
  wallet.status = posting.status;
  wallet.freezeMode = posting.freezeMode ?? null;
  nextVersion(wallet);
  const statusChange = {
    id: posting.id,
    walletId: wallet.id,
    status: wallet.status,
    freezeMode: wallet.freezeMode,
    reason: posting.reason,
    actor: posting.actor,
    transactionId: transaction?.id ?? null,
    createdAt: ledger.now,
  };
  const act: CallersAct = {
    ...{ action: ACTIONS[posting.status], objectType: 'wallet', objectId: wallet.id, reason: posting.reason },
    details: {
      status_change_id: posting.id,
      ...(wallet.freezeMode && { mode: wallet.freezeMode }),
      ...(transaction && { sweep_transaction_id: transaction.id }),
    },
    ...{ actor: posting.actor, ...posting.origin },
  };
  return { kind: 'posted', statusChange, act, ...(transaction ? { transaction } : {}) };
}

function statusChangeRefusal(wallet: WalletState, posting: ChangeStatus): Refusal | undefined {
  if (wallet.status === 'closed') return refuse('wallet_closed', `Wallet ${wallet.id} is closed.`);
  if (posting.status === 'active' && wallet.status !== 'frozen') {
    return refuse('wallet_not_frozen', `Wallet ${wallet.id} is ${wallet.status}.`);
  }
  if (posting.status !== 'closed') return undefined;
  const money = (minor: bigint) => `${formatAmount(minor, wallet.currency)} ${wallet.currency}`;
  if (wallet.status === 'frozen') return refuse('wallet_frozen', `Wallet ${wallet.id} is frozen; unfreeze it first.`);
  if (wallet.heldMinor > 0n) return refuse('wallet_has_holds', `${money(wallet.heldMinor)} is held.`);
  if (wallet.balanceMinor < 0n || (wallet.balanceMinor > 0n && !posting.sweepTo)) {
    return refuse('wallet_not_empty', `The balance is ${money(wallet.balanceMinor)}.`);
  }
  return undefined;
}

function sweep(ledger: Ledger, wallet: WalletState, posting: ChangeStatus): PostedTransaction | Refusal | undefined {
  const amountMinor = wallet.balanceMinor;
  if (amountMinor === 0n || !posting.sweepTo) return undefined;
  const { walletId, transactionId } = posting.sweepTo;
  const legs = [
    { walletId: wallet.id, amountMinor: -amountMinor },
    { walletId, amountMinor },
  ];
  // The wallet that is swept may go under its floor; the one that receives has rules of its own.
  const reason = legsRefusal(ledger, legs.slice(0, 1), SWEEP) ?? legsRefusal(ledger, legs.slice(1), { counts: false });
  if (reason) return reason;
  return moveMoney(
    ledger,
    {
      id: transactionId,
      type: 'transfer',
      currency: wallet.currency,
      amountMinor,
      description: posting.description ?? null,
      reference: posting.reference ?? null,
      metadata: posting.metadata ?? null,
      actor: posting.actor,
      reversesId: null,
      holdId: null,
      reason: posting.reason,
    },
    legs,
    SWEEP,
  );
}
