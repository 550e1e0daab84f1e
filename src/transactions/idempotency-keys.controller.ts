import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Anyone } from '../auth/access.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { Problem, problemBody, type ErrorCode, type FieldError } from '../errors.js';
import { IdempotencyService } from '../idempotency/idempotency.service.js';
import { ApiErrors } from '../openapi.js';
import { BatchService, isKeptBatch } from './batch.service.js';
import { IdempotencyKeyBody, IdempotencyKeyParam } from './idempotency-keys.dto.js';
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
  @ApiErrors('validation_failed', 'idempotency_key_not_found', 'database_unavailable')
  async read(@Param() { key }: IdempotencyKeyParam, @CurrentCaller() caller: Caller): Promise<IdempotencyKeyBody> {
    const found = (await this.idempotency.find(caller, key)) ?? (await this.findAsSent(caller, key));
    if (!found) throw new Problem('idempotency_key_not_found', 'Nothing was executed under this key.');
    const created_at = found.createdAt.toISOString();
    if (found.kind === 'executed') {
      return { key, status_code: 201, body: await this.transactions.read(found.transactionId, caller), created_at };
    }
    return { key, status_code: found.statusCode, body: await this.bodyOf(found.statusCode, found.body), created_at };
  }

  /** A header is a text of bytes, a path one of UTF-8: beyond ASCII the same key is two texts. */
  private async findAsSent(caller: Caller, key: string) {
    const sent = Buffer.from(key).toString('latin1');
    return sent === key ? undefined : this.idempotency.find(caller, sent);
  }

  private async bodyOf(statusCode: number, body: object): Promise<object> {
    if (isKeptBatch(body)) return this.batches.bodyOf(body);
    if (statusCode < 400) return body;
    const { code, detail, errors } = body as { code: ErrorCode; detail: string; errors?: FieldError[] };
    return problemBody(code, detail, errors);
  }
}
