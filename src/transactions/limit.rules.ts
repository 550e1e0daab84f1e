/** Daily and monthly limits of what leaves a wallet. Pure; days are those of `LIMIT_TIME_ZONE`. */
import assert from 'node:assert';
import { formatAmount } from '../money.js';
import { refuse, type Ledger, type LimitState, type Refusal, type WalletState } from './ledger.js';

/** Whether a debit of this much would pass a limit of its wallet. */
export function limitRefusal(ledger: Ledger, wallet: WalletState, debitMinor: bigint): Refusal | undefined {
  const limits = limitsOf(ledger, wallet);
  const money = (minor: bigint) => `${formatAmount(minor, wallet.currency)} ${wallet.currency}`;
  const periods = [
    ['daily', limits.dailyTotalMaxMinor, limits.dayTotalMinor, limits.dailyCountMax, limits.dayCount],
    ['monthly', limits.monthlyTotalMaxMinor, limits.monthTotalMinor, limits.monthlyCountMax, limits.monthCount],
  ] as const;
  for (const [period, totalMaxMinor, totalMinor, countMax, count] of periods) {
    if (totalMaxMinor !== null && totalMinor + debitMinor > totalMaxMinor) {
      const leftMinor = totalMaxMinor > totalMinor ? totalMaxMinor - totalMinor : 0n;
      return refuse(
        'limit_exceeded',
        `${money(leftMinor)} is left of the ${period} limit of ${money(totalMaxMinor)}, ${money(debitMinor)} was asked for.`,
      );
    }
    if (countMax !== null && count + 1 > countMax) {
      return refuse('limit_exceeded', `The ${period} limit of ${countMax} debits is used up.`);
    }
  }
  return undefined;
}

/** Counts a debit that passes; of several legs of one transaction only the first is a debit more. */
export function useLimits(ledger: Ledger, wallet: WalletState, debitMinor: bigint, isFirst: boolean): void {
  const limits = limitsOf(ledger, wallet);
  limits.isUsed = true;
  limits.dayTotalMinor += debitMinor;
  limits.monthTotalMinor += debitMinor;
  if (!isFirst) return;
  limits.dayCount += 1;
  limits.monthCount += 1;
}

function limitsOf(ledger: Ledger, wallet: WalletState): LimitState {
  const limits = ledger.limits.get(wallet.id);
  assert(limits, `the limits of wallet ${wallet.id} were read with its group`);
  turnPage(limits, ledger.today);
  return limits;
}

/** Starts a new day and a new month with nothing used. The calendar never goes back. */
export function turnPage(limits: LimitState, today: string): void {
  if (today > limits.day) Object.assign(limits, { day: today, dayTotalMinor: 0n, dayCount: 0 });
  const month = `${today.slice(0, 7)}-01`;
  if (month > limits.month) Object.assign(limits, { month, monthTotalMinor: 0n, monthCount: 0 });
}
