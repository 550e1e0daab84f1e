/**
 * The ledger as a pure model of 160 lines, in plain numbers of minor units and without any of the service's code.
 * Each function says what must come of a call: '201' and the model moves, or the code of the refusal and it stays.
 */
export interface ModelWallet {
  id: string;
  balance: number;
  floor: number;
  held: number;
  shortfall: number;
  entries: number;
  status: 'active' | 'frozen' | 'closed';
  freezeMode: 'debits' | 'all' | null;
  dailyMax?: number;
  dailyUsed: number;
}
export interface ModelHold {
  id: string;
  wallet: ModelWallet;
  amount: number;
  captured: number;
  status: string;
}
/** A transaction, its legs in wallets of the model, and what was given back of each. */
export interface ModelTransaction {
  id: string;
  type: string;
  legs: Array<{ wallet?: ModelWallet; amount: number; reversed: number }>;
}
export interface Model {
  wallets: ModelWallet[];
  holds: ModelHold[];
  transactions: ModelTransaction[];
  keys: Map<string, { request: string; status: number; text: string }>;
}

/** The reasons that movements can meet, in the order in which the first of several is told. */
const ORDER = [
  ...['wallet_closed', 'wallet_frozen', 'limit_exceeded'],
  ...['minimum_balance_unmet', 'insufficient_funds', 'below_minimum_balance'],
];

export const openWallet = (id: string, floor: number): ModelWallet => ({
  ...{ id, balance: 0, floor, held: 0, shortfall: 0, entries: 0, status: 'active', freezeMode: null, dailyUsed: 0 },
});
export const available = (wallet: ModelWallet): number => wallet.balance - wallet.held;
export const rest = (hold: ModelHold): number => Math.max(0, hold.amount - hold.captured);

type Legs = Array<[wallet: ModelWallet, amount: number]>;
interface Terms {
  floor?: number;
  release?: number;
  allowNegative?: boolean;
  isReversal?: boolean;
}

function reasonOf(wallet: ModelWallet, net: number, debit: number, terms: Terms): string | undefined {
  if (wallet.status === 'closed') return 'wallet_closed';
  if (wallet.freezeMode === 'all' || (wallet.freezeMode && debit > 0)) return 'wallet_frozen';
  const isOver = wallet.dailyMax !== undefined && wallet.dailyUsed + debit > wallet.dailyMax;
  if (isOver && debit > 0 && !terms.isReversal) return 'limit_exceeded';
  if (terms.allowNegative) return undefined;
  if (net >= 0) {
    return wallet.entries === 0 && available(wallet) + net < wallet.floor
      ? unmet(net, available(wallet) + net)
      : undefined;
  }
  const released = terms.release ?? 0;
  if (released > 0 && released >= -net) return undefined;
  const left = available(wallet) + released + net;
  if (left >= (terms.floor ?? wallet.floor)) return undefined;
  return left < 0 ? 'insufficient_funds' : 'below_minimum_balance';
}
const unmet = (net: number, left: number) =>
  net > 0 ? 'minimum_balance_unmet' : left < 0 ? 'insufficient_funds' : 'below_minimum_balance';

/** Moves money between wallets of the model; what is not among the legs comes from or goes outside. */
export function move(legs: Legs, terms: Terms = {}): string {
  const wallets = [...new Set(legs.map(([wallet]) => wallet))];
  const sum = (wallet: ModelWallet, of: (amount: number) => number) =>
    legs.reduce((total, [w, amount]) => (w === wallet ? total + of(amount) : total), 0);
  const debit = (wallet: ModelWallet) => sum(wallet, (amount) => Math.max(0, -amount));
  const reasons = wallets.flatMap(
    (w) =>
      reasonOf(
        w,
        sum(w, (amount) => amount),
        debit(w),
        terms,
      ) ?? [],
  );
  if (reasons.length > 0) return reasons.sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b))[0]!;
  for (const [wallet, amount] of legs) {
    wallet.balance += amount;
    wallet.entries += 1;
    if (amount < 0 && wallet.dailyMax !== undefined && !terms.isReversal) wallet.dailyUsed -= amount;
  }
  if (terms.release) legs[0]![0].held -= terms.release;
  if (terms.floor !== undefined) legs[0]![0].floor = Math.min(legs[0]![0].floor, terms.floor);
  for (const wallet of wallets) settle(wallet, terms.allowNegative);
  return '201';
}

/** A shortfall shrinks to what is still missing; only a reversal that is allowed to may open one. */
export function settle(wallet: ModelWallet, mayOpen = false): void {
  if (wallet.shortfall > 0 || mayOpen) wallet.shortfall = Math.max(0, wallet.floor - available(wallet));
}

export function reserve(wallet: ModelWallet, amount: number): string {
  if (wallet.freezeMode) return 'wallet_frozen';
  const left = available(wallet) - amount;
  if (left < wallet.floor) return left < 0 ? 'insufficient_funds' : 'below_minimum_balance';
  wallet.held += amount;
  return '201';
}

export function changeHold(hold: ModelHold, amount: number): string {
  if (hold.status !== 'active') return 'hold_not_active';
  const raise = amount - hold.amount;
  if (raise > 0) {
    const reason = reserve(hold.wallet, raise);
    if (reason !== '201') return reason;
  } else {
    if (amount <= hold.captured) return 'hold_too_low';
    hold.wallet.held += raise;
    settle(hold.wallet);
  }
  hold.amount = amount;
  return '200';
}

export function capture(hold: ModelHold, amount: number, to: ModelWallet | undefined, isFinal: boolean): string {
  if (hold.status !== 'active') return 'hold_not_active';
  if (hold.captured + amount > hold.amount) return 'capture_exceeds_hold';
  const release = isFinal ? rest(hold) : amount;
  const result = move([[hold.wallet, -amount], ...(to ? [[to, amount] as [ModelWallet, number]] : [])], { release });
  if (result !== '201') return result;
  hold.captured += amount;
  if (isFinal || hold.captured === hold.amount) hold.status = 'captured';
  return '201';
}

export function voidHold(hold: ModelHold): string {
  if (hold.status !== 'active') return 'hold_not_active';
  hold.wallet.held -= rest(hold);
  settle(hold.wallet);
  hold.status = 'voided';
  return '201';
}

/** Two legs share alike, so that the model needs no rounding: postings of more legs are reversed as a whole. */
export function reverse(transaction: ModelTransaction, part: number | undefined, allowNegative: boolean): string {
  if (transaction.type === 'reversal') return 'not_reversible';
  const left = Math.max(...transaction.legs.map(({ amount, reversed }) => Math.abs(amount) - reversed));
  const isWhole = part === undefined || transaction.legs.length > 2;
  if (left === 0 || (!isWhole && part > left)) return 'reversal_exceeds_original';
  const gives = transaction.legs.map((leg) => (isWhole ? Math.abs(leg.amount) - leg.reversed : part));
  const legs = transaction.legs.flatMap(({ wallet, amount }, i): Legs =>
    wallet ? [[wallet, -Math.sign(amount) * gives[i]!]] : [],
  );
  const result = move(legs, { allowNegative, isReversal: true });
  if (result === '201') transaction.legs.forEach((leg, i) => (leg.reversed += gives[i]!));
  return result;
}
