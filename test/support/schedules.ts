/** Schedules of a service whose clock is put forward: makes them, waits for them, and counts what they posted. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ClockBody } from '../../src/clock/clock.dto.js';
import type { EventBody, EventPageBody } from '../../src/events/events.dto.js';
import type { ScheduleBody } from '../../src/schedules/schedules.dto.js';
import { expectStatus, type Problem } from './client.js';
import type { Service } from './service.js';

export const DAY_MS = 86_400_000;

export class Schedules {
  constructor(private readonly service: Service) {}

  /** The service's time. */
  async now(): Promise<number> {
    return Date.parse(expectStatus(200, await this.service.api.get<ClockBody>('/v1/test-clock')).now);
  }

  /** Puts the clock to a time, or a second later. */
  async putClock(at: number | string): Promise<void> {
    const ahead_seconds = Math.ceil((new Date(at).getTime() - Date.now()) / 1_000) + 1;
    expectStatus(200, await this.service.api.call('PUT', '/v1/test-clock', { ahead_seconds }));
  }

  create(body: object, key?: string) {
    return this.service.api.post<ScheduleBody & Problem>('/v1/schedules', body, key);
  }

  /** A daily one between two new wallets, which starts in an hour; the payer has 100.00. */
  async add(more: object = {}): Promise<ScheduleBody> {
    const { api } = this.service;
    const [from, to] = [await api.newWallet('100.00'), await api.newWallet()];
    const starts_at = new Date((await this.now()) + 3_600_000).toISOString();
    const wallets = { from_wallet_id: from.id, to_wallet_id: to.id };
    return expectStatus(201, await this.create({ ...wallets, amount: '10.00', every: 'daily', starts_at, ...more }));
  }

  async read(id: string): Promise<ScheduleBody> {
    return expectStatus(200, await this.service.api.get<ScheduleBody>(`/v1/schedules/${id}`));
  }

  /** `pause`, `resume` or `cancel`. */
  do(id: string, verb: string, headers: Record<string, string> = {}) {
    return this.service.api.call<ScheduleBody & Problem>('POST', `/v1/schedules/${id}/${verb}`, undefined, headers);
  }

  /** The schedule as soon as so many of its occurrences have an outcome. */
  async after(id: string, outcomes: number, withinMs = 15_000): Promise<ScheduleBody> {
    for (const until = Date.now() + withinMs; ; await delay(25)) {
      const schedule = await this.read(id);
      const { posted, refused, skipped } = schedule.counts;
      if (posted + refused + skipped >= outcomes) return schedule;
      if (Date.now() > until) throw new Error(`nothing came of it: ${JSON.stringify(schedule)}`);
    }
  }

  /** What is wrong with the database, once nothing is due any more: until then a transaction may be under way. */
  async problems(): Promise<string[]> {
    const { database } = this.service;
    const busy = 'SELECT FROM schedules WHERE due_at <= clock_now() OR attempts > 0';
    for (const until = Date.now() + 30_000; Date.now() < until; await delay(25))
      if ((await database.query(busy)).length === 0) return database.problems();
    return ['schedules are still due'];
  }

  /** When occurrences of a schedule were posted: the keys of its transactions. */
  async posted(id: string): Promise<string[]> {
    const rows = await this.service.database.query(
      `SELECT k.key FROM idempotency_keys k JOIN transactions t ON t.id = k.transaction_id
        WHERE t.actor = $1 ORDER BY k.key`,
      [`schedule:${id}`],
    );
    return rows.map(({ key }) => key as string);
  }

  /** The events of a schedule, oldest first. */
  async events(id: string): Promise<Array<EventBody & { data: ScheduleBody }>> {
    const events: EventBody[] = [];
    for (let after = ''; ;) {
      const query = `type=schedule.*&limit=100${after}`;
      const page = expectStatus(200, await this.service.api.get<EventPageBody>(`/v1/events?${query}`));
      events.push(...page.data);
      if (!page.has_more) break;
      after = `&after=${page.last_id}`;
    }
    return events.filter(({ data }) => (data as ScheduleBody).id === id) as Array<EventBody & { data: ScheduleBody }>;
  }
}
