/** Reads events: all of them in the order of their positions, those of a wallet in the wallet's own. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { inSnapshot } from '../database/transaction.js';
import { Problem } from '../errors.js';
import { formatAmount } from '../money.js';
import { transactionBody } from '../transactions/transactions.dto.js';
import { TransactionsQueries } from '../transactions/transactions.queries.js';
import { WalletCurrencies } from '../wallets/wallet-currencies.js';
import { eventId, ORDINAL_MAX, placeOf, type EventPlace } from './event-id.js';
import { EventPositions } from './event-positions.js';
import { EVENT_TYPES, type EventType } from './event-types.js';
import type { EventBody, EventPageBody, ListEventsQuery } from './events.dto.js';

/** Batches that one request looks through: with a filter that nothing matches, it ends there and says so. */
const BATCHES_MAX = 2_000;
/** The same for the events of one wallet: a request that passes over so many takes 13 to 17 ms. */
const OF_SUBJECT_MAX = 10_000;

/** An event as it is kept, with all that it concerns. */
export interface KeptEvent extends EventPlace {
  id: string;
  type: EventType;
  objectId: string;
  createdAt: Date;
  /** Its batch's place among all; of a wallet's own events it may not be given yet. */
  position: bigint | null;
  subjects: Array<{ id: string; version: number | null; balance: string | null; held: string | null }>;
  body: object | null;
}

/** Events, and up to where there are no others that were asked for. */
interface Looked {
  events: KeptEvent[];
  /** Whether that is all there is by now. */
  isEnd: boolean;
  /** The id to go on from, where there is any. */
  seenUntil?: string;
}

@Injectable()
export class EventsQueries {
  constructor(
    private readonly dataSource: DataSource,
    private readonly transactions: TransactionsQueries,
    private readonly currencies: WalletCurrencies,
    private readonly positions: EventPositions,
  ) {}

  /** @throws {Problem} `wallet_not_found`, `events_expired`, and on an `after` or `type` that is none */
  async list({ limit, after, type, wallet_id: walletId }: ListEventsQuery): Promise<EventPageBody> {
    const types = type === undefined ? undefined : typesOf([type], 'type');
    if (walletId !== undefined) await this.currencies.of(walletId);
    const from = after === undefined ? undefined : await this.placeAfter(after);
    if (from?.position === null && walletId === undefined) return { data: [], last_id: after!, has_more: true };
    const page = await (walletId === undefined
      ? this.afterPosition(from?.position ?? (await this.beforeFirst()), from?.ordinal ?? ORDINAL_MAX, limit + 1, types)
      : this.ofWallet(walletId, from, limit + 1, types));
    const shown = page.events.slice(0, limit);
    const isCut = page.events.length > limit;
    const lastId = isCut ? shown.at(-1)!.id : page.seenUntil;
    return { data: await this.bodies(shown), last_id: lastId ?? after ?? null, has_more: isCut || !page.isEnd };
  }

  /**
   * Events after a place in the order of all, oldest first. It looks through so many batches, matching or not, and goes on
   * from the last of them: a filter that matches nothing for a month must not stay at what is no longer kept.
   */
  private async afterPosition(
    position: bigint,
    ordinal: number,
    most: number,
    types?: readonly EventType[],
  ): Promise<Looked> {
    const placed = await this.positions.place();
    const furthest = position + BigInt(BATCHES_MAX);
    const isEnd = furthest >= placed;
    const until = String(isEnd ? placed : furthest);
    const parameters = [String(position), ordinal, until, types ?? null, most];
    const events = toEvents(await this.dataSource.query(selectEvents(AFTER_POSITION), parameters));
    const [last]: RawRow[] = await this.dataSource.query(
      'SELECT id, created_at FROM outbox_batches WHERE position <= $1 ORDER BY position DESC LIMIT 1',
      [until],
    );
    return { events, isEnd, seenUntil: last && endOf(BigInt(last.id), last.created_at) };
  }

