/**
 * The deliveries of one endpoint, in the process that works at it. In memory are the first that wait (the window); it looks
 * further where more could be sent than may be of those. So a receiver that cannot take the events of one wallet still
 * gets those of all others, and a backlog of any length costs the same memory.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { DeliveryOrder } from './webhook.order.js';
import type { PendingDelivery, TakenEndpoint, WebhookStore } from './webhook.store.js';

/** Deliveries in the windows of a process, of 0.5 KB each: a thousand lanes of a thousand would be 0.5 GB. */
const WINDOWS_MAX = 50_000;
const [WINDOW_MIN, WINDOW_MAX] = [50, 1_000];
/** Wallets that wait, of what was looked through beyond them: 0.1 KB each. */
const WALLETS_MAX = 500_000;
/** With less than this part in the window, and more behind it, it is read anew. */
const WINDOW_LOW = 1 / 5;
/** What is looked through beyond the window, at a time. */
const PAGE = 1_000;
/** How far a round looks beyond the window: what may wait at all. */
const PAGES_MAX = 50;
/** After a database that did not answer; before it deals again where there was no room, and looks again in vain. */
const PAUSE_MS = 1_000;

export interface LaneOptions {
  /** How many lanes there are in the process. */
  lanes: () => number;
  worker: string;
  concurrency: number;
  store: WebhookStore;
  /** Sends a delivery, and writes down what became of it. @returns after how many ms to try again; nothing where it has ended */
  deliver: (endpoint: TakenEndpoint, delivery: PendingDelivery, signal: AbortSignal) => Promise<number | undefined>;
  warn: (message: string) => void;
}

/**
 * What lies beyond the window, as far as it was looked through. To read 25,000 deliveries takes 0.4 s, so they are read
 * anew only where one may have become free; what was dealt out meanwhile is read on behind them.
 */
interface Scan {
  order: DeliveryOrder<PendingDelivery>;
  last: bigint;
  /** Nothing was behind it. */
  isAtEnd: boolean;
  /** Something has ended since. */
  isStale: boolean;
}

export class WebhookLane {
  private window: PendingDelivery[] = [];
  private readonly underWay = new Map<string, { delivery: PendingDelivery; ended: Promise<void> }>();
  private readonly stopping = new AbortController();
  private hasMore = true;
  /** Somebody changed the endpoint. Where they made it active again, all that waits may be tried at once. */
  private isOutdated = false;
  private scan?: Scan;
  /** When it last looked beyond the window from its end on, and whether it found nothing. */
  private scannedAt = -Infinity;
  private wasInVain = false;
  /** Events up to here may be dealt out, and not before this time. */
  private placed = 0n;
  private dealAt = -Infinity;
  private working?: Promise<void>;
  private isAgain = false;

  /** @param leaseUntil after this time (`performance.now()`) somebody else may be at it. */
  constructor(
    private endpoint: TakenEndpoint,
    private leaseUntil: number,
    private readonly options: LaneOptions,
  ) {}

  /** Takes over what is known anew of the endpoint: its settings, and whether others made deliveries (a replay). */
  renew(endpoint: TakenEndpoint, leaseUntil: number): void {
    const { position, version } = this.endpoint;
    if (endpoint.version !== version) this.isOutdated = true;
    this.endpoint = { ...endpoint, position: endpoint.position > position ? endpoint.position : position };
    this.leaseUntil = leaseUntil;
    if (endpoint.lastPending > (this.scan?.last ?? this.window.at(-1)?.n ?? 0n)) this.expectMore();
  }

  /** Does what there is to do: deals out events up to a position, and sends what may be sent. Never rejects. */
  work(placed = 0n): void {
    if (placed > this.placed) this.placed = placed;
    if (this.working) return void (this.isAgain = true);
    this.working = this.round()
      .catch((error: unknown) => this.options.warn(`webhooks to ${this.endpoint.id} wait: ${String(error)}`))
      .finally(() => {
        this.working = undefined;
        if (this.isAgain) {
          this.isAgain = false;
          this.work();
        }
      });
  }

  /** Takes nothing more on, and resolves when what is under way has ended, or was given up after so long. */
  async stop(graceMs: number): Promise<void> {
    this.leaseUntil = -Infinity;
    const ended = Promise.all([this.working, ...[...this.underWay.values()].map(({ ended }) => ended)]);
    await Promise.race([ended, delay(graceMs, undefined, { ref: false })]);
    this.stopping.abort();
    await ended;
  }

