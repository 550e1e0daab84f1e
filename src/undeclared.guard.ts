/**
 * Refuses what a route does not take. Fields of a body or query that a route declares are held against their class by the validation
 * pipe; where it declares none, nothing would look at them: a void with an `amount` would void the whole hold, and a
 * schedule with `?dry_run=true` would be made.
 */
import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { ROUTE_ARGS_METADATA, RouteParamtypes } from '@nestjs/common/internal';
import type { FastifyRequest } from 'fastify';
import { Problem } from './errors.js';
import { UNKNOWN_FIELD } from './validation.pipe.js';

/** The calls of the original service pass over what they do not know, and so do the probes of load balancers. */
const STRICT = /^\/v1\//;

interface Taken {
  body: boolean;
  query: boolean;
}

@Injectable()
export class UndeclaredGuard implements CanActivate {
  private readonly takenBy = new Map<unknown, Taken>();

  /** @throws {Problem} `validation_failed` naming every field that the route has no use for */
  canActivate(context: ExecutionContext): boolean {
    const taken = this.taken(context);
    if (taken.body && taken.query) return true;
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    if (!STRICT.test(request.url)) return true;
    const fields = [...(taken.query ? [] : namesIn(request.query)), ...(taken.body ? [] : namesIn(request.body))];
    if (fields.length === 0) return true;
    throw Problem.fields(fields.map((field) => ({ field, message: UNKNOWN_FIELD })));
  }

  private taken(context: ExecutionContext): Taken {
    const handler = context.getHandler();
    let taken = this.takenBy.get(handler);
    if (!taken) {
      const args = (Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), handler.name) ?? {}) as object;
      const has = (type: RouteParamtypes) => Object.keys(args).some((key) => key.startsWith(`${type}:`));
      taken = { body: has(RouteParamtypes.BODY), query: has(RouteParamtypes.QUERY) };
      this.takenBy.set(handler, taken);
    }
    return taken;
  }
}

/** The names in an object; of anything else that is not empty, that it is there. */
function namesIn(sent: unknown): string[] {
  if (sent === undefined || sent === null || sent === '') return [];
  return typeof sent === 'object' && !Array.isArray(sent) ? Object.keys(sent) : ['body'];
}
