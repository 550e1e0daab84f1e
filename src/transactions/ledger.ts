/**
 * What the posting rules work on: the postings of a group, and the part of the ledger that they touch, read under lock
 * and then moved forward in memory, posting by posting.
 */
import assert from 'node:assert';
import type { CallersAct } from '../audit/audit.service.js';
import type { Caller } from '../caller.js';
import type { ErrorCode, FieldError } from '../errors.js';
import type { Happening } from '../events/outbox.service.js';
import type { Metadata } from '../users/user.entity.js';
import type { FreezeMode, WalletKind, WalletStatus } from '../wallets/wallet.entity.js';
import type { Hash } from './entry.hash.js';
import type { HoldAction, HoldStatus } from './hold.entity.js';
import type { TransactionType } from './transaction.entity.js';

/** One side of a posting: what a wallet gains (positive) or loses, in minor units of its currency. */
export interface Leg {
  walletId: string;
  amountMinor: bigint;
  /** Place among the legs, where it is not the index: a partial reversal keeps the numbers of the original's legs. */
  leg?: number;
}

interface PostingBase {
  /** Id of the transaction, hold or status change that it makes; chosen once, so that every attempt is the same. */
  id: string;
  /** Who asks; the actor of what is written. */
  actor: string;
  /** Where the request came from, of what goes into the audit log. */
  origin?: Pick<Caller, 'address' | 'requestId'>;
  description?: string;
  reference?: string;
  metadata?: Metadata;
  /** The version that the caller saw (`If-Match`), of a hold where one is named, else of this wallet. */
  ifMatch?: { walletId: string; version: number };
}

/** Money moves between wallets. */
export interface Movement extends PostingBase {
  kind: 'movement';
  type: Exclude<TransactionType, 'capture' | 'reversal'>;
  /** Null where the legs have several currencies; then so is the amount. */
  currency: string | null;
  amountMinor: bigint | null;
  /** They add up to zero in each currency. */
  legs: readonly Leg[];
  effectiveAt?: Date;
  /** Floor asked for by a debit: higher than the wallet's it is a stricter check, lower it moves the wallet's. */
  minimumBalanceMinor?: bigint;
  /** Why it may move it down. Of a caller who may not, or does not say why: nothing. */
  loweringReason?: string;
}

/** A transaction is undone, whole or in part. */
export interface Reversal extends PostingBase {
  kind: 'reversal';
  original: ReadTransaction;
  /** How much of it, in a currency that it has; left out: all that is left. */
  part?: { amountMinor: bigint; currency: string };
  reason: string;
  /** An operator lets the wallets that give money back go under their floor. */
  allowNegative: boolean;
  effectiveAt?: Date;
}

/** Money is set aside. */
export interface Reserve extends PostingBase {
  kind: 'reserve';
  walletId: string;
  amountMinor: bigint;
  expiresAt: Date;
}

/** A hold is raised, lowered or extended. */
export interface ChangeHold extends PostingBase {
  kind: 'change_hold';
  holdId: string;
  walletId: string;
  amountMinor?: bigint;
  expiresAt?: Date;
}

/** Money of a hold goes to another wallet or outside. */
export interface Capture extends PostingBase {
  kind: 'capture';
  holdId: string;
  walletId: string;
  toWalletId: string;
  /** Left out: all that is left. */
  amountMinor?: bigint;
  /** Releases the rest. */
  isFinal: boolean;
  /** How far the captures may exceed the hold, in percent of it. */
  tolerancePercent: number;
  effectiveAt?: Date;
}

export interface VoidHold extends PostingBase {
  kind: 'void';
  holdId: string;
  walletId: string;
}

/** A wallet is frozen, unfrozen or closed. */
export interface ChangeStatus extends PostingBase {
  kind: 'status';
  walletId: string;
  status: WalletStatus;
  freezeMode?: FreezeMode;
  reason: string;
  /** Closing: where the rest goes. */
  sweepTo?: { walletId: string; transactionId: string };
}

/** Nothing but a look at the wallet, which releases the holds that have expired. */
export interface ReleaseExpired extends PostingBase {
  kind: 'release_expired';
  walletId: string;
}

export type Posting = Movement | Reversal | Reserve | ChangeHold | Capture | VoidHold | ChangeStatus | ReleaseExpired;

/** A wallet as a group sees it. */
export interface WalletState {
  readonly id: string;
  readonly kind: WalletKind;
  readonly currency: string;
  readonly versionRead: number;
  readonly limited: boolean;
  /** Who falls under it is told of. */
  readonly thresholdMinor: bigint | null;
  status: WalletStatus;
  freezeMode: FreezeMode | null;
  balanceMinor: bigint;
  /** All that ever came in. */
  creditedMinor: bigint;
  heldMinor: bigint;
  holdsExpireAt: Date | null;
  minimumBalanceMinor: bigint;
  shortfallMinor: bigint;
  entryCount: number;
  lastHash: Hash;
  version: number;
}

/** A hold as a group sees it. */
export interface HoldState {
  readonly id: string;
  readonly walletId: string;
  readonly description: string | null;
  readonly reference: string | null;
  readonly metadata: Metadata | null;
  readonly actor: string;
  readonly createdAt: Date;
  amountMinor: bigint;
  capturedMinor: bigint;
  status: HoldStatus;
  expiresAt: Date;
  version: number;
  updatedAt: Date;
}

