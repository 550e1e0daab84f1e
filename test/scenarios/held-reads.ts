/** Whether every answer about a wallet had in `held` exactly what its active holds set aside in that moment (R14). */
import type { EventBody, EventPageBody } from '../../src/events/events.dto.js';
import type { HoldBody } from '../../src/transactions/holds.dto.js';
import { expectStatus, type WalletClient } from '../support/client.js';

interface Read {
  walletId: string;
  version: number;
  held: string;
  /** When it was asked for and answered, in milliseconds since 1970. */
  from: number;
  until: number;
}

export class HeldReads {
  private readonly reads: Read[] = [];
  private isOver = false;
  private readonly readers: Array<Promise<void>>;

  /** Begins to read, through each of these clients. */
  constructor(
    private readonly apis: WalletClient[],
    private readonly walletIds: string[],
  ) {
    this.readers = apis.map(async (api) => {
      for (let n = 0; !this.isOver; n++) {
        const walletId = walletIds[n % walletIds.length]!;
        const from = Date.now();
        const { version, held } = await api.wallet(walletId);
        this.reads.push({ walletId, version, held, from, until: Date.now() });
      }
    });
  }

  /** Ends reading. @returns how many there were, and those that no moment between question and answer explains. */
  async end(): Promise<{ count: number; wrong: object[] }> {
    this.isOver = true;
    await Promise.all(this.readers);
    const wrong: object[] = [];
    for (const walletId of this.walletIds) {
      const events = await holdEventsOf(this.apis[0]!, walletId);
      for (const read of this.reads) {
        if (read.walletId !== walletId) continue;
        const possible = heldWithin(events, read);
        if (!possible.has(Math.round(Number(read.held) * 100))) wrong.push({ ...read, possible: [...possible] });
      }
    }
    return { count: this.reads.length, wrong };
  }
}

async function holdEventsOf(api: WalletClient, walletId: string): Promise<EventBody[]> {
  const events: EventBody[] = [];
  for (let after = ''; ;) {
    const path = `/v1/events?wallet_id=${walletId}&type=hold.*&limit=100${after}`;
    const { data, last_id, has_more } = expectStatus(200, await api.get<EventPageBody>(path));
    events.push(...data);
    if (!has_more) return events;
    after = `&after=${last_id}`;
  }
}

/** What may have been held at the version of a read, in minor units, at any moment that it may be of. */
function heldWithin(events: EventBody[], { walletId, version, from, until }: Read): Set<number> {
  const holds = new Map<string, HoldBody>();
  for (const { data, wallets } of events) {
    if (wallets.find(({ wallet_id }) => wallet_id === walletId)!.version > version) break;
    holds.set((data as HoldBody).id, data as HoldBody);
  }
  const active = [...holds.values()].filter(({ status }) => status === 'active');
  const ends = active.map(({ expires_at }) => Date.parse(expires_at)).filter((at) => at >= from && at <= until);
  const heldAt = (moment: number) =>
    active.reduce((sum, { remaining, expires_at }) => {
      return Date.parse(expires_at) > moment ? sum + Math.round(Number(remaining) * 100) : sum;
    }, 0);
  return new Set([from, ...ends, until].map(heldAt));
}
