/**
 * The spans, written by hand at four seams: a request, a group of postings, a statement, a webhook. Nothing is patched
 * by a loader: instrumentations that rewrite modules as they load are fragile with ESM, and would export statements whole.
 * SECURITY: no attribute holds what a caller sent but its method; not the path, only its pattern.
 *
 * What a debit costs the service (bench P1): of 91 µs on Node 24 nothing that can be measured while off, 8 more where 1 % of
 * requests are kept, 20 where all are. Of 107 on Node 20, 31 and 47: there AsyncLocalStorage hooks every promise as soon as
 * one request is kept. To pass the span by hand instead would take a parameter through a hundred methods.
 */
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Client } from 'pg';
import { sqlState } from '../database/sqlstate.js';
import type { ErrorCode } from '../errors.js';
import { summaryOf } from './statement.summary.js';
import { readTraceparent, traceparentOf } from './traceparent.js';

/** A span that is kept, with room for its statements. */
export interface Trace {
  span: Span;
  context: Context;
  statementsLeft: number;
}

/** Statements of one span that are shown: an export or a stream may send thousands. */
const STATEMENTS_MAX = 128;
/** Asked every few seconds by machines, and of no interest. */
const UNTRACED = /^\/(health|metrics)\b/;

type Traced = FastifyRequest & { trace?: Trace };

export class Tracing {
  /**
   * What statements belong to. Entered for groups, and for requests that are kept.
   */
  private readonly active = new AsyncLocalStorage<Trace | undefined>();

  /**
   * @param tracer samples as the environment says.
   * @param following keeps every span: of what belongs to a span that is kept.
   */
  constructor(
    private readonly tracer: Tracer,
    private readonly following: Tracer,
    readonly stop: () => Promise<void>,
  ) {}

  /** One server span for each request. Before all other hooks, so that their refusals are seen. */
  requests(fastify: FastifyInstance): void {
    fastify.decorateRequest('trace');
    fastify.addHook('onRequest', (request, reply, done) => {
      this.begin(request, reply);
      done();
    });
    // Not before the body is read: that goes on in the context of its socket.
    fastify.addHook('preHandler', (request: Traced, _, done) => {
      if (request.trace) this.active.run(request.trace, done);
      else done();
    });
  }

