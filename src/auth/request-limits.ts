/**
 * How many requests a minute a caller may make. Each process counts for itself, exactly: what protects it is what it can bear,
 * and a counter in the database would cost each request more than it does itself.
 */
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import type { Known } from './known.js';
import { networkOf } from './send-limits.js';

const MINUTE_SECONDS = 60;

@Injectable()
export class RequestLimits {
  /** By how many requests they allow. */
  private readonly limiters = new Map<number, RateLimiterMemory>();
  private readonly badCredentials: RateLimiterMemory;

  constructor(@Inject(CONFIG) config: Config) {
    this.badCredentials = new RateLimiterMemory({ points: config.requestsPerMinuteAddress, duration: MINUTE_SECONDS });
  }

  /**
   * Counts a request of a caller who has a limit, and says in the answer what is left of it
   * (draft-ietf-httpapi-ratelimit-headers).
   * @throws {Problem} `rate_limited`
   */
  async count({ scope, requestsPerMinute: limit }: Known, reply: Pick<FastifyReply, 'header'>): Promise<void> {
    const limiter = this.limiters.get(limit) ?? new RateLimiterMemory({ points: limit, duration: MINUTE_SECONDS });
    this.limiters.set(limit, limiter);
    const { isOver, remaining, seconds } = await consumed(limiter, scope);
    reply.header('RateLimit-Policy', `"caller";q=${limit};w=${MINUTE_SECONDS}`);
    reply.header('RateLimit', `"caller";r=${remaining};t=${seconds}`);
    if (isOver) throw overLimit(seconds);
  }

  /** Refuses to look at further credentials of an address that has presented too many bad ones. @throws {Problem} `rate_limited` */
  async assertTrusted(address: string): Promise<void> {
    const found = await this.badCredentials.get(networkOf(address));
    if (found && found.remainingPoints <= 0) throw overLimit(secondsOf(found));
  }

  /** Counts credentials that were not good. */
  async countBad(address: string): Promise<void> {
    await consumed(this.badCredentials, networkOf(address));
  }
}

async function consumed(limiter: RateLimiterMemory, who: string) {
  let isOver = false;
  const found = await limiter.consume(who).catch((error: unknown) => {
    if (!(error instanceof RateLimiterRes)) throw error;
    isOver = true;
    return error;
  });
  return { isOver, remaining: Math.max(0, found.remainingPoints), seconds: secondsOf(found) };
}

function secondsOf({ msBeforeNext }: RateLimiterRes): number {
  return Math.max(1, Math.ceil(msBeforeNext / 1_000));
}

function overLimit(retryAfterSeconds: number): Problem {
  return new Problem('rate_limited', `Too many requests; go on in ${retryAfterSeconds} seconds.`, {
    retryAfterSeconds,
  });
}
