/** The rules of holds, limits, wallet states and reversals: one row a case. */
import { describe, expect, it } from '@jest/globals';
import { releaseExpired } from '../src/transactions/hold.rules.js';
import type { HoldState, LimitState, Posting, ReadTransaction, WalletState } from '../src/transactions/ledger.js';
import { decide } from '../src/transactions/posting.rules.js';
import { decideAll, hold, LATER, ledgerOf, NOW, wallet } from './support/ledgers.js';

const BY = { id: 'x', actor: 'operator' };
const reserve = (amountMinor: bigint): Posting => ({
  ...BY,
  kind: 'reserve',
  walletId: 'a',
  amountMinor,
  expiresAt: LATER,
});
const change = (amountMinor: bigint): Posting => ({
  ...BY,
  kind: 'change_hold',
  holdId: 'h',
  walletId: 'a',
  amountMinor,
});
const voided: Posting = { ...BY, kind: 'void', holdId: 'h', walletId: 'a' };
const capture = (amountMinor?: bigint, isFinal = false, tolerancePercent = 0): Posting => ({
  ...{ ...BY, kind: 'capture', holdId: 'h', walletId: 'a', toWalletId: 'b', amountMinor, isFinal, tolerancePercent },
});
const status = (to: WalletState['status'], sweep = false): Posting => ({
  ...{ ...BY, kind: 'status', walletId: 'a', status: to, reason: 'a test' },
  ...(to === 'frozen' ? { freezeMode: 'all' } : {}),
  ...(sweep ? { sweepTo: { walletId: 'b', transactionId: 't' } } : {}),
});

/** What becomes of a posting on wallets `a` (100, of which the hold `h` keeps 50) and `b`. */
function outcome(
  posting: Posting,
  a: Partial<WalletState> = {},
  h: Partial<HoldState> = {},
  b: Partial<WalletState> = {},
) {
  const ledger = ledgerOf(wallet('a', { balanceMinor: 100n, heldMinor: 50n, ...a }), wallet('b', b));
  ledger.holds.set('h', hold(h));
  const [decided] = decideAll(ledger, [posting]);
  const { balanceMinor, heldMinor } = ledger.wallet('a');
  const end = `${balanceMinor}/${heldMinor} ${ledger.hold('h').status}`;
  return decided!.kind === 'refused' ? decided!.code : end;
}

describe('the rules of holds', () => {
  it.each<[string, string, string]>([
    ['reserves what is available', outcome(reserve(50n)), '100/100 active'],
    ['and no more', outcome(reserve(51n)), 'insufficient_funds'],
    ['nor under the minimum', outcome(reserve(50n), { minimumBalanceMinor: 1n }), 'below_minimum_balance'],
    ['nor of a frozen wallet', outcome(reserve(1n), { status: 'frozen' }), 'wallet_frozen'],
    ['raises by what is available', outcome(change(100n)), '100/100 active'],
    ['and no more', outcome(change(101n)), 'insufficient_funds'],
    ['lowers', outcome(change(1n)), '100/1 active'],
    ['but not to what is captured', outcome(change(20n), {}, { capturedMinor: 20n }), 'hold_too_low'],
    ['captures a part', outcome(capture(20n)), '80/30 active'],
    ['captures all that is left', outcome(capture()), '50/0 captured'],
    ['releases the rest on a final one', outcome(capture(20n, true)), '80/0 captured'],
    ['captures no more than is held', outcome(capture(51n)), 'capture_exceeds_hold'],
    ['but for the tolerance', outcome(capture(55n, false, 10)), '45/0 captured'],
    ['and no unit more', outcome(capture(56n, false, 10)), 'capture_exceeds_hold'],
    ['which must be there', outcome(capture(55n, false, 10), { balanceMinor: 54n }), 'insufficient_funds'],
    ['captures in a shortfall what was set aside', outcome(capture(), { minimumBalanceMinor: 90n, shortfallMinor: 40n }), '50/0 captured'], // prettier-ignore
    ['captures nothing of a frozen wallet', outcome(capture(), { status: 'frozen' }), 'wallet_frozen'],
    ['pays no closed wallet', outcome(capture(), {}, {}, { status: 'closed' }), 'wallet_closed'],
    ['voids', outcome(voided), '100/0 voided'],
    ['voids of a frozen wallet too', outcome(voided, { status: 'frozen' }), '100/0 voided'],
    ['does nothing with an ended one', outcome(voided, {}, { status: 'captured' }), 'hold_not_active'],
  ])('%s', (_, actual, expected) => expect(actual).toBe(expected));

  it('ends a hold at its very instant, once', () => {
    const ledger = ledgerOf(wallet('a', { balanceMinor: 100n, heldMinor: 50n, holdsExpireAt: NOW }));
    ledger.holds.set('h', hold({ expiresAt: NOW }));
    expect([...releaseExpired(ledger)]).toMatchObject([{ action: 'expired', hold: { status: 'expired', version: 2 } }]);
    expect([...releaseExpired(ledger)]).toEqual([]);
    expect(ledger.wallet('a')).toMatchObject({ heldMinor: 0n, version: 2 });
  });
});