  /**
   * Events that concern a wallet, in the order in which they happened to it. Batches get their numbers before they are committed, so at the
   * end of a quiet wallet's it goes on from the last of all that nothing can come before any more.
   */
  private async ofWallet(
    walletId: string,
    after: EventPlace | undefined,
    most: number,
    types?: readonly EventType[],
  ): Promise<Looked> {
    const from = [walletId, String(after?.batch ?? 0n), after?.ordinal ?? 0];
    // In one snapshot: whatever is committed or deleted meanwhile, the end of the look is that of this very look.
    const { events, settled, end } = await inSnapshot(this.dataSource, async (runner) => {
      const events = toEvents(await runner.query(selectEvents(OF_SUBJECT), [...from, types ?? null, most]));
      const [settled]: RawRow[] = await runner.query(SETTLED);
      const [end]: RawRow[] = types && events.length < most ? await runner.query(END_OF_LOOK, from) : [];
      return { events, settled, end };
    });
    if (end) {
      const place = { batch: BigInt(end.batch), ordinal: end.ordinal as number };
      return { events, isEnd: false, seenUntil: eventId(place, end.created_at) };
    }
    const last = events.at(-1);
    const isBehind = settled !== undefined && BigInt(settled.id) > (last ?? after ?? { batch: 0n }).batch;
    return { events, isEnd: true, seenUntil: isBehind ? endOf(BigInt(settled.id), settled.created_at) : last?.id };
  }

  /** The event at a place, or nothing where it is no longer kept. */
  async at({ batch, ordinal }: EventPlace): Promise<KeptEvent | undefined> {
    const parameters = [String(batch), ordinal];
    return toEvents(await this.dataSource.query(selectEvents(AT), parameters))[0];
  }

  /** The position before the oldest event that is kept. */
  private async beforeFirst(): Promise<bigint> {
    const [row]: RawRow[] = await this.dataSource.query(
      'SELECT coalesce(min(position) - 1, (SELECT position FROM outbox_place)) AS position FROM outbox_batches',
    );
    return BigInt(row!.position);
  }

  /**
   * Where to go on after an event; without a position where others have to be given theirs first.
   * @throws {Problem} `events_expired` where it is no longer kept; on an id that no event has.
   */
  private async placeAfter(id: string): Promise<EventPlace & { position: bigint | null }> {
    const place = placeOf(id);
    if (!place) throw noEvent();
    await this.positions.place();
    const [row]: RawRow[] = await this.dataSource.query(
      `SELECT b.id IS NOT NULL AS is_kept, b.position, (SELECT max(id) FROM outbox_batches) AS last
         FROM (SELECT) one LEFT JOIN outbox_batches b ON b.id = $1`,
      [String(place.batch)],
    );
    if (row!.is_kept) return { ...place, position: row!.position === null ? null : BigInt(row!.position) };
    if (row!.last !== null && place.batch > BigInt(row!.last)) throw noEvent();
    throw new Problem('events_expired', 'What came right after this event is no longer kept.');
  }

  /** Events as they are told, `data` being what the API answers. */
  async bodies(events: readonly KeptEvent[]): Promise<EventBody[]> {
    const ids = events.flatMap(({ type, objectId }) => (type === 'transaction.posted' ? [objectId] : []));
    const transactions = ids.length > 0 ? await this.transactions.findAll(ids) : new Map();
    return Promise.all(
      events.map(async (event): Promise<EventBody> => ({
        id: event.id,
        type: event.type,
        timestamp: event.createdAt.toISOString(),
        wallets: await this.walletsOf(event),
        data: event.body ?? transactionBody(transactions.get(event.objectId)),
      })),
    );
  }

  private async walletsOf({ subjects }: KeptEvent): Promise<EventBody['wallets']> {
    const wallets: EventBody['wallets'] = [];
    for (const { id, version, balance, held } of subjects) {
      if (balance === null || held === null) continue;
      const currency = await this.currencies.of(id);
      const money = (minor: bigint) => formatAmount(minor, currency);
      const [balanceMinor, heldMinor] = [BigInt(balance), BigInt(held)];
      wallets.push({
        ...{ wallet_id: id, version: version!, currency },
        ...{ balance: money(balanceMinor), held: money(heldMinor), available: money(balanceMinor - heldMinor) },
      });
    }
    return wallets;
  }
}

