/**
 * The requests under way in this process. More than can be served, or than fit into memory, are refused at once, before their
 * body is read: a refusal takes a tenth of what a debit does, so what is accepted goes on being served. Where room gets scarce, it
 * is not for those whose body does not arrive. Each request is answered in its time, whatever the database does. A process that is
 * to stop says so first, and serves until others have noticed. All of it takes 3 to 5 µs of the 150 that a debit costs.
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
/** How long a body may take to arrive while half of the room is taken. */
const BODY_MS_WHEN_SCARCE = 1_000;
/** What tells how the process does is answered as long as it can be. SECURITY: these very routes, which take no body. */
const ALWAYS = /^\/(health\/live|health\/ready|metrics|version)(\?|$)/;

interface Taken {
  /** `performance.now()` */
  since: number;
  bodyBytes: number;
}

@Injectable()
export class InFlight implements OnApplicationBootstrap, BeforeApplicationShutdown {
  /** Oldest first. */
  private readonly underWay = new Map<FastifyReply, Taken>();
  private bodyBytes = 0;
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
    return this.underWay.size;
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.check(), CHECK_EVERY_MS).unref();
  }

  beforeApplicationShutdown(): void {
    // What is under way at the end is held against its deadline too.
    if (this.count === 0) clearInterval(this.timer);
  }

  /** Takes a request on. @throws {Problem} `overloaded` */
  begin(request: FastifyRequest, reply: FastifyReply): void {
    if (this.isDraining) void reply.header('Connection', 'close');
    if (isRead(request) && ALWAYS.test(request.url)) return;
    if (this.count >= this.config.requestsMax) throw overloaded(`${this.count} requests are under way.`);
    if (this.engine.isFull && !isRead(request)) throw overloaded('The queue of postings is full.');
    const bodyBytes = this.bodyBytesOf(request);
    if (this.bodyBytes + bodyBytes > this.config.bodiesBytesMax) {
      throw overloaded('The bodies of requests under way take all the memory that is for them.');
    }
    this.bodyBytes += bodyBytes;
    this.underWay.set(reply, { since: performance.now(), bodyBytes });
    // Not Fastify's onResponse, which does not come where the caller has hung up.
    reply.raw.once('close', () => this.end(reply));
  }

  /** How long the body is, or may become where it does not say. What is longer than its route takes is Fastify's to refuse. */
  private bodyBytesOf(request: FastifyRequest): number {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    const declared = encoding === undefined ? Number(length ?? 0) : Infinity;
    return declared <= this.config.bodyBytesMax ? declared : Math.min(declared, request.routeOptions.bodyLimit ?? 0);
  }

  private end(reply: FastifyReply): void {
    this.bodyBytes -= this.underWay.get(reply)?.bodyBytes ?? 0;
    this.underWay.delete(reply);
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
    const now = performance.now();
    const isScarce = this.count > this.config.requestsMax / 2 || this.bodyBytes > this.config.bodiesBytesMax / 2;
    for (const [reply, { since }] of this.underWay) {
      const { raw } = reply.request;
      // A long answer, or a stream, has begun in its time. `sent` tells only of what has ended. And of a caller that hung up,
      // Node does not close the answers that were still to have their turn: one with a thousand requests in one go would
      // leave as many counted.
      if (reply.sent || reply.raw.headersSent || raw.socket.destroyed) this.end(reply);
      else if (since <= now - this.config.requestDeadlineMs) this.refuse(reply, late(this.config.requestDeadlineMs));
      else if (isScarce && !raw.complete && since <= now - BODY_MS_WHEN_SCARCE) this.refuse(reply, slow());
    }
  }

  /** What has not arrived until now is not waited for: its connection ends with the answer. */
  private refuse(reply: FastifyReply, problem: Problem): void {
    if (!reply.request.raw.complete) void reply.header('Connection', 'close');
    sendProblem(problem, reply.request, reply);
  }
}

function isRead({ method }: FastifyRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}

function slow(): Problem {
  return new Problem('request_timeout', `The body did not arrive within ${BODY_MS_WHEN_SCARCE} ms, and others wait.`);
}

function overloaded(detail: string): Problem {
  return new Problem('overloaded', detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

function late(deadlineMs: number): Problem {
  return new Problem('deadline_exceeded', `There was no answer within ${deadlineMs} ms.`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}