  private get isOurs(): boolean {
    return performance.now() < this.leaseUntil;
  }

  private expectMore(): void {
    this.hasMore = true;
    if (this.scan) this.scan.isAtEnd = false;
  }

  private async round(): Promise<void> {
    const { store, worker } = this.options;
    while (this.isOurs && this.endpoint.position < this.placed && performance.now() >= this.dealAt) {
      const position = await store.dealOut(worker, this.endpoint.id, this.placed);
      // To find that there is no room, 50,000 are counted.
      if (position === undefined) this.dealAt = performance.now() + PAUSE_MS;
      else {
        this.endpoint.position = position;
        this.expectMore();
      }
    }
    if (!this.isOurs) return;
    const most = Math.min(Math.max(WINDOW_MIN, Math.floor(WINDOWS_MAX / this.options.lanes())), WINDOW_MAX);
    if (this.isOutdated || (this.hasMore && this.window.length < most * WINDOW_LOW)) await this.look(most);
    if (this.window.length > most) {
      this.window = this.window.slice(0, most);
      [this.hasMore, this.scan] = [true, undefined];
    }
    // Stopped, or its lease is over, while it looked: another process may be sending by now.
    if (this.isOurs) await this.pump();
  }

  /** Reads the window anew. What was under way meanwhile is known better here than it was there. */
  private async look(most: number): Promise<void> {
    const underWay = new Map(this.underWay);
    this.isOutdated = false;
    const found = await this.options.store.pending(this.endpoint.id, 0n, most);
    this.hasMore = found.length === most;
    this.scan = undefined;
    this.window = found.map((read) => underWay.get(read.id)?.delivery ?? read).filter(({ hasEnded }) => !hasEnded);
  }

  private async pump(): Promise<void> {
    const order = new DeliveryOrder<PendingDelivery>(new Set(this.underWay.keys()));
    this.start(order.next(this.window, this.room, performance.now()));
    const end = this.window.at(-1)?.n;
    if (this.hasMore && end !== undefined && this.room > 0) await this.lookBeyond(order, end);
  }

  private get room(): number {
    return this.options.concurrency - this.underWay.size;
  }

  /** @param order that has gone through the window, which ends there. */
  private async lookBeyond(order: DeliveryOrder<PendingDelivery>, end: bigint): Promise<void> {
    const isNew = !this.scan || this.scan.isStale || this.scan.order.dueAt <= performance.now();
    const isSoon = performance.now() - this.scannedAt < PAUSE_MS && (this.wasInVain || this.underWay.size > 0);
    const isAnew = isNew && !isSoon;
    if (isAnew) {
      this.scan = { order, last: end, isAtEnd: false, isStale: false };
      this.scannedAt = performance.now();
      this.wasInVain = true;
    }
    const { scan } = this;
    for (let page = 0; page < PAGES_MAX && scan && !scan.isAtEnd && this.room > 0; page++) {
      const further = await this.options.store.pending(this.endpoint.id, scan.last, PAGE);
      if (!this.isOurs) return;
      const found = scan.order.next(further, this.room, performance.now());
      if (isAnew && found.length > 0) this.wasInVain = false;
      this.start(found);
      // Where there is no more room, the last that it took on is the last that it looked at.
      scan.last = (this.room > 0 ? further : found).at(-1)?.n ?? scan.last;
      scan.isAtEnd = this.room > 0 && further.length < PAGE;
    }
    if (scan && scan.order.size > WALLETS_MAX / this.options.lanes()) this.scan = undefined;
  }

  private start(deliveries: PendingDelivery[]): void {
    for (const delivery of deliveries) {
      const { endpoint } = this;
      const ended = this.options
        .deliver(endpoint, delivery, this.stopping.signal)
        .then((retryAfterMs) => {
          if (retryAfterMs !== undefined) delivery.nextAttemptAt = performance.now() + retryAfterMs;
          else {
            delivery.hasEnded = true;
            this.window = this.window.filter(({ id }) => id !== delivery.id);
          }
        })
        .catch((error: unknown) => {
          // What became of it was not written down, so it is sent again, under the same id.
          delivery.nextAttemptAt = performance.now() + PAUSE_MS;
          this.options.warn(`delivery ${delivery.id} was not sent, or not written down: ${String(error)}`);
        })
        .finally(() => {
          this.underWay.delete(delivery.id);
          if (this.scan) this.scan.isStale = true;
          if (this.isOurs) this.work();
        });
      this.underWay.set(delivery.id, { delivery, ended });
    }
  }
}
