/** The life of webhook endpoints. A secret is answered once, when it is made; nobody can read it again. */
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, LessThan, type QueryRunner } from 'typeorm';
import type { AuditAction } from '../audit/audit-entry.entity.js';
import { AuditService } from '../audit/audit.service.js';
import type { Caller } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { guardedUpdate } from '../database/guarded-update.js';
import { inTransaction } from '../database/transaction.js';
import { Problem } from '../errors.js';
import { EventPositions } from '../events/event-positions.js';
import { Outbox } from '../events/outbox.service.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { CURSOR_ID, pageOf, readCursor, type Page, type PageQuery } from '../paging.js';
import { urlProblem, withoutQuery, type Reach } from './webhook.addresses.js';
import { WebhookDelivery, WebhookEndpoint } from './webhook.entities.js';
import { newWebhookSecret, secretText } from './webhook.secret.js';
import { WebhookSecrets } from './webhook.secrets.js';
import { reachOf } from './webhooks.config.js';
import {
  endpointBody,
  type ChangeWebhookEndpointDto,
  type CreateWebhookEndpointDto,
  type RotateWebhookSecretDto,
  type WebhookEndpointBody,
  type WebhookSecretBody,
  type WebhookTestBody,
} from './webhooks.dto.js';

const OVERLAP_SECONDS_DEFAULT = 86_400;
/** What the work of a process is shared out by stays small. */
const ENDPOINTS_MAX = 1_000;

@Injectable()
export class WebhooksService {
  private readonly reach: Reach;

  constructor(
    private readonly dataSource: DataSource,
    private readonly idempotency: IdempotencyService,
    private readonly audit: AuditService,
    private readonly outbox: Outbox,
    private readonly positions: EventPositions,
    private readonly secrets: WebhookSecrets,
    @Inject(CONFIG) config: Config,
  ) {
    this.reach = reachOf(config);
  }

  /** Makes an endpoint; it is sent what happens from now on. */
  async create(dto: CreateWebhookEndpointDto, caller: Caller): Promise<Answer<WebhookSecretBody>> {
    this.checkUrl(dto.url);
    const { url, types = [], description = null } = dto;
    const position = String(await this.positions.placeAll());
    return this.withSecret(caller, ['webhooks.create', url, types, description], async (runner, secret) => {
      const id = newId();
      if ((await runner.manager.count(WebhookEndpoint)) >= ENDPOINTS_MAX) {
        throw new Problem('too_many_endpoints', `There are ${ENDPOINTS_MAX} webhook endpoints already.`);
      }
      const sealedSecret = await this.secrets.seal(secret, id);
      await runner.manager.insert(WebhookEndpoint, {
        ...{ id, url, types, description, status: 'active', sealedSecret, position, createdBy: caller.scope },
      });
      await this.record(runner, caller, 'webhook.created', id, { url: withoutQuery(url), types });
      return find(runner, id);
    });
  }

