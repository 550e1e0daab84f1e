/** The life of API keys. A secret is answered once, when it is made; nobody can read it again. */
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, IsNull, LessThan, Not, type QueryRunner } from 'typeorm';
import { AuditService } from '../audit/audit.service.js';
import type { Caller } from '../caller.js';
import { guardedUpdate } from '../database/guarded-update.js';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { CURSOR_ID, pageOf, readCursor, type Page } from '../paging.js';
import { demandBounds, demandScopes } from './api-key.bounds.js';
import { ApiKey } from './api-key.entity.js';
import { hashOf, hintOf, newSecret } from './api-key.secret.js';
import {
  apiKeyBody,
  type ApiKeyBody,
  type CreateApiKeyDto,
  type ListApiKeysQuery,
  type RevokeApiKeyDto,
  type RotateApiKeyDto,
  type SecretBody,
} from './api-keys.dto.js';
import { Principals } from './principals.js';
import { ROLES, SCOPES, type Scope } from './scopes.js';

const SECOND_MS = 1_000;
const OVERLAP_SECONDS_DEFAULT = 86_400;

@Injectable()
export class ApiKeysService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly idempotency: IdempotencyService,
    private readonly audit: AuditService,
    private readonly principals: Principals,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Makes a key. @throws {Problem} `insufficient_scope` where it would be allowed more than the caller is */
  create(dto: CreateApiKeyDto, caller: Caller): Promise<Answer<SecretBody>> {
    const scopes = scopesOf(dto, caller);
    const expiresAt = dto.expires_at === undefined ? null : new Date(dto.expires_at);
    const allowedAddresses = dto.allowed_addresses ?? [];
    const { name, requests_per_minute: rate, reason } = dto;
    const request = ['api_keys.create', name, scopes, expiresAt, allowedAddresses, rate, reason];
    return this.withSecret(caller, request, async (runner, secret) => {
      // Not before: a repeat may come after that time.
      if (expiresAt && expiresAt <= new Date()) throw Problem.field('expires_at', 'must be in the future');
      const bounds = { expiresAt, allowedAddresses, requestsPerMinute: rate ?? null };
      await demandBounds(runner, bounds, caller, this.config.requestsPerMinuteKey);
      const id = newId();
      await runner.manager.insert(ApiKey, {
        ...{ id, name, scopes, ...bounds },
        ...{ secretHash: hashOf(secret), secretHint: hintOf(secret), createdBy: caller.scope },
      });
      const details = { name, scopes };
      await this.audit.record(runner, caller, {
        action: 'api_key.created',
        objectType: 'api_key',
        objectId: id,
        reason,
        details,
      });
      return find(runner, id);
    });
  }

  /**
   * Gives a key a new secret. The one before stays good for a while, so that servers can be changed one by one; the one
   * before that ends now.
   * @throws {Problem} `api_key_not_found`, `api_key_ended`, `precondition_failed`, `insufficient_scope`
   */
  rotate(id: string, dto: RotateApiKeyDto, caller: Caller): Promise<Answer<SecretBody>> {
    const { overlap_seconds: overlapSeconds = OVERLAP_SECONDS_DEFAULT, reason } = dto;
    return this.withSecret(caller, ['api_keys.rotate', id, overlapSeconds, reason], async (runner, secret) => {
      const key = await lockUnrevoked(runner, id);
      if (key.expiresAt && key.expiresAt <= new Date())
        throw new Problem('api_key_ended', `The API key ${id} has expired.`);
      demandScopes(key.scopes, caller);
      await demandBounds(runner, key, caller, this.config.requestsPerMinuteKey);
      const changes = {
        ...{ secretHash: hashOf(secret), secretHint: hintOf(secret), previousHash: key.secretHash },
        previousExpiresAt: new Date(Date.now() + overlapSeconds * SECOND_MS),
      };
      await guardedUpdate(runner, ApiKey, key, changes, caller.ifMatch);
      const details = { overlap_seconds: overlapSeconds };
      await this.audit.record(runner, caller, {
        action: 'api_key.rotated',
        objectType: 'api_key',
        objectId: id,
        reason,
        details,
      });
      return find(runner, id);
    });
  }

  /** Ends a key for good. @throws {Problem} `api_key_not_found`, `api_key_ended`, `precondition_failed` */
  async revoke(id: string, { reason }: RevokeApiKeyDto, caller: Caller): Promise<Answer<ApiKeyBody>> {
    const answer = await this.idempotency.record(caller, ['api_keys.revoke', id, reason], async (runner) => {
      const key = await lockUnrevoked(runner, id);
      await guardedUpdate(runner, ApiKey, key, { revokedAt: new Date() }, caller.ifMatch);
      await this.audit.record(runner, caller, {
        action: 'api_key.revoked',
        objectType: 'api_key',
        objectId: id,
        reason,
      });
      return apiKeyBody(await find(runner, id));
    });
    this.principals.forget([id]);
    return answer;
  }

  /** @throws {Problem} `api_key_not_found` */
  async read(id: string): Promise<ApiKeyBody> {
    return apiKeyBody(await find(this.dataSource, id));
  }

  /** Keys, newest first. */
  async list({ cursor, limit, revoked }: ListApiKeysQuery): Promise<Page<ApiKeyBody>> {
    const after = readCursor('api-keys', cursor, CURSOR_ID);
    const rows = await this.dataSource.manager.find(ApiKey, {
      where: {
        ...(revoked === undefined ? {} : { revokedAt: revoked ? Not(IsNull()) : IsNull() }),
        ...(after === undefined ? {} : { id: LessThan(after) }),
      },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    return pageOf('api-keys', rows, limit, ({ id }) => id, apiKeyBody);
  }

  /**
   * SECURITY: an idempotency key keeps its answer for days. The secret is added to the first answer and is no part of what
   * is kept; a repeat is answered without it.
   */
  private async withSecret(
    caller: Caller,
    request: readonly unknown[],
    work: (runner: QueryRunner, secret: string) => Promise<ApiKey>,
  ): Promise<Answer<SecretBody>> {
    const secret = newSecret();
    const { body, ...answer } = await this.idempotency.record(caller, request, async (runner) =>
      apiKeyBody(await work(runner, secret)),
    );
    this.principals.forget([body.id]);
    const isNew = !answer.replayed || (await this.isOf(body.id, secret));
    return { ...answer, replayed: !isNew, body: { ...body, secret: isNew ? secret : null } };
  }

  /** Whether a secret is that of a key: where the answer to COMMIT was lost, the next attempt finds what this very call did. */
  private async isOf(id: string, secret: string): Promise<boolean> {
    return (await find(this.dataSource, id)).secretHash.equals(hashOf(secret));
  }
}

async function find(source: QueryRunner | DataSource, id: string): Promise<ApiKey> {
  const key = await source.manager.findOneBy(ApiKey, { id });
  if (!key) throw new Problem('api_key_not_found', `There is no API key ${id}.`);
  return key;
}

async function lockUnrevoked(runner: QueryRunner, id: string): Promise<ApiKey> {
  const key = await runner.manager.findOne(ApiKey, { where: { id }, lock: { mode: 'pessimistic_write' } });
  if (!key) throw new Problem('api_key_not_found', `There is no API key ${id}.`);
  if (key.revokedAt) throw new Problem('api_key_ended', `The API key ${id} is revoked.`);
  return key;
}

function scopesOf({ scopes, role }: CreateApiKeyDto, caller: Caller): Scope[] {
  if ((scopes === undefined) === (role === undefined)) throw Problem.field('scopes', 'or role is needed, and not both');
  const wanted = role === undefined ? scopes! : ROLES[role];
  const sorted = (Object.keys(SCOPES) as Scope[]).filter((scope) => wanted.includes(scope));
  demandScopes(sorted, caller);
  return sorted;
}
