import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Movement, WalletState } from '../src/transactions/ledger.js';
import { decideAll, ledgerOf, wallet } from './support/ledgers.js';

function move(from: string, to: string, amountMinor: bigint, more: Partial<Movement> = {}): Movement {
  return {
    kind: 'movement',
    id: 'a transaction',
    type: 'transfer',
    currency: 'INR',
    amountMinor,
    legs: [
      { walletId: from, amountMinor: -amountMinor },
      { walletId: to, amountMinor },
    ],
    actor: 'operator',
    ...more,
  };
}

/** Moves an amount from `a` to `b` and names the outcome. */
function outcome(
  a: Partial<WalletState>,
  b: Partial<WalletState>,
  amountMinor: bigint,
  more?: Partial<Movement>,
): string {
  const [decided] = decideAll(ledgerOf(wallet('a', a), wallet('b', b)), [move('a', 'b', amountMinor, more)]);
  return decided!.kind === 'refused' ? decided!.code : 'posted';
}

describe('the posting rules', () => {
  it.each<[string, Partial<WalletState>, Partial<WalletState>, bigint, Partial<Movement>, string]>([
    ['the whole balance', { balanceMinor: 100n }, {}, 100n, {}, 'posted'],
    ['one unit more than the balance', { balanceMinor: 100n }, {}, 101n, {}, 'insufficient_funds'],
    ['from an empty wallet', {}, {}, 1n, {}, 'insufficient_funds'],
    ['down to the minimum', { balanceMinor: 100n, minimumBalanceMinor: 40n }, {}, 60n, {}, 'posted'],
    ['under the minimum', { balanceMinor: 100n, minimumBalanceMinor: 40n }, {}, 61n, {}, 'below_minimum_balance'],
    ['into the credit line', { balanceMinor: 0n, entryCount: 2, minimumBalanceMinor: -50n }, {}, 50n, {}, 'posted'],
    ['past the credit line', { entryCount: 2, minimumBalanceMinor: -50n }, {}, 51n, {}, 'insufficient_funds'],
    ['what is held', { balanceMinor: 100n, heldMinor: 30n }, {}, 71n, {}, 'insufficient_funds'],
    ['what is not held', { balanceMinor: 100n, heldMinor: 30n }, {}, 70n, {}, 'posted'],
    ['with a stricter floor', { balanceMinor: 100n }, {}, 60n, { minimumBalanceMinor: 50n }, 'below_minimum_balance'],
    [
      'with a lower floor',
      { balanceMinor: 100n, minimumBalanceMinor: 90n },
      {},
      60n,
      { minimumBalanceMinor: 40n, loweringReason: 'agreed' },
      'posted',
    ],
    [
      'with a lower floor, of a caller who may not or says no reason',
      { balanceMinor: 100n, minimumBalanceMinor: 50n },
      {},
      10n,
      { minimumBalanceMinor: 49n },
      'minimum_balance_not_lowered',
    ],
    [
      'with a negative floor, which none allowed',
      { balanceMinor: 100n },
      {},
      10n,
      { minimumBalanceMinor: -1n },
      'minimum_balance_not_lowered',
    ],
    [
      'with the floor that it has',
      { balanceMinor: 100n, minimumBalanceMinor: 40n },
      {},
      60n,
      { minimumBalanceMinor: 40n },
      'posted',
    ],
    [
      'with a lower floor, and still too much',
      { balanceMinor: 100n, minimumBalanceMinor: 50n },
      {},
      61n,
      { minimumBalanceMinor: 40n, loweringReason: 'agreed' },
      'below_minimum_balance',
    ],
    [
      'from a closed wallet, with a lower floor: the first reason of the table',
      { status: 'closed' },
      {},
      1n,
      { minimumBalanceMinor: -1n },
      'minimum_balance_not_lowered',
    ],
    ['from a frozen wallet', { balanceMinor: 100n, status: 'frozen' }, {}, 1n, {}, 'wallet_frozen'],
    ['into a frozen wallet', { balanceMinor: 100n }, { status: 'frozen' }, 1n, {}, 'posted'],
    ['from a closed wallet', { balanceMinor: 100n, status: 'closed' }, {}, 1n, {}, 'wallet_closed'],
    ['into a closed wallet', { balanceMinor: 100n }, { status: 'closed' }, 1n, {}, 'wallet_closed'],
    [
      'a first credit under the minimum',
      { balanceMinor: 100n },
      { minimumBalanceMinor: 60n },
      59n,
      {},
      'minimum_balance_unmet',
    ],
    ['a first credit of the minimum', { balanceMinor: 100n }, { minimumBalanceMinor: 60n }, 60n, {}, 'posted'],
    ['from outside without a floor', { kind: 'external' }, {}, 10n ** 15n, {}, 'posted'],
    [
      'past what can be counted',
      { kind: 'external' },
      { balanceMinor: 9n * 10n ** 18n },
      1n,
      {},
      'balance_out_of_range',
    ],
    ['at the version seen', { balanceMinor: 100n }, {}, 1n, { ifMatch: { walletId: 'a', version: 1 } }, 'posted'],
    [
      'at another version',
      { balanceMinor: 100n },
      {},
      1n,
      { ifMatch: { walletId: 'a', version: 2 } },
      'precondition_failed',
    ],
    [
      'too much, into a closed wallet: the first reason of the table',
      {},
      { status: 'closed' },
      1n,
      {},
      'wallet_closed',
    ],
    [
      'closed and at another version: the first reason of the table',
      { status: 'closed' },
      {},
      1n,
      { ifMatch: { walletId: 'a', version: 2 } },
      'precondition_failed',
    ],
  ])('%s', (_, a, b, amountMinor, more, expected) => {
    expect(outcome(a, b, amountMinor, more)).toBe(expected);
  });

  it.each<[string, Partial<WalletState>, Partial<WalletState>, RegExp]>([
    ['the one that pays', {}, {}, /^Wallet a: .* is available, /],
    ['the one that is paid', { balanceMinor: 100n }, { minimumBalanceMinor: 60n }, /^Wallet b: The first credit must /],
    ['once', {}, { status: 'closed' }, /^Wallet b is closed\.$/],
    ['none where only one can be meant', {}, { kind: 'external' }, /^0\.00 INR is available, /],
  ])('name the wallet that is in the way: %s', (_, a, b, detail) => {
    const [refused] = decideAll(ledgerOf(wallet('a', a), wallet('b', b)), [move('a', 'b', 1n)]);
    expect(refused).toMatchObject({ kind: 'refused', detail: expect.stringMatching(detail) });
  });

  it('lets each posting of a group see those before it, and a refusal disturb nobody', () => {
    const ledger = ledgerOf(wallet('a', { balanceMinor: 100n }), wallet('b'));
    const outcomes = decideAll(ledger, [
      ...[move('a', 'b', 70n), move('a', 'b', 70n), move('b', 'a', 50n), move('a', 'b', 70n)],
    ]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['posted', 'refused', 'posted', 'posted']);
    expect(ledger.wallet('a')).toMatchObject({ balanceMinor: 10n, entryCount: 4, version: 4 });
    expect(ledger.wallet('b')).toMatchObject({ balanceMinor: 90n, entryCount: 3, version: 4 });
  });

  it('moves the stored floor down with a debit that an operator allows under it, and never up', () => {
    const ledger = ledgerOf(wallet('a', { balanceMinor: 100n, minimumBalanceMinor: 90n }), wallet('b'));
    const lowering = { minimumBalanceMinor: 20n, loweringReason: 'agreed', origin: { address: '::1', requestId: 'r' } };
    const outcomes = decideAll(ledger, [
      move('a', 'b', 60n, lowering),
      move('a', 'b', 1n, lowering),
      move('a', 'b', 1n, { ...lowering, minimumBalanceMinor: 30n }),
      move('a', 'b', 1n, { ...lowering, minimumBalanceMinor: -90_000n }),
    ]);
    expect(ledger.wallet('a')).toMatchObject({ balanceMinor: 37n, minimumBalanceMinor: -90_000n });
    const by = { actor: 'operator', reason: 'agreed', address: '::1', requestId: 'r' };
    const lowered = { action: 'wallet.floor_lowered', objectType: 'wallet', objectId: 'a', ...by };
    expect(outcomes.map((posted) => 'act' in posted && posted.act)).toEqual([
      { ...lowered, details: { from: '0.90', to: '0.20', currency: 'INR' } },
      false,
      false,
      { ...lowered, details: { from: '0.20', to: '-900.00', currency: 'INR' } },
    ]);
  });

  it('crashes on legs that do not add up: that is a bug, not a refusal', () => {
    const ledger = ledgerOf(wallet('a'), wallet('b'));
    const legs = [{ walletId: 'a', amountMinor: 1n }];
    expect(() => decideAll(ledger, [move('a', 'b', 1n, { legs })])).toThrow('zero');
  });

  it('keeps zero sum, floors and sequences over any group', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'outside');
    const steps = fc.array(fc.tuple(id, id, fc.bigInt({ min: 1n, max: 300n })), { maxLength: 40 });
    fc.assert(
      fc.property(steps, (moves) => {
        const floors = { a: 0n, b: 50n, c: -100n };
        const ledger = ledgerOf(
          wallet('outside', { kind: 'external' }),
          ...Object.entries(floors).map(([name, floor]) => wallet(name, { minimumBalanceMinor: floor })),
        );
        const { wallets } = ledger;
        const postings = moves.filter(([from, to]) => from !== to).map(([from, to, amount]) => move(from, to, amount));
        const entries = decideAll(ledger, postings).flatMap((o) => (o.kind === 'posted' ? o.transaction!.entries : []));
        expect([...wallets.values()].reduce((sum, w) => sum + w.balanceMinor, 0n)).toBe(0n);
        for (const w of wallets.values()) {
          const own = entries.filter((entry) => entry.walletId === w.id);
          expect(own.map((entry) => entry.seq)).toEqual(own.map((_, i) => i + 1));
          expect(own.at(-1)?.balanceAfterMinor ?? 0n).toBe(w.balanceMinor);
          if (w.kind === 'customer' && own.length > 0) expect(w.balanceMinor >= w.minimumBalanceMinor).toBe(true);
        }
      }),
    );
  });
});
