/**
 * Sends events to endpoints. Any number of processes share the work: each endpoint is with one of them at a time, which
 * says every few seconds that it is still there; what a process that died has left is taken over after 15 seconds. A
 * delivery that was sent and not written down before its process died is sent again under the same id: at least once.
 */
import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import { inTransaction } from '../database/transaction.js';
import { EventPositions } from '../events/event-positions.js';
import { EventsQueries } from '../events/events.queries.js';
import { Outbox } from '../events/outbox.service.js';
import { newId } from '../ids.js';
import { Metrics } from '../telemetry/metrics.js';
import { withoutQuery } from './webhook.addresses.js';
import { WebhookEndpoint, type Attempt, type DisabledReason } from './webhook.entities.js';
import { WebhookLane } from './webhook.lane.js';
import { WebhookSecrets } from './webhook.secrets.js';
import { WebhookSender, type Sent } from './webhook.sender.js';
import {
  LEASE_SECONDS,
  placeOfDelivery,
  WebhookStore,
  type PendingDelivery,
  type TakenEndpoint,
} from './webhook.store.js';
import { endpointBody } from './webhooks.dto.js';

/** How often it looks for events; half of it is what an event waits on average. */
const TICK_MS = 200;
/** How often it says that it still is at its endpoints, and looks for others; at once again where it found some. */
const KEEP_EVERY_MS = 1_000;
/** It takes nothing more on when what is left of its time is as little as this. */
const SPARE_MS = (LEASE_SECONDS * 1_000) / 3;
/** What is under way at a shutdown has this long to end. */
const GRACE_MS = 3_000;
const WARN_EVERY_MS = 10_000;
const RETRY_AFTER_SECONDS_MAX = 86_400;

