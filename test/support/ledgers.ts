/** Ledgers in memory, for the tests of the pure rules. */
import { CHAIN_START } from '../../src/transactions/entry.hash.js';
import { Ledger, type HoldState, type Outcome, type Posting, type WalletState } from '../../src/transactions/ledger.js';
import { decide } from '../../src/transactions/posting.rules.js';

export const NOW = new Date('2026-01-31T09:30:00Z');
export const LATER = new Date('2026-02-07T09:30:00Z');

export function wallet(id: string, state: Partial<WalletState> = {}): WalletState {
  const entryCount = state.entryCount ?? (state.balanceMinor ? 1 : 0);
  return {
    id,
    kind: 'customer',
    currency: 'INR',
    status: 'active',
    freezeMode: state.status === 'frozen' ? 'debits' : null,
    limited: false,
    thresholdMinor: null,
    balanceMinor: 0n,
    creditedMinor: 0n,
    heldMinor: 0n,
    holdsExpireAt: null,
    minimumBalanceMinor: 0n,
    shortfallMinor: 0n,
    lastHash: CHAIN_START,
    version: 1,
    versionRead: 1,
    ...state,
    entryCount,
  };
}

export function hold(state: Partial<HoldState> = {}): HoldState {
  return {
    ...{ id: 'h', walletId: 'a', description: null, reference: null, metadata: null, actor: 'operator' },
    ...{ createdAt: NOW, updatedAt: NOW, expiresAt: LATER, status: 'active', version: 1 },
    ...{ amountMinor: 50n, capturedMinor: 0n },
    ...state,
  };
}

/** A ledger of these wallets. */
export function ledgerOf(...wallets: WalletState[]): Ledger {
  const ledger = new Ledger(NOW, '2026-01-31');
  for (const state of wallets) ledger.wallets.set(state.id, state);
  return ledger;
}

/** Each posting by itself, one after the other. */
export function decideAll(ledger: Ledger, postings: Posting[]): Outcome[] {
  return postings.flatMap((posting) => decide(ledger, { postings: [posting] }).outcomes);
}
