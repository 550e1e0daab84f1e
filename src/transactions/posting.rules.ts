/**
 * What may be posted: pure code, without I/O, clock or framework. `decide` looks at the ledger of a group and at one
 * instruction after the other in arrival order, and says what becomes of each. A refusal is decided here, before
 * anything is written, so it never disturbs its neighbours in the group.
 */
import assert from 'node:assert';
import type { CallersAct } from '../audit/audit.service.js';
import { formatAmount } from '../money.js';
import { capture, changeHold, reserve, voidHold } from './hold.rules.js';
import { refuse, type Ledger, type Movement, type Outcome, type Posting, type Refusal } from './ledger.js';
import { legsRefusal, moveMoney, type Terms } from './legs.rules.js';
import { eventsOf, watch } from './posting.events.js';
import { reverse } from './reversal.rules.js';
import { changeStatus } from './wallet-state.rules.js';

/** What one request asks for. What was refused before it got here stays refused. */
export interface Work {
  postings: readonly (Posting | Refusal)[];
  /** Several postings: all or nothing, or each by itself. Left out: there is just one. */
  batch?: 'atomic' | 'each';
  /** What would happen: the ledger stays where it is. */
  isDryRun?: boolean;
}

/** An outcome for each posting, and where the request as a whole is refused, why. */
export interface Decision {
  outcomes: Outcome[];
  refusal?: Refusal;
  /** How many instructions were committed together. */
  groupSize?: number;
}

/** Whether anything of it was refused. */
export function isRefused({ refusal, outcomes }: Decision): boolean {
  return refusal !== undefined || outcomes.some(({ kind }) => kind === 'refused');
}

/** Decides an instruction; it sees what those before it left behind, and moves the ledger forward in place. */
export function decide(ledger: Ledger, { postings, batch, isDryRun }: Work): Decision {
  const goBack = batch === 'atomic' || isDryRun ? ledger.checkpoint() : undefined;
  const outcomes = postings.map((posting) => decideOne(ledger, posting));
  const refusal = batch ? refusalOfBatch(batch, outcomes) : refusalOf(outcomes[0]!);
  if (goBack && (refusal || isDryRun)) goBack();
  return { outcomes, refusal };
}

function refusalOf(outcome: Outcome): Refusal | undefined {
  return outcome.kind === 'refused' ? outcome : undefined;
}

function decideOne(ledger: Ledger, posting: Posting | Refusal): Outcome {
  if (posting.kind === 'refused') return posting;
  const stale = staleness(ledger, posting);
  if (stale) return stale;
  const watched = watch(ledger, posting);
  const outcome = decideKind(ledger, posting);
  if (outcome.kind === 'posted') outcome.events = eventsOf(ledger, outcome, watched);
  return outcome;
}

function decideKind(ledger: Ledger, posting: Posting): Outcome {
  switch (posting.kind) {
    case 'movement':
      return move(ledger, posting);
    case 'reversal':
      return reverse(ledger, posting);
    case 'reserve':
      return reserve(ledger, posting);
    case 'change_hold':
      return changeHold(ledger, posting);
    case 'capture':
      return capture(ledger, posting);
    case 'void':
      return voidHold(ledger, posting);
    case 'status':
      return changeStatus(ledger, posting);
    case 'release_expired':
      return { kind: 'posted' };
  }
}

/** What expired was gone from reads before it was written down, so that alone makes nobody's version stale. */
function staleness(ledger: Ledger, posting: Posting): Refusal | undefined {
  if (!posting.ifMatch) return undefined;
  const { walletId, version } = posting.ifMatch;
  const hold = 'holdId' in posting ? ledger.hold(posting.holdId) : undefined;
  const { version: current } = hold ?? ledger.wallet(walletId);
  if (current === version) return undefined;
  // Expiry is a hold's last step: it is told that it has ended.
  if (hold?.status === 'expired' && current === version + 1) return undefined;
  const isSinceExpiry = !hold && ledger.versionsAfterExpiry.get(walletId) === current;
  if (isSinceExpiry && ledger.wallet(walletId).versionRead === version) return undefined;
  const what = hold ? `Hold ${hold.id}` : `Wallet ${walletId}`;
  return refuse('precondition_failed', `${what} is at version ${current}, not ${version}.`);
}

function move(ledger: Ledger, posting: Movement): Outcome {
  const { legs } = posting;
  assertZeroSum(ledger, posting);
  const lowered = loweredFloor(ledger, posting);
  if (lowered && posting.loweringReason === undefined) {
    return refuse(
      'minimum_balance_not_lowered',
      `The minimum balance of the wallet is ${lowered.from} ${lowered.currency}; to lower it takes wallets:admin and a reason.`,
    );
  }
  const terms: Terms = { floorMinor: posting.minimumBalanceMinor, counts: true };
  const refusal = legsRefusal(ledger, legs, terms);
  if (refusal) return refusal;
  const about = {
    id: posting.id,
    type: posting.type,
    currency: posting.currency,
    amountMinor: posting.amountMinor,
    description: posting.description ?? null,
    reference: posting.reference ?? null,
    metadata: posting.metadata ?? null,
    actor: posting.actor,
    reversesId: null,
    holdId: null,
    reason: null,
    effectiveAt: posting.effectiveAt,
  };
  const transaction = moveMoney(ledger, about, legs, terms);
  if (!lowered) return { kind: 'posted', transaction };
  const act: CallersAct = {
    ...{ action: 'wallet.floor_lowered', objectType: 'wallet', objectId: legs[0]!.walletId },
    ...{ reason: posting.loweringReason, details: lowered, actor: posting.actor, ...posting.origin },
  };
  return { kind: 'posted', transaction, act };
}

/** From where to where a debit takes the floor of its wallet; nothing where it leaves it. */
function loweredFloor(ledger: Ledger, { legs, minimumBalanceMinor: toMinor }: Movement) {
  if (toMinor === undefined) return undefined;
  const { minimumBalanceMinor: fromMinor, currency } = ledger.wallet(legs[0]!.walletId);
  if (toMinor >= fromMinor) return undefined;
  return { from: formatAmount(fromMinor, currency), to: formatAmount(toMinor, currency), currency };
}

function assertZeroSum(ledger: Ledger, { legs, currency }: Movement): void {
  const currencies = currency === null ? new Set(legs.map((leg) => ledger.wallet(leg.walletId).currency)) : [currency];
  for (const one of currencies) {
    let sum = 0n;
    for (const leg of legs) if (ledger.wallet(leg.walletId).currency === one) sum += leg.amountMinor;
    assert(sum === 0n, 'legs add up to zero');
  }
}

/** Names the items that stand in the way, so that all can be put right at once. */
function refusalOfBatch(batch: 'atomic' | 'each', outcomes: Outcome[]): Refusal | undefined {
  if (batch === 'each') return undefined;
  const errors = outcomes.flatMap((outcome, i) =>
    outcome.kind === 'refused' ? [{ field: `items.${i}`, message: `${outcome.code}: ${outcome.detail}` }] : [],
  );
  if (errors.length === 0) return undefined;
  const shown = errors.slice(0, ITEMS_NAMED_MAX);
  const which = `${errors.length} of ${outcomes.length} items ${errors.length === 1 ? 'is' : 'are'} refused`;
  return refuse(
    'batch_refused',
    `${which}, so none was posted. The first: ${errors[0]!.field} ${errors[0]!.message}`,
    shown,
  );
}

const ITEMS_NAMED_MAX = 20;