/** One step of a hold, and the hold after it. */
export interface HoldStep {
  hold: HoldState;
  action: HoldAction;
  transactionId: string | null;
  actor: string;
}

/** The limits of a wallet; what is used counts for `day` and `month` only. */
export interface LimitState {
  readonly walletId: string;
  readonly dailyTotalMaxMinor: bigint | null;
  readonly dailyCountMax: number | null;
  readonly monthlyTotalMaxMinor: bigint | null;
  readonly monthlyCountMax: number | null;
  day: string;
  dayTotalMinor: bigint;
  dayCount: number;
  month: string;
  monthTotalMinor: bigint;
  monthCount: number;
  /** Whether a debit of this group was counted. */
  isUsed: boolean;
}

export interface PostedEntry {
  walletId: string;
  currency: string;
  seq: number;
  leg: number;
  amountMinor: bigint;
  balanceAfterMinor: bigint;
  creditedAfterMinor: bigint;
  hash: Hash;
}

/** A transaction with its entries, as it is written and as it is answered. */
export interface PostedTransaction {
  id: string;
  type: TransactionType;
  currency: string | null;
  amountMinor: bigint | null;
  description: string | null;
  reference: string | null;
  metadata: Metadata | null;
  actor: string;
  reversesId: string | null;
  holdId: string | null;
  reason: string | null;
  effectiveAt: Date;
  createdAt: Date;
  entries: PostedEntry[];
}

/** A transaction as a read finds it: without what only the chain needs. */
export type ReadTransaction = Omit<PostedTransaction, 'entries'> & {
  entries: Array<Omit<PostedEntry, 'creditedAfterMinor' | 'hash'>>;
};

export interface StatusChange {
  id: string;
  walletId: string;
  status: WalletStatus;
  freezeMode: FreezeMode | null;
  reason: string;
  actor: string;
  transactionId: string | null;
  createdAt: Date;
}

export type Refusal = { kind: 'refused'; code: ErrorCode; detail: string; errors?: FieldError[] };
/** What a posting wrote. Which of the parts there are follows from its kind. */
export interface Posted {
  kind: 'posted';
  transaction?: PostedTransaction;
  holdStep?: HoldStep;
  statusChange?: StatusChange;
  /** What an operator did by it, for the audit log. */
  act?: CallersAct;
  /** What the outbox tells of it. */
  events?: Happening[];
}
export type Outcome = Posted | Refusal;

/** The part of the ledger that a group touches. */
export class Ledger {
  readonly wallets = new Map<string, WalletState>();
  readonly holds = new Map<string, HoldState>();
  readonly limits = new Map<string, LimitState>();
  /** Where holds that had expired took wallets, before anything else: reads had shown them as gone under the version before. */
  readonly versionsAfterExpiry = new Map<string, number>();
  /** What earlier reversals of a transaction gave back, by its id and leg, in minor units with the leg's sign reversed. */
  readonly reversed = new Map<string, Map<number, bigint>>();

  /**
   * @param now the posting time of the group.
   * @param today the day of `now`, as `2026-01-31`, where limits are counted.
   */
  constructor(
    public now: Date,
    public today: string,
  ) {}

  wallet(id: string): WalletState {
    const wallet = this.wallets.get(id);
    assert(wallet, `wallet ${id} was read with its group`);
    return wallet;
  }

  hold(id: string): HoldState {
    const hold = this.holds.get(id);
    assert(hold, `hold ${id} was read with its group`);
    return hold;
  }

  /** Remembers where the ledger stands. @returns a function that goes back there. */
  checkpoint(): () => void {
    const states = [...this.wallets.values(), ...this.holds.values(), ...this.limits.values()];
    const copies = states.map((state) => [state, { ...state }] as const);
    const holds = new Set(this.holds.keys());
    const reversed = [...this.reversed].map(([id, legs]) => [id, new Map(legs)] as const);
    return () => {
      for (const [state, copy] of copies) Object.assign(state, copy);
      for (const id of this.holds.keys()) if (!holds.has(id)) this.holds.delete(id);
      for (const [id, legs] of reversed) this.reversed.set(id, legs);
    };
  }
}

/** The column is an `integer`; what is left above is for changes that are no postings, which PostgreSQL counts. */
export const WALLET_VERSION_MAX = 2_000_000_000;

/**
 * Moves a wallet to its next version, after the last to the first: whatever was read a moment ago still differs. An external
 * wallet takes part in every credit and debit, which at a thousand a second is the last after 23 days.
 */
export function nextVersion(wallet: WalletState): void {
  wallet.version = wallet.version < WALLET_VERSION_MAX ? wallet.version + 1 : 1;
}

export function refuse(code: ErrorCode, detail: string, errors?: FieldError[]): Refusal {
  return { kind: 'refused', code, detail, ...(errors ? { errors } : {}) };
}

/** The wallets that a posting reads and may move. */
export function walletIdsOf(posting: Posting): string[] {
  switch (posting.kind) {
    case 'movement':
      return posting.legs.map((leg) => leg.walletId);
    case 'reversal':
      return posting.original.entries.map((entry) => entry.walletId);
    case 'capture':
      return [posting.walletId, posting.toWalletId];
    case 'status':
      return posting.sweepTo ? [posting.walletId, posting.sweepTo.walletId] : [posting.walletId];
    default:
      return [posting.walletId];
  }
}
