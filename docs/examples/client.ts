/**
 * A typed client of Asper Wallet, for browsers and Node.js 20 and later: paths, fields and answers as the service's OpenAPI document has
 * them, and what fails for the moment is sent again, with the idempotency key that each write has: it is done once.
 *
 *   npm install openapi-fetch && npx openapi-typescript openapi.json -o api.ts --default-non-nullable=false
 *
 *   const asper = createClient({ baseUrl: 'http://127.0.0.1:5000', token: process.env.ASPER_KEY });
 *   const { data, error } = await asper.POST('/v1/wallets/{wallet_id}/debits', {
 *     params: { path: { wallet_id } },
 *     body: { amount: '5.00' },
 *   });
 *   if (error) console.error(error.code, error.detail);
 *
 * A key that should outlive this process (an order's number) goes into `params.header['Idempotency-Key']`.
 */
import createFetchClient, { type Client } from 'openapi-fetch';
import type { paths } from './api.js';

export interface ClientOptions {
  /** Without `/v1`. */
  baseUrl: string;
  /** An API key, or what gives an access token that is good now: it is asked before each attempt. */
  token?: string | (() => string | Promise<string>);
  /** How often a request is sent at most. */
  attemptsMax?: number;
  /** How long an attempt waits for its answer, in milliseconds; for a statement as CSV or PDF, and for a stream, until it begins. */
  attemptMs?: number;
}

/** What `Accept` names for answers that may be longer than an attempt. */
const LONG = /csv|pdf|event-stream/;
/** Where the service asks for a longer pause than this (milliseconds), that is for the caller to know. */
const PAUSE_MS_MAX = 30_000;

/**
 * Its methods (`GET`, `POST`, …) resolve with `data`, or with the problem as `error`; they reject where no answer came in all attempts,
 * and where `signal` was aborted.
 */
export function createClient({ baseUrl, token, attemptsMax = 6, attemptMs = 15_000 }: ClientOptions): Client<paths> {
  const client = createFetchClient<paths>({ baseUrl, fetch: send });
  client.use({
    onRequest({ request, schemaPath }) {
      if (takesKey(request.method, schemaPath) && !request.headers.has('Idempotency-Key')) {
        request.headers.set('Idempotency-Key', crypto.randomUUID());
      }
    },
  });
  return client;

  async function send(request: Request): Promise<Response> {
    const isRepeatable = request.method === 'GET' || request.headers.has('Idempotency-Key');
    for (let attempt = 1; ; attempt++) {
      const isLast = !isRepeatable || attempt >= attemptsMax;
      const bearer = typeof token === 'function' ? await token() : token;
      let pauseMs = backoffMs(attempt);
      try {
        const response = await attemptOnce(request, bearer);
        if (isLast || !(await canSucceedLater(response))) return response;
        pauseMs = Math.max(pauseMs, (Number(response.headers.get('Retry-After')) || 0) * 1_000);
        if (pauseMs > PAUSE_MS_MAX) return response;
        await response.body?.cancel();
      } catch (error) {
        if (isLast || request.signal.aborted) throw error;
      }
      await pause(pauseMs, request.signal);
    }
  }

  async function attemptOnce(request: Request, bearer: string | undefined): Promise<Response> {
    const attempt = request.clone();
    if (bearer !== undefined) attempt.headers.set('Authorization', `Bearer ${bearer}`);
    const tooLate = new AbortController();
    const timer = setTimeout(() => tooLate.abort(new Error(`no answer within ${attemptMs} ms`)), attemptMs);
    try {
      const response = await fetch(attempt, { signal: AbortSignal.any([request.signal, tooLate.signal]) });
      // An answer that breaks off, or stops, tells nothing. A statement or stream is for the caller to read as it comes.
      if (LONG.test(request.headers.get('Accept') ?? '')) return response;
      const { status, statusText, headers } = response;
      return new Response(status === 204 ? null : await response.arrayBuffer(), { status, statusText, headers });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The operations that have an `Idempotency-Key`: all that create or move something, but for signing in. */
function takesKey(method: string, path: string): boolean {
  if (method === 'PATCH') return path === '/v1/holds/{hold_id}';
  return method === 'POST' && !path.startsWith('/v1/auth/');
}

/** The service says so of each problem; 502 and 504 come from what stands between. */
async function canSucceedLater(response: Response): Promise<boolean> {
  if (response.ok) return false;
  if (response.status === 502 || response.status === 504) return true;
  const problem = (await response
    .clone()
    .json()
    .catch(() => undefined)) as { retryable?: boolean } | undefined;
  return problem?.retryable ?? response.status === 503;
}

/** Somewhere between half of 0.2 s and all of it, then of 0.4 s, 0.8 s, … so that those who failed together do not come back together. */
function backoffMs(attempt: number): number {
  return 100 * 2 ** attempt * (0.5 + Math.random() / 2);
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
