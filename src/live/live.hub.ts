/**
 * Tells the streams of this process what happens to their wallets, whichever process did it. While there are streams it asks
 * for new events ten times a second, once for all of them; without streams nothing. Rejected: LISTEN/NOTIFY, as every
 * commit with a NOTIFY takes one lock of the whole server, which costs the postings what the streams gain.
 */
import { Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { EventPositions } from '../events/event-positions.js';
import { LiveQueries, type Change } from './live.queries.js';

/** A change waits for half of it on average. */
const PERIOD_MS = 100;
const BATCHES_MAX = 2_000;
const WARN_EVERY_MS = 10_000;

export interface Watcher {
  readonly walletId: string;
  tell(change: Change): void;
}

@Injectable()
export class LiveHub implements BeforeApplicationShutdown {
  private readonly logger = new Logger(LiveHub.name);
  private readonly watchers = new Map<string, Set<Watcher>>();
  private beginning?: Promise<void>;
  private position = 0n;
  private warnedAt = -Infinity;
  private isStopping = false;

  constructor(
    private readonly queries: LiveQueries,
    private readonly positions: EventPositions,
  ) {}

  /**
   * Has a watcher told of all changes from now on: whatever is not in the database yet when this resolves, and perhaps
   * some of what is.
   */
  async watch(watcher: Watcher): Promise<void> {
    const others = this.watchers.get(watcher.walletId);
    if (others) others.add(watcher);
    else this.watchers.set(watcher.walletId, new Set([watcher]));
    this.beginning ??= this.begin();
    await this.beginning;
  }

  leave(watcher: Watcher): void {
    const others = this.watchers.get(watcher.walletId);
    others?.delete(watcher);
    if (others?.size === 0) this.watchers.delete(watcher.walletId);
  }

  /** Whose streams are open. */
  get walletIds(): string[] {
    return [...this.watchers.keys()];
  }

  beforeApplicationShutdown(): void {
    this.isStopping = true;
  }

  private async begin(): Promise<void> {
    try {
      this.position = await this.positions.placeAll();
    } catch (error) {
      this.beginning = undefined;
      throw error;
    }
    void this.run();
  }

  private async run(): Promise<void> {
    while (this.watchers.size > 0 && !this.isStopping) {
      await this.round().catch((error: unknown) => this.warn(error));
      await delay(PERIOD_MS);
    }
    this.beginning = undefined;
  }

  private async round(): Promise<void> {
    const placed = await this.positions.place();
    // After placing: whoever began to watch since then sees in the database itself all that has a position.
    const { walletIds } = this;
    while (this.position < placed) {
      const until = placed - this.position > BATCHES_MAX ? this.position + BigInt(BATCHES_MAX) : placed;
      for (const change of await this.queries.between(this.position, until, walletIds)) {
        for (const watcher of this.watchers.get(change.walletId) ?? []) watcher.tell(change);
      }
      this.position = until;
    }
  }

  private warn(error: unknown): void {
    if (performance.now() - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = performance.now();
    this.logger.warn(`live balances wait: ${String(error)}`);
  }
}
