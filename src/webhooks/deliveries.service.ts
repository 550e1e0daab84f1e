/** What became of events on their way to an endpoint, and sending them again. */
import { Injectable } from '@nestjs/common';
import { DataSource, LessThan, type QueryRunner } from 'typeorm';
import { AuditService } from '../audit/audit.service.js';
import type { Caller } from '../caller.js';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import { eventId, placeOf } from '../events/event-id.js';
import { typesOf } from '../events/events.queries.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import { CURSOR_ID, pageOf, readCursor, type Page } from '../paging.js';
import { inUtc } from '../validation.js';
import { WebhookDelivery } from './webhook.entities.js';
import { insertDeliveries, toDue } from './webhook.store.js';
import {
  deliveryBody,
  type ListDeliveriesQuery,
  type ReplayBody,
  type ReplayDto,
  type WebhookDeliveryBody,
} from './webhooks.dto.js';
import { WebhooksService } from './webhooks.service.js';

/** Events that one call sends again; a longer time takes several. */
export const REPLAYED_MAX = 10_000;

@Injectable()
export class DeliveriesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly idempotency: IdempotencyService,
    private readonly webhooks: WebhooksService,
    private readonly audit: AuditService,
  ) {}

  /** Deliveries of an endpoint with their attempts, newest first. @throws {Problem} `webhook_endpoint_not_found` */
  async list(endpointId: string, query: ListDeliveriesQuery): Promise<Page<WebhookDeliveryBody>> {
    await this.webhooks.read(endpointId);
    const list = `deliveries/${endpointId}`;
    const after = readCursor(list, query.cursor, CURSOR_ID);
    const rows = await this.dataSource.manager.find(WebhookDelivery, {
      where: {
        endpointId,
        ...(query.status === undefined ? {} : { status: query.status }),
        ...(query.event_id === undefined ? {} : { eventId: query.event_id }),
        ...(after === undefined ? {} : { id: LessThan(after) }),
      },
      order: { id: 'DESC' },
      take: query.limit + 1,
    });
    return pageOf(list, rows, query.limit, ({ id }) => id, deliveryBody);
  }

  /**
   * Sends one event again, or those of a time that the endpoint is for, under their old ids. They queue behind what waits.
   * @throws {Problem} `webhook_endpoint_not_found`, `events_expired`, and where there are more than {@link REPLAYED_MAX}
   */
  async replay(endpointId: string, dto: ReplayDto, caller: Caller): Promise<Answer<ReplayBody>> {
    const { event_id: event, from, before, only } = dto;
    if ((event === undefined) === (from === undefined))
      throw Problem.field('event_id', 'or from is needed, and not both');
    if (event !== undefined && before !== undefined)
      throw Problem.field('before', 'is only for a time that begins with from');
    if (from !== undefined && before !== undefined && Date.parse(before) <= Date.parse(from))
      throw Problem.field('before', 'must be after from');
    if (event !== undefined && !placeOf(event)) throw Problem.field('event_id', 'must be the id of an event');
    const { types } = await this.webhooks.read(endpointId);
    const request = ['webhooks.replay', endpointId, event, from, before, only];
    return this.idempotency.record(caller, request, async (runner) => {
      const due = event === undefined ? await within(runner, endpointId, types, dto) : await oneEvent(runner, event);
      // Whoever deals events out to it holds the endpoint as well: deliveries are seen in the order of their numbers. It is held
      // for those only: while it was held for the search too, which takes seconds, nothing else was sent to it.
      const held = (await runner.query('SELECT id FROM webhook_endpoints WHERE id = $1 FOR UPDATE', [
        endpointId,
      ])) as RawRow[];
      if (held.length === 0) throw new Problem('webhook_endpoint_not_found', 'The webhook endpoint was deleted.');
      await insertDeliveries(runner, endpointId, due.map(toDue), true);
      await this.audit.record(runner, caller, {
        ...{ action: 'webhook.replayed', objectType: 'webhook_endpoint', objectId: endpointId },
        details: { ...dto, deliveries: due.length },
      });
      return { deliveries: due.length };
    });
  }
}

async function oneEvent(runner: QueryRunner, id: string): Promise<RawRow[]> {
  const { batch, ordinal } = placeOf(id)!;
  const rows = (await runner.query(`${EVENTS} WHERE e.batch = $1 AND e.ordinal = $2 ${BY_EVENT}`, [
    String(batch),
    ordinal,
  ])) as RawRow[];
  if (rows.length === 0) throw new Problem('events_expired', `The event ${id} is no longer kept.`);
  return rows;
}

async function within(runner: QueryRunner, endpointId: string, names: string[], { from, before, only }: ReplayDto) {
  const types = names.length === 0 ? null : typesOf(names, 'types');
  const time = [inUtc(from!), before === undefined ? null : inUtc(before)];
  const parameters = [...time, types, endpointId, REPLAYED_MAX + 1];
  const rows = (await (only === 'dead'
    ? runner.query(select(DEAD), [...parameters, firstId(from!, 0), firstId(before ?? LAST_DAY, 1)])
    : runner.query(select(''), parameters))) as RawRow[];
  if (rows.length <= REPLAYED_MAX) return rows;
  throw Problem.field('before', `must be earlier: more than ${REPLAYED_MAX} events lie in this time`);
}

/** An id that no event of this time, or later, comes before. */
const firstId = (time: string, moreMs: number) =>
  eventId({ batch: 0n, ordinal: 0 }, new Date(Math.max(0, Date.parse(time) + moreMs)));
const LAST_DAY = '9999-12-31T00:00:00Z';

const EVENTS = `
  SELECT e.batch, e.ordinal, e.type, b.created_at, array_agg(e.subject_id ORDER BY e.place) AS subject_ids
    FROM outbox_batches b JOIN outbox e ON e.batch = b.id`;
const BY_EVENT = 'GROUP BY b.position, e.batch, e.ordinal, e.type, b.created_at ORDER BY b.position, e.ordinal';

/** What came later than it has dealt out reaches the endpoint anyway. */
const select = (which: string) => `${EVENTS}
   WHERE b.created_at >= $1::timestamptz AND ($2::timestamptz IS NULL OR b.created_at < $2)
     AND b.position <= (SELECT position FROM webhook_endpoints WHERE id = $4)
     AND CASE e.type WHEN 'webhook_endpoint.test' THEN e.object_id = $4 ELSE $3::text[] IS NULL OR e.type = ANY($3) END
     ${which} ${BY_EVENT} LIMIT $5`;

/**
 * Those whose last delivery is dead, of which there are few: 0.9 s among two million. To look for deliveries of each event of the
 * time took 10 s and more. Ids of events begin with their times, so a shorter time reads less.
 */
const DEAD = `
     AND (e.batch, e.ordinal) IN (
       SELECT d.batch, d.ordinal FROM webhook_deliveries d
        WHERE d.endpoint_id = $4 AND d.status = 'dead' AND d.event_id >= $6 AND d.event_id < $7
          AND NOT EXISTS (
            SELECT FROM webhook_deliveries later
             WHERE later.event_id = d.event_id AND later.endpoint_id = d.endpoint_id AND later.n > d.n))`;