describe('the rules of wallet states', () => {
  it.each<[string, string, string]>([
    ['freezes', outcome(status('frozen')), '100/50 active'],
    ['unfreezes only what is frozen', outcome(status('active')), 'wallet_not_frozen'],
    ['closes nothing with money', outcome(status('closed'), { heldMinor: 0n }), 'wallet_not_empty'],
    ['nor with holds', outcome(status('closed', true)), 'wallet_has_holds'],
    ['nor with debts', outcome(status('closed', true), { balanceMinor: -1n, heldMinor: 0n }), 'wallet_not_empty'],
    ['nor a frozen one', outcome(status('closed', true), { status: 'frozen' }), 'wallet_frozen'],
    ['sweeps under the minimum', outcome(status('closed', true), { heldMinor: 0n, minimumBalanceMinor: 9n }), '0/0 active'], // prettier-ignore
    ['sweeps into no closed wallet', outcome(status('closed', true), { heldMinor: 0n }, {}, { status: 'closed' }), 'wallet_closed'], // prettier-ignore
    ['sweeps up to the first credit’s minimum', outcome(status('closed', true), { heldMinor: 0n }, {}, { minimumBalanceMinor: 101n }), 'minimum_balance_unmet'], // prettier-ignore
  ])('%s', (_, actual, expected) => expect(actual).toBe(expected));
});

describe('the rules of limits', () => {
  const NONE = { dailyTotalMaxMinor: null, dailyCountMax: null, monthlyTotalMaxMinor: null, monthlyCountMax: null };
  const USED = {
    day: '2026-01-31',
    dayTotalMinor: 30n,
    dayCount: 2,
    month: '2026-01-01',
    monthTotalMinor: 90n,
    monthCount: 5,
  };
  const limits = (own: Partial<LimitState>): LimitState => ({ walletId: 'a', ...NONE, ...USED, isUsed: false, ...own });

  function debit(amountMinor: bigint, own: Partial<LimitState>): string {
    const ledger = ledgerOf(wallet('a', { balanceMinor: 1_000n, limited: true }), wallet('b'));
    ledger.limits.set('a', limits(own));
    const legs = [{ walletId: 'a', amountMinor: -amountMinor }, { walletId: 'b', amountMinor }]; // prettier-ignore
    const [decided] = decideAll(ledger, [
      { ...BY, kind: 'movement', type: 'debit', currency: 'INR', amountMinor, legs },
    ]);
    const { dayTotalMinor, dayCount, monthTotalMinor, monthCount } = ledger.limits.get('a')!;
    return decided!.kind === 'refused'
      ? decided!.code
      : `${dayTotalMinor} ${dayCount} ${monthTotalMinor} ${monthCount}`;
  }

  it.each<[string, string, string]>([
    ['lets the last unit of a day pass', debit(70n, { dailyTotalMaxMinor: 100n }), '100 3 160 6'],
    ['and none after', debit(71n, { dailyTotalMaxMinor: 100n }), 'limit_exceeded'],
    ['lets the last debit of a day pass', debit(1n, { dailyCountMax: 3 }), '31 3 91 6'],
    ['and none after', debit(1n, { dailyCountMax: 2 }), 'limit_exceeded'],
    ['bounds the month as well', debit(11n, { monthlyTotalMaxMinor: 100n }), 'limit_exceeded'],
    ['and its count', debit(1n, { monthlyCountMax: 5 }), 'limit_exceeded'],
    ['begins anew with the day', debit(100n, { dailyTotalMaxMinor: 100n, day: '2026-01-30' }), '100 1 190 6'],
    ['and with the month', debit(100n, { monthlyTotalMaxMinor: 100n, month: '2025-12-01' }), '130 3 100 1'],
    ['and never goes back', debit(1n, { dailyTotalMaxMinor: 30n, day: '2026-02-01' }), 'limit_exceeded'],
  ])('%s', (_, actual, expected) => expect(actual).toBe(expected));
});

