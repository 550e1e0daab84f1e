/**
 * How many requests a minute a caller may make. Each process counts for itself, exactly: what it protects is the process, and
 * a counter in the database would cost each request more than it does itself.
 */
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import type { Known } from './known.js';
import { networkOf } from './send-limits.js';

const WINDOW_SECONDS = 60;

/**
 * Counts by name, which all begin anew together once a minute. Rejected: rate-limiter-flexible, which counts what the
 * database keeps. Its promises and timers made a debit 13 µs dearer, these two lines 2.
 */
class Counts {
  private counts = new Map<string, number>();
  private endsAt = 0;

  add(name: string): number {
    const count = this.of(name) + 1;
    this.counts.set(name, count);
    return count;
  }

  of(name: string): number {
    const now = performance.now();
    if (now >= this.endsAt) {
      this.counts = new Map();
      this.endsAt = now + WINDOW_SECONDS * 1_000;
    }
    return this.counts.get(name) ?? 0;
  }

  secondsLeft(): number {
    return Math.max(1, Math.ceil((this.endsAt - performance.now()) / 1_000));
  }
}

@Injectable()
export class RequestLimits {
  private readonly requests = new Counts();
  private readonly badCredentials = new Counts();

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /**
   * Counts a request of a caller who has a limit, and says in the answer what is left of it
   * (draft-ietf-httpapi-ratelimit-headers).
   * @throws {Problem} `rate_limited`
   */
  count({ scope, requestsPerMinute: limit }: Known, reply: Pick<FastifyReply, 'header'>): void {
    const count = this.requests.add(scope);
    reply.header('RateLimit-Policy', `"caller";q=${limit};w=${WINDOW_SECONDS}`);
    reply.header('RateLimit', `"caller";r=${Math.max(0, limit - count)};t=${this.requests.secondsLeft()}`);
    if (count > limit) throw overLimit(this.requests);
  }

  /** Refuses to look at further credentials of an address that has presented too many bad ones. @throws {Problem} `rate_limited` */
  assertTrusted(address: string): void {
    const count = this.badCredentials.of(networkOf(address));
    if (count >= this.config.requestsPerMinuteAddress) throw overLimit(this.badCredentials);
  }

  /** Counts credentials that were not good. */
  countBad(address: string): void {
    this.badCredentials.add(networkOf(address));
  }
}

function overLimit(counts: Counts): Problem {
  const retryAfterSeconds = counts.secondsLeft();
  return new Problem('rate_limited', `Too many requests; go on in ${retryAfterSeconds} seconds.`, {
    retryAfterSeconds,
  });
}