/** The place behind all events of a batch. */
function endOf(batch: bigint, createdAt: Date): string {
  return eventId({ batch, ordinal: ORDINAL_MAX }, createdAt);
}

function noEvent(): Problem {
  return Problem.field('after', 'must be the id of an event');
}

/**
 * The types that names mean: `hold.*` is all of holds.
 * @throws {Problem} naming the field where one means none
 */
export function typesOf(names: readonly string[], field: string): EventType[] {
  const all = Object.keys(EVENT_TYPES) as EventType[];
  return names.flatMap((name) => {
    const meant = all.filter((type) => type === name || (name.endsWith('.*') && type.startsWith(name.slice(0, -1))));
    if (meant.length === 0)
      throw Problem.field(field, `must be an event type such as ${all[0]}, or a kind such as hold.*`);
    return meant;
  });
}

/** The rows of a page of events, all subjects of each. @param page SQL of (batch, ordinal) */
const selectEvents = (page: string) => `
  WITH page AS (${page})
  SELECT b.position, b.created_at, e.batch, e.ordinal, e.type, e.object_id, e.subject_id, e.version, e.balance, e.held, e.body
    FROM page JOIN outbox_batches b ON b.id = page.batch
    JOIN outbox e ON e.batch = page.batch AND e.ordinal = page.ordinal
   ORDER BY b.position, e.batch, e.ordinal, e.place`;

const AFTER_POSITION = `
  SELECT e.batch, e.ordinal FROM outbox_batches b JOIN outbox e ON e.batch = b.id
   WHERE b.position >= $1 AND b.position <= $3 AND (b.position > $1 OR e.ordinal > $2) AND e.place = 0
     AND ($4::text[] IS NULL OR e.type = ANY($4))
   ORDER BY b.position, e.ordinal LIMIT $5`;

const OF_SUBJECT = `
  SELECT batch, ordinal FROM (
    SELECT batch, ordinal, type FROM outbox WHERE subject_id = $1 AND (batch, ordinal) > ($2, $3)
     ORDER BY batch, ordinal LIMIT ${OF_SUBJECT_MAX}) looked
   WHERE $4::text[] IS NULL OR type = ANY($4)
   ORDER BY batch, ordinal LIMIT $5`;
/** The last that it looked at, where there may be more behind it. */
const END_OF_LOOK = `
  SELECT e.batch, e.ordinal, b.created_at FROM (
    SELECT batch, ordinal FROM outbox WHERE subject_id = $1 AND (batch, ordinal) > ($2, $3)
     ORDER BY batch, ordinal OFFSET ${OF_SUBJECT_MAX - 1} LIMIT 1) e
    JOIN outbox_batches b ON b.id = e.batch`;

/** No transaction takes an hour. */
const SETTLED = `
  SELECT id, created_at FROM outbox_batches WHERE created_at < clock_now() - interval '1 hour'
   ORDER BY created_at DESC LIMIT 1`;

const AT = 'SELECT $1::bigint AS batch, $2::int AS ordinal';

function toEvents(rows: RawRow[]): KeptEvent[] {
  const events: KeptEvent[] = [];
  for (const row of rows) {
    const place = { batch: BigInt(row.batch), ordinal: row.ordinal as number };
    const subject = { id: row.subject_id, version: row.version, balance: row.balance, held: row.held };
    const last = events.at(-1);
    if (last?.batch === place.batch && last.ordinal === place.ordinal) {
      last.subjects.push(subject);
      continue;
    }
    events.push({
      ...{ ...place, id: eventId(place, row.created_at), type: row.type, objectId: row.object_id },
      ...{ createdAt: row.created_at, position: row.position === null ? null : BigInt(row.position) },
      ...{ subjects: [subject], body: row.body },
    });
  }
  return events;
}
