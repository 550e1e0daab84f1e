/** How the OpenAPI document tells errors, headers and pages: one decorator each, the same on every operation. */
import { applyDecorators, SetMetadata, type Type } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiHeader,
  ApiProperty,
  ApiPropertyOptional,
  ApiResponse,
  getSchemaPath,
  type OpenAPIObject,
} from '@nestjs/swagger';
import { IDEMPOTENCY_KEY_LENGTH_MAX } from './caller.js';
import { ERRORS, problemBody, type ErrorCode } from './errors.js';

class FieldErrorBody {
  @ApiProperty({ example: 'amount' }) field: string;
  @ApiProperty({ example: 'must be more than zero' }) message: string;
}

/** RFC 9457, with `code`, `request_id`, `retryable`, and the wrong fields of a `validation_failed`. */
export class ProblemBody {
  @ApiProperty({ description: 'A page that says cause and fix.', example: '/errors/insufficient_funds' }) type: string;
  @ApiProperty({ example: 'Not enough money' }) title: string;
  @ApiProperty({ example: 422 }) status: number;
  @ApiProperty({ example: '20.00 INR is available, 150.00 INR was asked for.' }) detail: string;
  @ApiProperty({ enum: Object.keys(ERRORS), example: 'insufficient_funds' }) code: ErrorCode;
  @ApiProperty({ description: 'Whether the unchanged request can succeed later.', example: false }) retryable: boolean;
  @ApiProperty({ example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' }) request_id: string;
  @ApiPropertyOptional({ type: [FieldErrorBody] }) errors?: FieldErrorBody[];
}

/** The errors of each operation. */
const errorsOf = new Map<object, { codes: Set<ErrorCode>; decorate: (decorator: MethodDecorator) => void }>();

/** Documents the errors of an operation. Several on one route add up. */
export function ApiErrors(...codes: ErrorCode[]): MethodDecorator {
  return (target, name, descriptor) => {
    const known = errorsOf.get(descriptor);
    errorsOf.set(descriptor, {
      codes: new Set([...(known?.codes ?? []), ...codes, 'internal_error']),
      decorate: (decorator) => void decorator(target, name, descriptor),
    });
  };
}

/** Tells Nest of them: one response for each status, one example for each code. A start, which shows nobody the document, does without. */
export function declareErrors(): void {
  for (const [descriptor, { codes, decorate }] of errorsOf) {
    decorate(ApiExtraModels(ProblemBody));
    for (const response of errorResponses([...codes])) decorate(ApiResponse(response));
    errorsOf.delete(descriptor); // a second document would say them twice
  }
}

function errorResponses(codes: readonly ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return [...byStatus].map(([status, sameStatus]) => ({
    status,
    description: sameStatus.map((code) => `\`${code}\`: ${ERRORS[code].cause}`).join('\n\n'),
    content: {
      'application/problem+json': {
        schema: { $ref: getSchemaPath(ProblemBody) },
        examples: Object.fromEntries(sameStatus.map((code) => [code, { value: problemExample(code) }])),
      },
    },
  }));
}

/**
 * Documents what is refused before any route of ours is reached, on every operation that it can happen to: a body that cannot
 * be read, also where none is wanted, a URL that is none, and fields that a route has no use for. The original calls answer the
 * first in their own way.
 */
export function declareUnreadable({ paths }: OpenAPIObject): void {
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { responses }] of Object.entries(methods as Record<string, { responses: Responses }>)) {
      const isClassic = responses['400']?.content?.['application/json'] !== undefined;
      const body = method === 'get' || isClassic ? [] : (['body_too_large', 'unsupported_media_type'] as const);
      const fields = path.startsWith('/v1/') ? (['validation_failed'] as const) : [];
      const unreadable = !isClassic || path.includes('{') ? (['bad_request', ...body] as const) : [];
      for (const { status, description, content } of errorResponses([...unreadable, ...fields])) {
        const said = responses[status];
        if (said?.content?.['application/problem+json']) continue;
        responses[status] = {
          description: said ? `${said.description}\n\n${description}` : description,
          content: { ...said?.content, ...content },
        };
      }
    }
  }
}
type Responses = Record<string, { description: string; content?: Record<string, object> } | undefined>;

const HEADERS = {
  ETag: 'The version of what is answered, for `If-Match`.',
  'Idempotency-Replayed': '`true` where an earlier request with this key was answered so.',
  'Retry-After': 'Seconds until it is worth another try.',
  'RateLimit-Policy': 'How many requests in how many seconds.',
  RateLimit: 'How many of them are left, and for how many seconds.',
  'WWW-Authenticate': 'How to say who calls.',
};

/** What is not there yet, and the version of the service itself. */
const WITHOUT_ETAG = /^(DryRun.*|VersionBody)$/;

