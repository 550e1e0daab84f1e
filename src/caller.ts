/** Who calls, and the request headers that every write understands. */
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Problem } from './errors.js';
import { textProblem } from './validation.js';

export interface Caller {
  /** Owner of the caller's idempotency keys, and the `actor` of what it does. Everyone is the operator in open mode. */
  scope: string;
  idempotencyKey?: string;
  /** The version that `If-Match` names. */
  ifMatch?: number;
}

export const IDEMPOTENCY_KEY_LENGTH_MAX = 255;

/** The caller of the request, as a controller argument. @throws {Problem} on a header of the wrong shape. */
export const CurrentCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const { headers } = context.switchToHttp().getRequest<FastifyRequest>();
  return {
    scope: 'operator',
    idempotencyKey: readKey(headers['idempotency-key']),
    ifMatch: readIfMatch(headers['if-match']),
  };
});

function readKey(value: string | string[] | undefined): string | undefined {
  if (value === undefined) return undefined;
  const problem =
    typeof value !== 'string' || value === '' ? 'must not be empty' : textProblem(value, IDEMPOTENCY_KEY_LENGTH_MAX);
  if (problem) throw Problem.field('Idempotency-Key', problem);
  return value as string;
}

/** An ETag is the version in quotes; `*` and its absence ask for nothing in particular. */
function readIfMatch(value: string | undefined): number | undefined {
  if (value === undefined || value === '*') return undefined;
  const version = /^(?:W\/)?"?([1-9][0-9]{0,8})"?$/.exec(value.trim())?.[1];
  if (!version) throw Problem.field('If-Match', 'must be the ETag that a read answered, such as "3"');
  return Number(version);
}