@Injectable()
export class WebhookDispatcher implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(WebhookDispatcher.name);
  private readonly worker = newId();
  private readonly lanes = new Map<string, WebhookLane>();
  private timer?: NodeJS.Timeout;
  private ticking?: Promise<void>;
  private keptAt = -Infinity;
  private hasFound = false;
  private warnedAt = -Infinity;
  private isStopping = false;

  constructor(
    private readonly dataSource: DataSource,
    private readonly store: WebhookStore,
    private readonly sender: WebhookSender,
    private readonly secrets: WebhookSecrets,
    private readonly events: EventsQueries,
    private readonly outbox: Outbox,
    private readonly metrics: Metrics,
    private readonly positions: EventPositions,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.config.background) return;
    this.timer = setInterval(() => {
      this.ticking ??= this.tick()
        .catch((error: unknown) => this.warn(`webhooks wait: ${String(error)}`))
        .finally(() => (this.ticking = undefined));
    }, TICK_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    clearInterval(this.timer);
    await this.ticking;
    await Promise.all([...this.lanes.keys()].map((id) => this.leave(id)));
  }

  private async tick(): Promise<void> {
    await this.takeAndKeep();
    if (this.lanes.size === 0 || this.isStopping) return;
    const placed = await this.positions.place();
    for (const lane of this.lanes.values()) lane.work(placed);
  }

  private async takeAndKeep(): Promise<void> {
    const askedAt = performance.now();
    const isTime = askedAt - this.keptAt >= KEEP_EVERY_MS;
    if (!isTime && !this.hasFound) return;
    const kept = isTime && this.lanes.size > 0 ? await this.store.keep(this.worker, [...this.lanes.keys()]) : [];
    const taken = await this.store.take(this.worker);
    this.hasFound = taken.length > 0;
    const ours = new Map([...kept, ...taken].map((endpoint) => [endpoint.id, endpoint]));
    if (isTime) for (const id of this.lanes.keys()) if (!ours.has(id)) void this.leave(id);
    for (const [id, endpoint] of ours) {
      const lane = this.lanes.get(id);
      const leaseUntil = askedAt + endpoint.leaseMs - SPARE_MS;
      if (!lane) this.lanes.set(id, new WebhookLane(endpoint, leaseUntil, this.laneOptions()));
      else lane.renew(endpoint, leaseUntil);
    }
    if (isTime) this.keptAt = askedAt;
  }

  /** Ends the work at an endpoint; only then is it another's to take. */
  private async leave(id: string): Promise<void> {
    const lane = this.lanes.get(id);
    this.lanes.delete(id);
    await lane?.stop(GRACE_MS);
    await this.store.leave(this.worker, [id]).catch((error: unknown) => this.warn(`webhooks wait: ${String(error)}`));
  }

  private laneOptions() {
    return {
      lanes: () => this.lanes.size,
      worker: this.worker,
      concurrency: this.config.webhookConcurrency,
      store: this.store,
      deliver: (endpoint: TakenEndpoint, delivery: PendingDelivery, signal: AbortSignal) =>
        this.deliver(endpoint, delivery, signal),
      warn: (message: string) => this.warn(message),
    };
  }

  private async deliver(
    endpoint: TakenEndpoint,
    delivery: PendingDelivery,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const at = new Date().toISOString();
    const event = await this.events.at(placeOfDelivery(delivery));
    const sent: Sent = event
      ? await this.sender.send(
          {
            ...{ url: endpoint.url, secrets: await this.secretsOf(endpoint), eventId: event.id },
            body: JSON.stringify((await this.events.bodies([event]))[0]),
          },
          signal,
        )
      : { durationMs: 0, statusCode: null, error: 'the event is no longer kept', response: null };
    if (signal.aborted) return 0; // it was given up, and is not counted
    const { durationMs: duration_ms, statusCode: status_code, error, response } = sent;
    const attempt = { at, duration_ms, status_code, error, response };
    if (event) this.metrics.deliverySeconds.observe(duration_ms / 1_000);
    if (error === null) {
      this.metrics.deliveries.inc({ outcome: 'delivered' });
      await this.store.delivered(endpoint.id, delivery.id, attempt);
      return undefined;
    }
    return this.failed(endpoint, delivery, attempt, event ? sent.retryAfterSeconds : undefined, !event);
  }

  /** Where they cannot be opened nothing is sent, and no attempt is counted: what waits goes at once when there is a new one. */
  private async secretsOf(endpoint: TakenEndpoint): Promise<Buffer[]> {
    const secrets = await this.secrets.of(endpoint);
    if (secrets) return secrets;
    await this.store.markFailing(endpoint.id);
    throw new Error(`the secret of endpoint ${endpoint.id} was sealed under another AUTH_SECRET: rotate it`);
  }

  private async failed(
    endpoint: TakenEndpoint,
    delivery: PendingDelivery,
    attempt: Attempt,
    retryAfterSeconds: number | undefined,
    isHopeless: boolean,
  ): Promise<number | undefined> {
    const retryAfterMs = isHopeless ? undefined : this.retryAfterMs(delivery.attemptCount, retryAfterSeconds);
    const isLast = retryAfterMs === undefined;
    this.metrics.deliveries.inc({ outcome: isLast ? 'dead' : 'failed' });
    const failingSince = await this.store.failed(endpoint.id, delivery.id, attempt, retryAfterMs);
    delivery.firstAttemptAt ??= new Date(attempt.at);
    delivery.attemptCount += 1;
    if (attempt.status_code === 410) await this.disable(endpoint, 'gone');
    else if (isLast && !isHopeless && failingSince && failingSince <= delivery.firstAttemptAt)
      await this.disable(endpoint, 'failing');
    return retryAfterMs;
  }

  /** The plan with a fifth of jitter, or as late as the receiver asks; nothing where the plan is at its end. */
  private retryAfterMs(attemptCount: number, retryAfterSeconds = 0): number | undefined {
    const planned = this.config.webhookRetrySeconds[attemptCount];
    if (planned === undefined) return undefined;
    const seconds = planned * (0.9 + Math.random() * 0.2);
    const asked = Math.min(Math.max(0, retryAfterSeconds), RETRY_AFTER_SECONDS_MAX);
    return Math.max(seconds, asked) * 1_000;
  }

  /** Sends no more there, and tells so: whoever reads events, other endpoints, and the log. What waits goes on waiting. */
  private async disable({ id }: TakenEndpoint, reason: DisabledReason): Promise<void> {
    const isDone = await inTransaction(this.dataSource, async (runner) => {
      const { manager } = runner;
      const changes = { status: 'disabled' as const, disabledReason: reason, updatedAt: new Date() };
      const { affected } = await manager.update(
        WebhookEndpoint,
        { id, status: 'active', takenBy: this.worker },
        changes,
      );
      if (affected !== 1) return false;
      const endpoint = endpointBody(await manager.findOneByOrFail(WebhookEndpoint, { id }));
      const body = { ...endpoint, url: withoutQuery(endpoint.url) };
      await this.outbox.record(runner, [{ type: 'webhook_endpoint.disabled', objectId: id, subjects: [{ id }], body }]);
      return true;
    });
    if (isDone)
      this.logger.warn(`Webhook endpoint ${id} is disabled (${reason}). What it is due waits until it is active.`);
    void this.leave(id);
  }

  /** A database that is away is told once, not five times a second. */
  private warn(message: string): void {
    this.metrics.backgroundFailures.inc();
    if (performance.now() - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = performance.now();
    this.logger.warn(message);
  }
}
