/** What an import did, counted as it goes, and the summary of it. */
import { formatAmount } from '../money.js';
import type { Movement } from './movement.js';
import type { MovementOutcome } from './wave.poster.js';

export class Tally {
  posted = 0;
  alreadyImported = 0;
  refused = 0;
  badLines = 0;
  private comparedCount = 0;
  private largest?: { differenceMinor: bigint; movement: Movement };
  private readonly startedAt = performance.now();
  private seconds = 0;

  constructor(private readonly currency: string) {}

  get settledCount(): number {
    return this.posted + this.alreadyImported + this.refused;
  }

  settle(movement: Movement, outcome: MovementOutcome): void {
    if (outcome.kind === 'refused') {
      this.refused += 1;
      return;
    }
    if (outcome.replayed) this.alreadyImported += 1;
    else this.posted += 1;
    if (movement.balanceAfterMinor === undefined) return;
    this.comparedCount += 1;
    const difference = outcome.balanceAfterMinor - movement.balanceAfterMinor;
    const differenceMinor = difference < 0n ? -difference : difference;
    if (!this.largest || differenceMinor > this.largest.differenceMinor) this.largest = { differenceMinor, movement };
  }

  /** Stops the clock; what comes after (the report) is not the import's speed. */
  finish(): void {
    this.seconds = (performance.now() - this.startedAt) / 1_000;
  }

  /** The summary, one figure a line. */
  lines(accountCount: number, openedCount: number): string[] {
    const count = (value: number) => value.toLocaleString('en-US');
    const figures: Array<[string, string]> = [
      ['accounts', `${count(accountCount)} (${count(openedCount)} wallets opened)`],
      ['movements', `${count(this.posted)} posted, ${count(this.alreadyImported)} already imported`],
      ['refused', count(this.refused)],
      ['bad lines', count(this.badLines)],
      ['seconds', this.seconds.toFixed(1)],
      ['postings per second', count(Math.round(this.posted / Math.max(this.seconds, 0.001)))],
      ['largest difference from balance_after', this.difference()],
    ];
    const width = Math.max(...figures.map(([name]) => name.length));
    return figures.map(([name, figure]) => `${name.padEnd(width)}  ${figure}`);
  }

  private difference(): string {
    if (!this.largest) return this.comparedCount === 0 ? 'nothing to compare with' : '';
    const { differenceMinor, movement } = this.largest;
    const money = `${formatAmount(differenceMinor, this.currency)} ${this.currency}`;
    return differenceMinor === 0n ? money : `${money} (account ${movement.accountId}, line ${movement.line})`;
  }
}
