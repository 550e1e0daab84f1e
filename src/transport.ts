/** What stands between the network and the routes: limits of the HTTP server, headers of every answer, who may call from a browser. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import helmet, { type HelmetOptions } from 'helmet';
import { randomUUID } from 'node:crypto';
import type { OutgoingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Config } from './config.js';
import { Problem, problemBody, type ErrorCode } from './errors.js';

/** Of the request line and all headers together; more is 431. */
const HEADER_BYTES_MAX = 16 * 1024;
/** By then a request must have arrived, body and all: whoever sends a byte a second holds no connection for long. */
const REQUEST_TIMEOUT_MS = 30_000;
/** A connection on which nothing moves for so long, or twice as long, is cut off. A live stream beats every 15 seconds. */
const STALLED_MS_MAX = 30_000;
/** How often connections are held against the time of a request. */
const CHECK_PERIOD_MS = 5_000;

/** The part of Fastify's options that is about the transport. */
export function serverOptions(config: Config) {
  return {
    // SECURITY: `X-Forwarded-For` counts from these alone; from anybody else it is a text that the caller made up.
    trustProxy: config.trustedProxies.length > 0 ? config.trustedProxies : false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Of any answer that has begun, also of a file whose reader has stopped: it would hold up a shutdown for ever. Longer than
    // whoever waits for an answer has to wait; a reader that takes a little now and then may be as slow as it likes.
    connectionTimeout: Math.max(STALLED_MS_MAX, config.requestDeadlineMs + CHECK_PERIOD_MS),
    http: { maxHeaderSize: HEADER_BYTES_MAX, connectionsCheckingInterval: CHECK_PERIOD_MS },
    clientErrorHandler: refuseUnreadable,
  };
}

/** The headers of every answer, by the URL that was asked for. */
export function securityHeaders(config: Config): (url: string) => Record<string, string> {
  const api = headersOf(config, { defaultSrc: ["'none'"], frameAncestors: ["'none'"] });
  const page = headersOf(config, PAGE_SOURCES);
  const apiHeaders = { ...api, 'cache-control': 'no-store' };
  return (url) => (PAGES.test(url) ? page : apiHeaders);
}

/** Lets pages of listed origins call from a browser, with a token or key that they have, never with cookies. */
export function allowOrigins(app: NestFastifyApplication, { corsOrigins }: Config): void {
  if (corsOrigins.length === 0) return;
  app.enableCors({
    // A list would tell other origins as well what the listed ones may do.
    origin: (origin: string | undefined, answer: (error: null, allowed: string | false) => void) =>
      answer(null, origin !== undefined && corsOrigins.includes(origin) ? origin : false),
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      ...['Authorization', 'X-API-Key', 'Content-Type', 'Idempotency-Key', 'If-Match', 'Last-Event-ID', 'X-Request-Id'],
    ],
    exposedHeaders: [
      'Content-Disposition',
      'ETag',
      'Idempotency-Replayed',
      'RateLimit',
      'RateLimit-Policy',
      'Retry-After',
      'X-Request-Id',
    ],
    maxAge: 3_600,
  });
}

/** Fastify would take a broken escape for the text that it is, and a filter find nothing. @throws {Problem} `bad_request` */
export function refuseBrokenQuery(url: string): void {
  const query = url.indexOf('?');
  if (query === -1 || !url.includes('%', query)) return;
  try {
    decodeURIComponent(url.slice(query));
  } catch {
    throw new Problem('bad_request', 'The query has a % that begins no escape of UTF-8: write % itself as %25.');
  }
}

/** Swagger UI and the pages of the errors. Their styles are in the page; their scripts are files. */
const PAGES = /^\/(docs|errors)(?:[/?]|$)/;
const PAGE_SOURCES = {
  defaultSrc: ["'self'"],
  styleSrc: ["'self'", "'unsafe-inline'"],
  imgSrc: ["'self'", 'data:'],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  objectSrc: ["'none'"],
};

/**
 * The headers that helmet would give each answer. They are always the same, so it is asked once: a request through its hook
 * took 8 µs longer, with the headers as a constant 2.5, of 90 for a debit.
 */
function headersOf({ production }: Config, directives: Record<string, string[]>): Record<string, string> {
  const options: HelmetOptions = {
    contentSecurityPolicy: { useDefaults: false, directives },
    // On a plain connection browsers pass over it; behind a proxy that ends TLS it counts.
    strictTransportSecurity: production,
    referrerPolicy: { policy: 'no-referrer' },
    // For browsers of ten years ago, and for nothing that a JSON API does.
    ...{
      xDnsPrefetchControl: false,
      xDownloadOptions: false,
      xPermittedCrossDomainPolicies: false,
      xXssProtection: false,
    },
    ...{ originAgentCluster: false, crossOriginOpenerPolicy: false },
  };
  const headers: Record<string, string> = {};
  const probe = {
    setHeader: (name: string, value: string) => void (headers[name.toLowerCase()] = value),
    removeHeader: () => undefined,
  };
  helmet(options)(undefined as never, probe as never, (error) => {
    if (error) throw error as Error;
  });
  return headers;
}

const UNREADABLE: Record<string, { line: string; code: ErrorCode; detail: string }> = {
  HPE_HEADER_OVERFLOW: {
    line: '431 Request Header Fields Too Large',
    code: 'headers_too_large',
    detail: `The headers exceed ${HEADER_BYTES_MAX / 1024} KiB.`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    line: '408 Request Timeout',
    code: 'request_timeout',
    detail: `The request did not arrive within ${REQUEST_TIMEOUT_MS / 1_000} seconds.`,
  },
};

/** What Node keeps of the request whose answer is next. */
type Answering = Socket & { _httpMessage?: OutgoingMessage & { req: { complete: boolean } } };

/**
 * Answers what is no HTTP request, as far as somebody still listens, and hangs up. Where an earlier request of the connection
 * is under way, a 400 would be taken for its answer: then it only hangs up.
 */
function refuseUnreadable(error: Error & { code?: string }, socket: Answering): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const earlier = socket._httpMessage;
  if (earlier?.headersSent || earlier?.req.complete) return void socket.destroy();
  const { line, code, detail } = UNREADABLE[error.code ?? ''] ?? {
    ...{ line: '400 Bad Request', code: 'bad_request', detail: 'This is no HTTP request that can be read.' },
  };
  const body = JSON.stringify({ ...problemBody(code, detail), request_id: randomUUID() });
  const head = `HTTP/1.1 ${line}\r\nContent-Type: application/problem+json; charset=utf-8\r\nConnection: close\r\n`;
  if (socket.writable) socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  socket.destroySoon();
}
