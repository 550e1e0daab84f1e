/** Who calls, and the request headers that every write understands. */
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Problem } from './errors.js';
import { ALL_SCOPES, type Scope } from './auth/scopes.js';
import { textProblem } from './validation.js';

/** Whom a credential stands for. */
export interface Principal {
  /** Owner of the caller's idempotency keys, and the `actor` of what it does: `operator`, `key:<id>` or `user:<id>`. */
  scope: string;
  scopes: ReadonlySet<Scope>;
  /** Of a person who signed in; absent for servers and operators, who act on everybody's behalf. */
  userId?: string;
  sessionId?: string;
}

export interface Caller extends Principal {
  idempotencyKey?: string;
  /** The version that `If-Match` names. */
  ifMatch?: number;
  /** Where the request came from, for the audit log. */
  address?: string;
  requestId?: string;
}

/** Where a request came from. */
export function originOf({ address, requestId }: Caller): Pick<Caller, 'address' | 'requestId'> {
  return { address, requestId };
}

/** @throws {Problem} `insufficient_scope` */
export function demandScope({ scopes }: Principal, scope: Scope, what: string): void {
  if (!scopes.has(scope)) throw new Problem('insufficient_scope', `${what} needs the scope ${scope}.`, { scope });
}

/** Everyone, in open mode; and whoever works on the command line. */
export const OPERATOR: Principal = { scope: 'operator', scopes: new Set(ALL_SCOPES) };

export const IDEMPOTENCY_KEY_LENGTH_MAX = 255;

/** A request that the access guard has let in. */
export type KnownRequest = FastifyRequest & { principal?: Principal };

/** The caller of the request, as a controller argument. @throws {Problem} on a header of the wrong shape. */
export const CurrentCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const request = context.switchToHttp().getRequest<KnownRequest>();
  const { headers } = request;
  const { scope, scopes, userId, sessionId } = request.principal ?? NOBODY;
  return {
    scope,
    scopes,
    userId,
    sessionId,
    idempotencyKey: readKey(headers['idempotency-key']),
    ifMatch: readIfMatch(headers['if-match']),
    address: request.ip,
    requestId: request.id,
  };
});

/** On a public route. */
const NOBODY: Principal = { scope: 'nobody', scopes: new Set() };

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
  const version = /^(?:W\/)?"?([1-9][0-9]{0,9})"?$/.exec(value.trim())?.[1];
  if (!version) throw Problem.field('If-Match', 'must be the ETag that a read answered, such as "3"');
  return Number(version);
}
