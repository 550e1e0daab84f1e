/** Undoing a transaction, whole or in parts that never exceed it. Pure. */
import type { CallersAct } from '../audit/audit.service.js';
import { formatAmount } from '../money.js';
import { nextVersion, refuse, type Ledger, type Leg, type Outcome, type Refusal, type Reversal } from './ledger.js';
import { legsRefusal, moveMoney, type Terms } from './legs.rules.js';

/** A leg of the original, and how much of it has not been given back; both without sign. */
interface RestLeg {
  walletId: string;
  leg: number;
  currency: string;
  /** 1 where the reversal puts money in, -1 where it takes money out. */
  sign: bigint;
  wholeMinor: bigint;
  restMinor: bigint;
}

/** Gives back all that is left of a transaction, or a part of it, through the same wallets. */
export function reverse(ledger: Ledger, posting: Reversal): Outcome {
  const { original, part } = posting;
  if (original.type === 'reversal') return refuse('not_reversible', `Transaction ${original.id} is a reversal.`);
  const rest = restOf(ledger, posting);
  const amounts = part ? shareOut(rest, part, original.id) : rest.map(({ restMinor }) => restMinor);
  if ('kind' in amounts) return amounts;
  const legs: Leg[] = rest
    .map(({ walletId, leg, sign }, i) => ({ walletId, leg, amountMinor: sign * amounts[i]! }))
    .filter(({ amountMinor }) => amountMinor !== 0n);
  if (legs.length === 0) return refuse('reversal_exceeds_original', `Transaction ${original.id} is reversed already.`);
  const terms: Terms = { allowNegative: posting.allowNegative, counts: false };
  const reason = legsRefusal(ledger, legs, terms);
  if (reason) return reason;

  // Every wallet of the original moves on, also where its leg rounds to nothing: under LOCKING=optimistic it is the
  // version guard that keeps two reversals from giving back the same money.
  for (const walletId of new Set(rest.map((leg) => leg.walletId))) nextVersion(ledger.wallet(walletId));
  const transaction = moveMoney(
    ledger,
    {
      id: posting.id,
      type: 'reversal',
      currency: original.currency,
      amountMinor:
        original.currency === null
          ? null
          : legs.reduce((sum, l) => (l.amountMinor > 0n ? sum + l.amountMinor : sum), 0n),
      description: posting.description ?? null,
      reference: posting.reference ?? null,
      metadata: posting.metadata ?? null,
      actor: posting.actor,
      reversesId: original.id,
      holdId: null,
      reason: posting.reason,
      effectiveAt: posting.effectiveAt,
    },
    legs,
    terms,
  );
  const reversed = ledger.reversed.get(original.id)!;
  for (const { leg, amountMinor } of legs) reversed.set(leg!, (reversed.get(leg!) ?? 0n) + amountMinor);
  return { kind: 'posted', transaction, act: actOf(posting) };
}

function actOf({ id, original, part, allowNegative, reason, actor, origin }: Reversal): CallersAct {
  return {
    ...{ action: 'transaction.reversed', objectType: 'transaction', objectId: original.id, reason },
    details: {
      reversal_id: id,
      ...(part && { amount: formatAmount(part.amountMinor, part.currency), currency: part.currency }),
      ...(allowNegative && { on_shortfall: 'allow_negative' }),
    },
    ...{ actor, ...origin },
  };
}

function restOf(ledger: Ledger, { original }: Reversal): RestLeg[] {
  const reversed = ledger.reversed.get(original.id)!;
  return original.entries.map(({ walletId, leg, currency, amountMinor }) => {
    const leftMinor = amountMinor + (reversed.get(leg) ?? 0n);
    const sign = amountMinor > 0n ? -1n : 1n;
    return { walletId, leg, currency, sign, wholeMinor: -sign * amountMinor, restMinor: -sign * leftMinor };
  });
}

/**
 * Splits a part over the legs in proportion to what is left of each, to the last minor unit: what division leaves over
 * goes to the largest remainders. No leg is ever given back more than it was, and the last part takes exactly the rest.
 * Of another currency as much is given back in all as the named one's parts so far come to, rounded once: a hundred small
 * parts are worth what one of their sum is.
 */
function shareOut(
  rest: RestLeg[],
  part: { amountMinor: bigint; currency: string },
  originalId: string,
): bigint[] | Refusal {
  const sumOf = (currency: string, of: 'wholeMinor' | 'restMinor') =>
    rest.reduce((sum, leg) => (leg.currency === currency && leg.sign === 1n ? sum + leg[of] : sum), 0n);
  const leftMinor = sumOf(part.currency, 'restMinor');
  if (part.amountMinor > leftMinor) {
    const money = (minor: bigint) => `${formatAmount(minor, part.currency)} ${part.currency}`;
    return refuse(
      'reversal_exceeds_original',
      `${money(leftMinor)} of transaction ${originalId} can still be reversed, ${money(part.amountMinor)} was asked for.`,
    );
  }
  const namedMinor = sumOf(part.currency, 'wholeMinor');
  const givenMinor = namedMinor - leftMinor + part.amountMinor;
  const amounts = rest.map(() => 0n);
  for (const currency of new Set(rest.map((leg) => leg.currency))) {
    const wholeMinor = sumOf(currency, 'wholeMinor');
    const beforeMinor = wholeMinor - sumOf(currency, 'restMinor');
    const dueMinor = roundedShare(wholeMinor, givenMinor, namedMinor) - beforeMinor;
    // Parts that named another currency may have rounded this one further already.
    const partMinor = currency === part.currency ? part.amountMinor : dueMinor > 0n ? dueMinor : 0n;
    for (const sign of [1n, -1n]) {
      const side = rest.flatMap((leg, i) => (leg.currency === currency && leg.sign === sign ? [i] : []));
      const shares = apportion(
        side.map((i) => rest[i]!.restMinor),
        partMinor,
      );
      side.forEach((i, j) => (amounts[i] = shares[j]!));
    }
  }
  return amounts;
}

/** `whole × part / of`, rounded half up. */
function roundedShare(wholeMinor: bigint, partMinor: bigint, ofMinor: bigint): bigint {
  return (2n * wholeMinor * partMinor + ofMinor) / (2n * ofMinor);
}

/**
 * Splits `total` in proportion to `weights` by the method of largest remainders; ties go to the first.
 * @param total at most the sum of the weights; then no share exceeds its weight.
 * @returns shares that add up to `total`.
 */
export function apportion(weights: bigint[], total: bigint): bigint[] {
  const sum = weights.reduce((a, b) => a + b, 0n);
  if (sum === 0n) return weights.map(() => 0n);
  const shares = weights.map((weight) => (weight * total) / sum);
  const left = total - shares.reduce((a, b) => a + b, 0n);
  const byRemainder = weights
    .map((weight, i) => ({ i, remainder: (weight * total) % sum }))
    .sort((a, b) => (a.remainder === b.remainder ? a.i - b.i : a.remainder > b.remainder ? -1 : 1));
  for (const { i } of byRemainder.slice(0, Number(left))) shares[i]! += 1n;
  return shares;
}
