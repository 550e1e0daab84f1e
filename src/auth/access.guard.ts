/** Who calls, and whether they may. Every request to a route passes here, before its fields are looked at. */
import { Inject, Injectable, Logger, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP, type BlockList } from 'node:net';
import { OPERATOR, type KnownRequest, type Principal } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import { ApiKeys } from './api-keys.js';
import { accessOf, type Access } from './access.js';
import type { Known } from './known.js';
import { Ownership } from './ownership.js';
import { Principals } from './principals.js';
import { RequestLimits } from './request-limits.js';

@Injectable()
export class AccessGuard implements CanActivate {
  private readonly logger = new Logger(AccessGuard.name);

  constructor(
    private readonly principals: Principals,
    private readonly apiKeys: ApiKeys,
    private readonly ownership: Ownership,
    private readonly limits: RequestLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Lets a request in, with its `principal` set.
   * @throws {Problem} `unauthenticated`, `token_expired`, `address_not_allowed`, `forbidden`, `insufficient_scope`, and for a
   *   person what an absent object would be answered with.
   */
  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const access = accessOf(context);
    if (!access) {
      this.logger.error(`${context.getClass().name}.${context.getHandler().name} does not say who may call it`);
      throw new Problem('forbidden', 'This route is not open to anybody.');
    }
    if (access.kind === 'public') return true;
    const request = context.switchToHttp().getRequest<KnownRequest>();
    const credential = credentialOf(request);
    if (credential === undefined) {
      if (this.config.auth !== 'open') throw new Problem('unauthenticated', 'The request carries no credentials.');
      request.principal = OPERATOR;
      return access.kind !== 'person' || refusePerson();
    }
    if (this.isScraper(access, credential)) {
      request.principal = SCRAPER;
      return true;
    }
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    const known = this.principals.of(credential, request.ip);
    return known instanceof Promise
      ? known.then((found) => this.admit(found, access, request, reply))
      : this.admit(known, access, request, reply);
  }

  /** SECURITY: METRICS_TOKEN opens the metrics and nothing else; it needs no database, which may be what they tell of. */
  private isScraper(access: Access, credential: string): boolean {
    if (access.kind !== 'scope' || access.scope !== 'metrics:read' || this.config.metricsToken === '') return false;
    return timingSafeEqual(digest(credential), digest(this.config.metricsToken));
  }

  private admit(known: Known, access: Access, request: KnownRequest, reply: FastifyReply): boolean | Promise<boolean> {
    const { allowed, userId, credentialId, requestsPerMinute } = known;
    if (allowed && !isWithin(allowed, request.ip)) {
      throw new Problem('address_not_allowed', `The API key may not be used from ${request.ip}.`);
    }
    request.principal = known;
    if (userId === undefined) this.apiKeys.used(credentialId);
    if (requestsPerMinute > 0) this.limits.count(known, reply);
    return this.judge(known, access, request);
  }

  private judge({ userId, scopes }: Known, access: Access, request: KnownRequest): boolean | Promise<boolean> {
    if (access.kind === 'person') return userId !== undefined || refusePerson();
    if (access.kind !== 'scope') return true;
    if (userId === undefined) {
      if (scopes.has(access.scope)) return true;
      throw new Problem('insufficient_scope', `This needs the scope ${access.scope}.`, { scope: access.scope });
    }
    if (!access.own) throw new Problem('forbidden', 'This is for servers and operators.');
    if (access.own === 'self') return true;
    const id = (request.params as Record<string, unknown>)[access.own];
    return this.ownership.check(access.own, id, userId)?.then(() => true) ?? true;
  }
}

const SCRAPER: Principal = { scope: 'metrics', scopes: new Set(['metrics:read']) };
const digest = (text: string) => createHash('sha256').update(text).digest();

/** What a proxy forwards may be no address at all. */
export function isWithin(allowed: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && allowed.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

function refusePerson(): never {
  throw new Problem('forbidden', 'This is for a person who signed in.');
}

/**
 * What a request presents: an access token or API key as `Authorization: Bearer`, or a key as `X-API-Key`.
 * @throws {Problem} `unauthenticated` on another scheme, or on both headers: which of them counts would be a guess.
 */
export function credentialOf({ headers }: KnownRequest): string | undefined {
  const { authorization, 'x-api-key': key } = headers;
  if (authorization === undefined) return key === undefined ? undefined : String(key);
  if (key !== undefined) throw new Problem('unauthenticated', 'Send Authorization or X-API-Key, not both.');
  const bearer = /^bearer /i.test(authorization) ? authorization.slice(7).trim() : '';
  if (bearer === '')
    throw new Problem('unauthenticated', 'Authorization must be "Bearer" and an access token or API key.');
  return bearer;
}
