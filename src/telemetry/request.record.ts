/** What is kept of each request when it is over: a line in the log, and its part of the metrics. */
import type { FastifyReply } from 'fastify';
import type { KnownRequest } from '../caller.js';
import type { Metrics } from './metrics.js';

declare module 'fastify' {
  interface FastifyReply {
    /** The code of the problem that was answered. */
    problem: string;
    /** How many instructions the posting was committed with; 0: it was none. */
    groupSize: number;
  }
}

/** The caller hung up before the answer; nginx's number. */
const HUNG_UP = 499;
const UUID = /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/;
/** Asked every few seconds by machines. */
const UNTOLD = /^\/(health|metrics)\b/;

export class RequestRecord {
  /** @param write takes lines for the log; absent: none are wanted. */
  constructor(
    private readonly metrics: Metrics,
    private readonly write?: (line: string) => void,
  ) {}

  /** Begins with a request; ends when it was answered, or nobody waits any more. */
  begin(request: KnownRequest, reply: FastifyReply): void {
    // Not Fastify's onResponse, which does not come where the caller has hung up.
    reply.raw.once('close', () => this.end(request, reply));
  }

  private end(request: KnownRequest, reply: FastifyReply): void {
    // What the caller made up (a path that is no route, a method) makes no series of its own.
    const { url: route = 'none' } = request.routeOptions;
    const method = route === 'none' ? 'any' : request.method;
    const status = reply.raw.headersSent ? reply.raw.statusCode : HUNG_UP;
    if (reply.problem) this.metrics.problems.inc({ code: reply.problem });
    // A live stream lasts as long as its reader likes.
    if (!route.endsWith('/stream'))
      this.metrics.requestSeconds.observe({ method, route, status }, reply.elapsedTime / 1_000);
    if (this.write && !UNTOLD.test(route)) this.write(lineOf(request, reply, route, status));
  }
}

const PID = process.pid;

/**
 * SECURITY: made of what cannot hold a secret, and of what needs no escaping but the address, which a proxy may make up. Put
 * together by hand: with pino a line took 15 µs of a debit's 110, by hand 8 (two of two rounds).
 */
function lineOf(request: KnownRequest, reply: FastifyReply, route: string, status: number): string {
  const { id, method, ip, principal } = request;
  let line = `{"level":"info","time":"${new Date().toISOString()}","pid":${PID},"request_id":"${id}","method":"${method}"`;
  line += `,"route":"${route}"${idsOf(request.params)},"status":${status},"duration_ms":${reply.elapsedTime.toFixed(2)}`;
  if (principal) line += `,"caller":"${principal.scope}"`;
  line += `,"address":${JSON.stringify(ip ?? null)}`;
  if (reply.problem) line += `,"code":"${reply.problem}"`;
  if (reply.groupSize > 0) line += `,"group_size":${reply.groupSize}`;
  return `${line},"msg":"request"}\n`;
}

/** SECURITY: of what is in the path, ids alone: an original call has a phone number there. */
function idsOf(params: unknown): string {
  let ids = '';
  for (const [name, value] of Object.entries((params ?? {}) as Record<string, string>)) {
    if (UUID.test(value)) ids += `,"${name}":"${value}"`;
  }
  return ids;
}