describe('the rules of reversals', () => {
  const original = {
    ...{
      id: 'o',
      type: 'transfer',
      currency: 'INR',
      amountMinor: 10n,
      createdAt: NOW,
      effectiveAt: NOW,
      actor: 'operator',
    },
    ...{ description: null, reference: null, metadata: null, reversesId: null, holdId: null, reason: null },
    entries: [-10n, 7n, 3n].map((amountMinor, leg) => ({
      ...{ walletId: 'abc'[leg]!, currency: 'INR', seq: 1, leg, amountMinor, balanceAfterMinor: 0n },
    })),
  } as ReadTransaction;
  const reversal = (part?: bigint, allowNegative = false): Posting => ({
    ...{ ...BY, kind: 'reversal', original, reason: 'a test', allowNegative },
    part: part === undefined ? undefined : { amountMinor: part, currency: 'INR' },
  });

  function reverse(postings: Posting[], b: Partial<WalletState> = { balanceMinor: 7n }) {
    const ledger = ledgerOf(wallet('a'), wallet('b', b), wallet('c', { balanceMinor: 3n }));
    ledger.reversed.set('o', new Map());
    return decideAll(ledger, postings).map((o) =>
      o.kind === 'refused' ? o.code : o.transaction!.entries.map(({ amountMinor }) => Number(amountMinor)).join(),
    );
  }

  it.each<[string, string[], string[]]>([
    ['the whole', reverse([reversal()]), ['10,-7,-3']],
    ['the whole only once', reverse([reversal(), reversal()]), ['10,-7,-3', 'reversal_exceeds_original']],
    ['parts that add up to it', reverse([reversal(5n), reversal(4n), reversal()]), ['5,-4,-1', '4,-2,-2', '1,-1']],
    ['no part of more than is left', reverse([reversal(5n), reversal(6n)]), ['5,-4,-1', 'reversal_exceeds_original']],
    ['not below the floor', reverse([reversal()], { balanceMinor: 6n }), ['insufficient_funds']],
    ['below it where that is allowed', reverse([reversal(undefined, true)], { balanceMinor: 6n }), ['10,-7,-3']],
  ])('give back %s', (_, actual, expected) => expect(actual).toEqual(expected));

  it('and batches and dry runs leave the ledger where it stood', () => {
    const ledger = ledgerOf(wallet('a'), wallet('b', { balanceMinor: 7n }), wallet('c', { balanceMinor: 3n }));
    ledger.reversed.set('o', new Map());
    const before = structuredClone([...ledger.wallets.values()]);
    expect(decide(ledger, { postings: [reversal()], isDryRun: true }).outcomes[0]!.kind).toBe('posted');
    const atomic = decide(ledger, { postings: [reserve(1n), reversal(), reversal()], batch: 'atomic' });
    expect(atomic.refusal!.errors!.map(({ field }) => field)).toEqual(['items.0', 'items.2']);
    expect([...ledger.wallets.values()]).toEqual(before);
    expect(decideAll(ledger, [reversal()])[0]!.kind).toBe('posted');
  });
});