  private begin(request: Traced, reply: FastifyReply): void {
    const { method, headers, protocol, routeOptions } = request;
    const route = routeOptions.url;
    if (route !== undefined && UNTRACED.test(route)) return;
    const caller = readTraceparent(headers.traceparent);
    const span = this.tracer.startSpan(
      route === undefined ? method : `${method} ${route}`,
      {
        kind: SpanKind.SERVER,
        attributes: { 'http.request.method': method, 'http.route': route, 'url.scheme': protocol },
      },
      caller ? trace.setSpanContext(ROOT_CONTEXT, caller) : ROOT_CONTEXT,
    );
    if (!span.isRecording()) return;
    request.trace = traceOf(span);
    // Not Fastify's onResponse, which does not come where the caller has hung up.
    reply.raw.once('close', () => {
      const { statusCode, writableFinished } = reply.raw;
      if (writableFinished) span.setAttribute('http.response.status_code', statusCode);
      else span.setAttribute('error.type', 'caller_hung_up');
      if (statusCode >= 500)
        span.setAttribute('error.type', String(statusCode)).setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
  }

  /** A request was refused: with which problem. */
  refused(request: FastifyRequest, code: ErrorCode): void {
    (request as Traced).trace?.span.setAttribute('asper.problem.type', `/errors/${code}`);
  }

  /** What is under way here, to be kept with a posting. */
  current(): Trace | undefined {
    return this.active.getStore();
  }

  /**
   * One span for each attempt at a group, in a trace of its own, as no request is its parent. It and the requests in it link
   * to each other (it keeps the first 128, each request keeps its own). A group of no request that is kept has none.
   */
  async group<T>(group: ReadonlyArray<{ trace?: Trace }>, attempt: number, commit: () => Promise<T>): Promise<T> {
    const requests = group.flatMap(({ trace }) => trace?.span ?? []);
    // The engine goes on in the context of whichever request woke it: that one's statements these are not.
    if (requests.length === 0) return this.active.run(undefined, commit);
    const span = this.following.startSpan(
      'posting group',
      {
        kind: SpanKind.INTERNAL,
        attributes: { 'asper.group.size': group.length, 'asper.group.attempt': attempt },
        links: requests.map((request) => ({ context: request.spanContext() })),
      },
      ROOT_CONTEXT,
    );
    for (const request of requests) if (request.isRecording()) request.addLink({ context: span.spanContext() });
    try {
      const outcome = await this.active.run(traceOf(span), commit);
      span.end();
      return outcome;
    } catch (error) {
      fail(span, error);
      throw error;
    }
  }

  /** A span for each statement of a connection that is sent within a span that is kept. */
  watch(client: Client): void {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    (client as { query: unknown }).query = (...args: unknown[]) => {
      const active = this.active.getStore();
      if (active === undefined || active.statementsLeft === 0 || !active.span.isRecording()) return query(...args);
      const statement = statementOf(args[0]);
      if (!statement) return query(...args);
      active.statementsLeft -= 1;
      return this.run(statement, active.context, query, args);
    };
  }

  private run(
    statement: Statement,
    context: Context,
    query: (...args: unknown[]) => unknown,
    args: unknown[],
  ): unknown {
    const { summary, operation, table } = summaryOf(statement.text, statement.name);
    const span = this.following.startSpan(
      summary,
      {
        kind: SpanKind.CLIENT,
        attributes: {
          ...{ 'db.system.name': 'postgresql', 'db.query.summary': summary, 'db.operation.name': operation },
          'db.collection.name': table,
        },
      },
      context,
    );
    const done = args.at(-1);
    if (typeof done === 'function') {
      const ends = (error: unknown, ...rest: unknown[]): unknown => {
        end(span, error);
        return (done as (...results: unknown[]) => unknown)(error, ...rest);
      };
      return query(...args.slice(0, -1), ends);
    }
    const answer = query(...args) as Promise<unknown>;
    answer.then(
      () => span.end(),
      (error: unknown) => fail(span, error),
    );
    return answer;
  }

  /** One client span for each attempt at a webhook, in a trace of its own: its event was written long before. */
  delivery(url: string, eventId: string): Delivery | undefined {
    if (!URL.canParse(url)) return undefined; // nothing will be sent there
    const { hostname, port, protocol } = new URL(url);
    const span = this.tracer.startSpan(
      'POST webhook',
      {
        kind: SpanKind.CLIENT,
        attributes: {
          ...{ 'http.request.method': 'POST', 'url.scheme': protocol.slice(0, -1), 'server.address': hostname },
          ...{ 'server.port': Number(port) || (protocol === 'https:' ? 443 : 80), 'asper.event.id': eventId },
        },
      },
      ROOT_CONTEXT,
    );
    return {
      headers: { traceparent: traceparentOf(span.spanContext()) },
      end: ({ statusCode, error }) => {
        if (statusCode !== null) span.setAttribute('http.response.status_code', statusCode);
        if (error !== null) {
          const type = statusCode === null ? 'no_answer' : String(statusCode);
          span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR });
        }
        span.end();
      },
    };
  }
}

export interface Delivery {
  headers: { traceparent: string };
  end(sent: { statusCode: number | null; error: string | null }): void;
}

interface Statement {
  text: string;
  name?: string;
}

/** What is about to be sent, where it is a plain or a prepared statement. */
function statementOf(query: unknown): Statement | undefined {
  if (typeof query === 'string') return { text: query };
  const { text, name } = (query ?? {}) as Partial<Statement>;
  return typeof text === 'string' ? { text, name } : undefined;
}

function traceOf(span: Span): Trace {
  return { span, context: trace.setSpan(ROOT_CONTEXT, span), statementsLeft: STATEMENTS_MAX };
}

function end(span: Span, error: unknown): void {
  if (error) fail(span, error);
  else span.end();
}

/** SECURITY: PostgreSQL's messages quote values; its SQLSTATE, or the name of the error, says enough. */
function fail(span: Span, error: unknown): void {
  const state = sqlState(error);
  const type = state ?? (error instanceof Error ? error.name : 'unknown');
  if (state) span.setAttribute('db.response.status_code', state);
  span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}