  /** Endpoints, newest first. */
  async list({ cursor, limit }: PageQuery): Promise<Page<WebhookEndpointBody>> {
    const after = readCursor('webhook-endpoints', cursor, CURSOR_ID);
    const rows = await this.dataSource.manager.find(WebhookEndpoint, {
      where: after === undefined ? {} : { id: LessThan(after) },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    return pageOf('webhook-endpoints', rows, limit, ({ id }) => id, endpointBody);
  }

  /** @throws {Problem} `webhook_endpoint_not_found` */
  async read(id: string): Promise<WebhookEndpointBody> {
    return endpointBody(await find(this.dataSource, id));
  }

  /**
   * Changes the given fields. The process that sends to it goes by them within two seconds.
   * @throws {Problem} `webhook_endpoint_not_found`, `precondition_failed`
   */
  async change(id: string, dto: ChangeWebhookEndpointDto, caller: Caller): Promise<WebhookEndpointBody> {
    if (dto.url !== undefined) this.checkUrl(dto.url);
    return inTransaction(this.dataSource, async (runner) => {
      const endpoint = await lock(runner, id);
      const changes: Partial<WebhookEndpoint> = {};
      for (const field of ['url', 'types', 'description'] as const) {
        if (dto[field] !== undefined) Object.assign(changes, { [field]: dto[field] });
      }
      if (dto.status !== undefined && dto.status !== endpoint.status) {
        const isActive = dto.status === 'active';
        Object.assign(changes, {
          status: dto.status,
          disabledReason: isActive ? null : 'operator',
          // Where an operator disables it, it says what is sent again once it is active.
          ...(isActive && { failingSince: null }),
        });
        if (isActive) await tryAnew(runner, endpoint);
      }
      const isChange = Object.keys(changes).length > 0;
      if (isChange) changes.updatedAt = new Date();
      await guardedUpdate(runner, WebhookEndpoint, endpoint, { ...changes }, caller.ifMatch);
      if (isChange)
        await this.record(runner, caller, 'webhook.changed', id, {
          ...dto,
          ...(dto.url !== undefined && { url: withoutQuery(dto.url) }),
        });
      return endpointBody(await find(runner, id));
    });
  }

  /**
   * Gives an endpoint a new secret; the one before signs as well for a while.
   * @throws {Problem} `webhook_endpoint_not_found`, `precondition_failed`
   */
  rotate(id: string, dto: RotateWebhookSecretDto, caller: Caller): Promise<Answer<WebhookSecretBody>> {
    const { overlap_seconds: overlapSeconds = OVERLAP_SECONDS_DEFAULT } = dto;
    return this.withSecret(caller, ['webhooks.rotate', id, overlapSeconds], async (runner, secret) => {
      const endpoint = await lock(runner, id);
      const changes = {
        ...{ sealedSecret: await this.secrets.seal(secret, id), previousSecret: endpoint.sealedSecret },
        previousExpiresAt: new Date(Date.now() + overlapSeconds * 1_000),
        updatedAt: new Date(),
      };
      await guardedUpdate(runner, WebhookEndpoint, endpoint, changes, caller.ifMatch);
      await this.record(runner, caller, 'webhook.secret_rotated', id, { overlap_seconds: overlapSeconds });
      return find(runner, id);
    });
  }

  /** Ends an endpoint, with what it was due. @throws {Problem} `webhook_endpoint_not_found`, `precondition_failed` */
  remove(id: string, caller: Caller): Promise<WebhookEndpointBody> {
    return inTransaction(this.dataSource, async (runner) => {
      const endpoint = await lock(runner, id);
      if (caller.ifMatch !== undefined && caller.ifMatch !== endpoint.version) {
        throw new Problem('precondition_failed', `It is at version ${endpoint.version}, not ${caller.ifMatch}.`);
      }
      await runner.manager.delete(WebhookEndpoint, { id });
      await runner.manager.delete(WebhookDelivery, { endpointId: id, status: 'pending' });
      await this.record(runner, caller, 'webhook.deleted', id, { url: withoutQuery(endpoint.url) });
      return endpointBody(endpoint);
    });
  }

  /** Sends an event for trial, to this endpoint alone. @throws {Problem} `webhook_endpoint_not_found`, `webhook_endpoint_disabled` */
  test(id: string, caller: Caller): Promise<Answer<WebhookTestBody>> {
    return this.idempotency.record(caller, ['webhooks.test', id], async (runner) => {
      const { status, disabledReason } = await lock(runner, id);
      if (status === 'disabled') {
        throw new Problem(
          'webhook_endpoint_disabled',
          `Webhook endpoint ${id} is disabled (${disabledReason}); make it active first.`,
        );
      }
      const body = { endpoint_id: id, message: `A trial, asked for by ${caller.scope}.` };
      await this.outbox.record(runner, [{ type: 'webhook_endpoint.test', objectId: id, subjects: [{ id }], body }]);
      return body;
    });
  }

  private checkUrl(url: string): void {
    const problem = urlProblem(url, this.reach);
    if (problem) throw Problem.field('url', problem);
  }

  private record(runner: QueryRunner, caller: Caller, action: AuditAction, id: string, details: object): Promise<void> {
    return this.audit.record(runner, caller, {
      ...{ action, objectType: 'webhook_endpoint', objectId: id, details: { ...details } },
    });
  }

  /** SECURITY: the secret is added to the first answer and is no part of what the idempotency key keeps. */
  private async withSecret(
    caller: Caller,
    request: readonly unknown[],
    work: (runner: QueryRunner, secret: Buffer) => Promise<WebhookEndpoint>,
  ): Promise<Answer<WebhookSecretBody>> {
    const secret = newWebhookSecret();
    const { body, ...answer } = await this.idempotency.record(caller, request, async (runner) =>
      endpointBody(await work(runner, secret)),
    );
    // Where the answer to COMMIT was lost, the next attempt finds what this very call did.
    const isNew = !answer.replayed || (await this.isOf(body.id, secret));
    return { ...answer, replayed: !isNew, body: { ...body, secret: isNew ? secretText(secret) : null } };
  }

  private async isOf(id: string, secret: Buffer): Promise<boolean> {
    const endpoint = await this.dataSource.manager.findOneBy(WebhookEndpoint, { id });
    if (endpoint === null) return false;
    // It does not open where AUTH_SECRET is another since, or gone: then it is not of this call.
    const secrets = await this.secrets.of(endpoint).catch(() => undefined);
    return secrets?.[0]?.equals(secret) ?? false;
  }
}

async function find(source: QueryRunner | DataSource, id: string): Promise<WebhookEndpoint> {
  return demand(await source.manager.findOneBy(WebhookEndpoint, { id }), id);
}

async function lock(runner: QueryRunner, id: string): Promise<WebhookEndpoint> {
  return demand(
    await runner.manager.findOne(WebhookEndpoint, { where: { id }, lock: { mode: 'pessimistic_write' } }),
    id,
  );
}

function demand(endpoint: WebhookEndpoint | null, id: string): WebhookEndpoint {
  if (!endpoint) throw new Problem('webhook_endpoint_not_found', `There is no webhook endpoint ${id}.`);
  return endpoint;
}

/**
 * Whoever mended the receiver does not wait for a try that was put off by up to a day, and misses nothing: what died since none was
 * taken is sent as well, in its place, and all of it has the whole plan before it. Without that a receiver that was not mended yet
 * would take the last tries of what waits, and whatever waits longest would be dead.
 */
async function tryAnew(runner: QueryRunner, { id, failingSince }: WebhookEndpoint): Promise<void> {
  await runner.query(TRY_NOW, [id]);
  if (failingSince) await runner.query(REVIVE, [id, failingSince]);
}

const TRY_NOW = `
  UPDATE webhook_deliveries SET next_attempt_at = now(), attempt_count = 0
   WHERE endpoint_id = $1 AND status = 'pending' AND (next_attempt_at > now() OR attempt_count > 0)`;

/** The time in the row is the database's, and a process's in the attempt, as in the endpoint: the first finds it fast. */
const REVIVE = `
  UPDATE webhook_deliveries SET status = 'pending', ended_at = NULL, next_attempt_at = now(), attempt_count = 0
   WHERE endpoint_id = $1 AND status = 'dead' AND ended_at > $2::timestamptz - interval '1 minute'
     AND (attempts -> -1 ->> 'at')::timestamptz >= $2`;
