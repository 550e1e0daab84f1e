/**
 * The requests under way in this process. More than can be served are refused at once, before their body is read: a
 * refusal takes a tenth of what a debit does, so what is accepted goes on being served. Each request is answered in its
 * time, whatever the database does. A process that is to stop says so first, and serves until others have noticed. All
 * of it takes 3 to 5 µs of the 150 that a debit costs.
 */
import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { setTimeout as delay } from 'node:timers/promises';
import { CONFIG, type Config } from './config.js';
import { sendProblem } from './error.filter.js';
import { Problem } from './errors.js';
import { Metrics } from './telemetry/metrics.js';
import { PostingEngine } from './transactions/posting.engine.js';

/** How often the oldest are held against their deadline. */
const CHECK_EVERY_MS = 250;
const RETRY_AFTER_SECONDS = 1;
/** What tells how the process does is answered as long as it can be. */
const ALWAYS = /^\/(health|metrics|version)\b/;

@Injectable()
export class InFlight implements OnApplicationBootstrap, BeforeApplicationShutdown {
  /** When each began, oldest first. */
  private readonly since = new Map<FastifyReply, number>();
  private timer?: NodeJS.Timeout;
  /** Whether this process is about to stop. It still serves. */
  isDraining = false;

  constructor(
    private readonly engine: PostingEngine,
    metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    metrics.gauge('asper_http_requests_in_flight', 'Requests without an answer yet', () => this.count);
  }

  /** Requests that have no answer yet. */
  get count(): number {
    return this.since.size;
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.check(), CHECK_EVERY_MS).unref();
  }

  beforeApplicationShutdown(): void {
    // What is under way at the end is held against its deadline too.
    if (this.since.size === 0) clearInterval(this.timer);
  }

  /** Takes a request on. @throws {Problem} `overloaded` */
  begin(request: FastifyRequest, reply: FastifyReply): void {
    if (this.isDraining) void reply.header('Connection', 'close');
    if (ALWAYS.test(request.url)) return;
    if (this.since.size >= this.config.requestsMax) throw overloaded(`${this.since.size} requests are under way.`);
    if (this.engine.isFull && request.method !== 'GET') throw overloaded('The queue of postings is full.');
    this.since.set(reply, performance.now());
    // Not Fastify's onResponse, which does not come where the caller has hung up.
    reply.raw.once('close', () => this.since.delete(reply));
  }

  /**
   * From now on it is not ready, and says with each answer that the connection ends: whoever sends requests to it finds another
   * process. Resolves after SHUTDOWN_GRACE_MS.
   */
  async drain(): Promise<void> {
    this.isDraining = true;
    await delay(this.config.shutdownGraceMs);
  }

  private check(): void {
    const before = performance.now() - this.config.requestDeadlineMs;
    for (const [reply, since] of this.since) {
      // A long answer, or a stream, has begun in its time. `sent` tells only of what has ended. And of a caller that hung up,
      // Node does not close the answers that were still to have their turn: one with a thousand requests in one go would
      // leave as many counted.
      if (reply.sent || reply.raw.headersSent || reply.request.raw.socket.destroyed) this.since.delete(reply);
      else if (since <= before) sendProblem(late(this.config.requestDeadlineMs), reply.request, reply);
    }
  }
}

function overloaded(detail: string): Problem {
  return new Problem('overloaded', detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

function late(deadlineMs: number): Problem {
  return new Problem('deadline_exceeded', `There was no answer within ${deadlineMs} ms.`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}
