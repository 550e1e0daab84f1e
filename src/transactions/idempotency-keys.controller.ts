import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Anyone } from '../auth/access.js';
import { CurrentCaller, demandScope, type Caller } from '../caller.js';
import { Problem, problemBody, type ErrorCode, type FieldError } from '../errors.js';
import { IdempotencyService } from '../idempotency/idempotency.service.js';
import { ApiErrors } from '../openapi.js';
import { BatchService, isKeptBatch } from './batch.service.js';
import { IdempotencyKeyBody, IdempotencyKeyParam, IdempotencyKeyQuery } from './idempotency-keys.dto.js';
import { TransactionsService } from './transactions.service.js';

@ApiTags('Transactions')
@Controller('v1/idempotency-keys')
export class IdempotencyKeysController {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly transactions: TransactionsService,
    private readonly batches: BatchService,
  ) {}

  @Get(':key')
  @Anyone()
  @ApiOperation({ summary: 'Read what a key led to' })
  @ApiOkResponse({ type: IdempotencyKeyBody })
  @ApiErrors('validation_failed', 'insufficient_scope', 'idempotency_key_not_found', 'database_unavailable')
  async read(
    @Param() { key }: IdempotencyKeyParam,
    @Query() query: IdempotencyKeyQuery,
    @CurrentCaller() caller: Caller,
  ): Promise<IdempotencyKeyBody> {
    const scope = query.caller ?? caller.scope;
    const isOwn = scope === caller.scope;
    if (!isOwn) {
      demandScope(caller, 'audit:read', 'Reading the keys of another caller');
      demandScope(caller, 'transactions:read', 'Reading the keys of another caller');
    }
    const found = (await this.idempotency.find(scope, key)) ?? (await this.findAsSent(scope, key));
    if (!found) throw await this.notFound(key, scope, caller);
    const created_at = found.createdAt.toISOString();
    if (found.kind === 'executed') {
      return { key, status_code: 201, body: await this.transactions.read(found.transactionId, caller), created_at };
    }
    const body = await this.bodyOf(found.statusCode, found.body);
    return { key, status_code: found.statusCode, body: isOwn ? body : publicPart(body), created_at };
  }

  /** A header is a text of bytes, a path one of UTF-8: beyond ASCII the same key is two texts. */
  private async findAsSent(scope: string, key: string) {
    const sent = Buffer.from(key).toString('latin1');
    return sent === key ? undefined : this.idempotency.find(scope, sent);
  }

  /** Whoever looks for others must not take their key for unused, and pay again. */
  private async notFound(key: string, scope: string, caller: Caller): Promise<Problem> {
    const users = caller.scopes.has('audit:read') ? await this.idempotency.usersOf(key) : [];
    const others = users.length === 0 ? '' : ` Others did: ask with \`caller=${users.join('`, `caller=')}\`.`;
    return new Problem('idempotency_key_not_found', `The caller ${scope} executed nothing under this key.${others}`);
  }

  private async bodyOf(statusCode: number, body: object): Promise<object> {
    if (isKeptBatch(body)) return this.batches.bodyOf(body);
    if (statusCode < 400) return body;
    const { code, detail, errors } = body as { code: ErrorCode; detail: string; errors?: FieldError[] };
    return problemBody(code, detail, errors);
  }
}

/**
 * SECURITY: of what another caller was answered that is no transaction: a phone number or the address of a receiver is not for whoever
 * may read the audit log. With the id whoever may read it does.
 */
function publicPart(body: object): object {
  if ('items' in body || 'code' in body) return body; // a batch, a refusal
  return 'id' in body ? { id: body.id } : {};
}