/** Documents the headers that answers may have. `X-Request-Id` is on all of them, and said once, in the introduction. */
export function declareHeaders({ paths, components }: OpenAPIObject): void {
  const declared = Object.entries(HEADERS).map(([name, description]) => [
    name,
    { description, schema: { type: 'string' } },
  ]);
  components!.headers = Object.fromEntries(declared) as NonNullable<typeof components>['headers'];
  const versioned = new Set(
    Object.entries(components!.schemas as Record<string, { properties?: object }>)
      .filter(([name, { properties }]) => properties && 'version' in properties && !WITHOUT_ETAG.test(name))
      .map(([name]) => `#/components/schemas/${name}`),
  );
  for (const [method, { parameters, responses }] of Object.values(paths).flatMap(
    (methods) => Object.entries(methods) as Array<[string, Operation]>,
  )) {
    const isKeyed = parameters?.some(({ name }) => name === 'Idempotency-Key') ?? false;
    for (const [status, response] of Object.entries(responses)) {
      const names: Array<keyof typeof HEADERS> = [];
      const body = response.content?.['application/json']?.schema?.$ref ?? '';
      if (versioned.has(body) && method !== 'delete') names.push('ETag');
      if (isKeyed && status < '500' && !['401', '429'].includes(status)) names.push('Idempotency-Replayed');
      if (['429', '503'].includes(status)) names.push('Retry-After');
      if (status === '429') names.push('RateLimit-Policy', 'RateLimit');
      if (['401', '403'].includes(status)) names.push('WWW-Authenticate');
      for (const name of names) (response.headers ??= {})[name] = { $ref: `#/components/headers/${name}` };
    }
  }
}

/**
 * Every number is a whole one: amounts are texts, but for those of the original calls; and those pass over fields that they do not
 * know.
 */
export function declareShapes({ components }: OpenAPIObject): void {
  for (const [name, schema] of Object.entries(components!.schemas as Record<string, ObjectSchema>)) {
    if (/^Classic\w+Dto$/.test(name)) schema.additionalProperties = true;
    if (name.startsWith('Classic')) continue;
    for (const property of Object.values(schema.properties ?? {})) {
      if (property.type === 'number') property.type = 'integer';
    }
  }
}

interface ObjectSchema {
  additionalProperties?: boolean;
  properties?: Record<string, { type?: string }>;
}

interface Operation {
  parameters?: Array<{ name: string }>;
  responses: Record<
    string,
    { headers?: Record<string, object>; content?: Record<string, { schema?: { $ref?: string } }> }
  >;
}

function problemExample(code: ErrorCode) {
  const errors = code === 'validation_failed' ? [{ field: 'amount', message: 'must be more than zero' }] : undefined;
  const detail = errors ? 'amount must be more than zero' : ERRORS[code].cause;
  return { ...problemBody(code, detail, errors), request_id: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' };
}

/** Documents `Idempotency-Key`. */
export function ApiIdempotencyKey() {
  return ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description:
      'Makes a repeat safe: the same key and request get the same outcome, marked `Idempotency-Replayed: true`. ' +
      'Use a fresh UUID for every new request.',
    schema: { type: 'string', minLength: 1, maxLength: IDEMPOTENCY_KEY_LENGTH_MAX },
    example: '5f0c7c9e-9a43-4b8e-8a57-3a4f6f1f3d20',
  });
}

/** Documents `Idempotency-Key` and the errors that every write shares. */
export function ApiWrite(...codes: ErrorCode[]) {
  return applyDecorators(
    ApiIdempotencyKey(),
    ApiErrors(
      ...['bad_request', 'body_too_large', 'unsupported_media_type', 'validation_failed'].map((c) => c as ErrorCode),
      'idempotency_key_reused',
      'idempotency_key_expired',
      ...codes,
      'database_unavailable',
      'outcome_unknown',
    ),
  );
}

/** Where a route says that it holds `If-Match` against something. */
export const TAKES_IF_MATCH = 'takes-if-match';

/** Documents `If-Match`; where a write does not have this, it refuses the header. */
export function ApiIfMatch() {
  return applyDecorators(
    SetMetadata(TAKES_IF_MATCH, true),
    ApiHeader({
      name: 'If-Match',
      required: false,
      description: 'The ETag of the last read: the write happens only if nothing has changed since.',
      schema: { type: 'string' },
      example: '"3"',
    }),
    ApiErrors('precondition_failed'),
  );
}

/** Documents the 200 of a list. */
export function ApiPage(item: Type) {
  return applyDecorators(
    ApiExtraModels(item),
    ApiResponse({
      status: 200,
      description: 'One page. `next_cursor` is null on the last one.',
      schema: {
        type: 'object',
        required: ['data', 'next_cursor'],
        properties: {
          data: { type: 'array', items: { $ref: getSchemaPath(item) } },
          next_cursor: { type: 'string', nullable: true, example: null },
        },
      },
    }),
  );
}

const NEW_ID = '0199a3c2-e5a1-7d32-8f4b-2b7c1d9e6a01';

/** Of what a dry run answers: no id, which is declared as a typed client reads one type for both answers. */
export class NoIdBody {
  @ApiPropertyOptional({ format: 'uuid', description: 'Left out where it would be new.', example: NEW_ID }) id?: string;
}

/** Documents the answers of a money POST: 201 where it was done, 200 where `dry_run` only asked. */
export function ApiMoney(body: Type, dryRunBody: Type = body) {
  return applyDecorators(
    ApiResponse({ status: 201, description: 'Done, and durable.', type: body }),
    ApiResponse({ status: 200, description: 'What `dry_run=true` would do, without ids.', type: dryRunBody }),
  );
}
