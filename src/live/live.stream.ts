/**
 * One open stream: Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html) over one response.
 * It is either level with what happens, and passes on what the hub tells; or it is behind, and reads what its reader lacks
 * from the database, a page at a time, as fast as the reader takes it. It goes by places, which rise within a wallet, so
 * nothing is told twice and nothing is left out. However much happens and however slow the reader is, it keeps one page.
 */
import type { ServerResponse } from 'node:http';
import type { EventPlace } from '../events/event-id.js';
import type { Watcher } from './live.hub.js';
import type { Change, LiveQueries } from './live.queries.js';

/** With more than this not taken yet it falls behind: 600 messages. */
const UNREAD_BYTES_MAX = 256 * 1024;
/** A reader that takes nothing for so long is cut off, and can come back. */
const STALLED_MS_MAX = 15_000;
const PAGE = 500;

export class LiveStream implements Watcher {
  /** Behind from the start: until it is open, and what has happened meanwhile is told. */
  private isBehind = true;
  private hasMore = false;
  private sent: EventPlace = { batch: 0n, ordinal: 0 };
  private response?: ServerResponse;
  isOver = false;

  constructor(
    readonly walletId: string,
    private readonly queries: LiveQueries,
  ) {}

  /** Begins with how the wallet stands, or with what came after a place. */
  async open(response: ServerResponse, from: { standing: Change } | { after: EventPlace }): Promise<void> {
    this.response = response;
    if (this.isOver) return void response.end();
    if ('standing' in from) this.send(from.standing);
    else [this.sent, this.hasMore] = [from.after, true];
    await this.catchUp();
  }

  tell(change: Change): void {
    if (this.isBehind) return void (this.hasMore = true);
    this.send(change);
    if (this.isFull) this.fallBehind();
  }

  /** A comment: proxies and readers see that the connection lives. */
  beat(): void {
    if (!this.isOver && !this.isFull) this.response?.write(': \n\n');
  }

  /** Ends it in order. */
  end(): void {
    this.isOver = true;
    this.response?.end();
  }

  /** Ends it where nothing more can be told: its reader comes back. */
  cut(): void {
    this.isOver = true;
    this.response?.destroy();
  }

  private get isFull(): boolean {
    return this.response !== undefined && this.response.writableLength > UNREAD_BYTES_MAX;
  }

  private fallBehind(): void {
    this.isBehind = true;
    this.catchUp().catch(() => this.cut());
  }

  private async catchUp(): Promise<void> {
    for (;;) {
      if (this.isFull) await this.drained();
      if (this.isOver || !this.hasMore) break;
      this.hasMore = false;
      const missed = await this.queries.ofWallet(this.walletId, this.sent, PAGE);
      for (const change of missed) this.send(change);
      if (missed.length === PAGE) this.hasMore = true;
    }
    this.isBehind = false;
  }

  private send({ place, message }: Change): void {
    if (place) {
      if (!isLater(place, this.sent)) return;
      this.sent = place;
    }
    if (!this.isOver) this.response!.write(message);
  }

  /** Resolves when there is room again, or nobody reads any more. */
  private drained(): Promise<void> {
    return new Promise((resolve) => {
      const response = this.response!;
      if (response.destroyed) return resolve();
      const stalled = setTimeout(() => this.cut(), STALLED_MS_MAX).unref();
      const go = () => {
        clearTimeout(stalled);
        response.off('drain', go).off('close', go);
        resolve();
      };
      response.once('drain', go).once('close', go);
    });
  }
}

function isLater(a: EventPlace, b: EventPlace): boolean {
  return a.batch > b.batch || (a.batch === b.batch && a.ordinal > b.ordinal);
}
