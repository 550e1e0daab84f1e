/**
 * Refuses what a route does not take. Fields of a body or query that a route declares are held against their class by the validation
 * pipe; where it declares none, nothing would look at them: a void with an `amount` would void the whole hold, and a
 * schedule with `?dry_run=true` would be made. So it is with an `If-Match` that nothing is held against.
 */
import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { ROUTE_ARGS_METADATA, RouteParamtypes } from '@nestjs/common/internal';
import type { FastifyRequest } from 'fastify';
import { Problem, type FieldError } from './errors.js';
import { TAKES_IF_MATCH } from './openapi.js';
import { isObject } from './validation.js';
import { NO_OBJECT, UNKNOWN_FIELD } from './validation.pipe.js';

/** The calls of the original service pass over what they do not know, and so do the probes of load balancers. */
const STRICT = /^\/v1\//;

interface Taken {
  ifMatch: boolean;
  body: boolean;
  query: boolean;
}

@Injectable()
export class UndeclaredGuard implements CanActivate {
  private readonly takenBy = new Map<unknown, Taken>();

  /** @throws {Problem} `validation_failed` naming every field that the route has no use for */
  canActivate(context: ExecutionContext): boolean {
    const taken = this.taken(context);
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const isConditional =
      !taken.ifMatch && request.headers['if-match'] !== undefined && !/^(GET|HEAD)$/.test(request.method);
    if ((taken.body && taken.query && !isConditional) || !STRICT.test(request.url)) return true;
    if (isConditional) throw Problem.field('If-Match', 'is not for this call: leave it out');
    const fields = [...(taken.query ? [] : undeclared(request.query)), ...(taken.body ? [] : undeclared(request.body))];
    if (fields.length === 0) return true;
    throw Problem.fields(fields);
  }

  private taken(context: ExecutionContext): Taken {
    const handler = context.getHandler();
    let taken = this.takenBy.get(handler);
    if (!taken) {
      const args = (Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), handler.name) ?? {}) as object;
      const has = (type: RouteParamtypes) => Object.keys(args).some((key) => key.startsWith(`${type}:`));
      taken = {
        body: has(RouteParamtypes.BODY),
        query: has(RouteParamtypes.QUERY),
        ifMatch: Reflect.hasMetadata(TAKES_IF_MATCH, handler),
      };
      this.takenBy.set(handler, taken);
    }
    return taken;
  }
}

/** What is wrong with what nobody reads: every field of an object, and anything else that is not empty. */
function undeclared(sent: unknown): FieldError[] {
  if (sent === undefined || sent === '') return [];
  if (!isObject(sent)) return [{ field: 'body', message: NO_OBJECT }];
  return Object.keys(sent).map((field) => ({ field, message: UNKNOWN_FIELD }));
}
