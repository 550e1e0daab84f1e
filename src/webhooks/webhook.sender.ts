/** Sends one event to one endpoint, and says what became of it. Nothing here throws: a failure is an outcome. */
import { Inject, Injectable, Optional } from '@nestjs/common';
import dns from 'node:dns';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { CONFIG, type Config } from '../config.js';
import { tracing } from '../tracing/tracing.js';
import { AddressRefused, checkedLookup, isReachable, literalOf, urlProblem, type Reach } from './webhook.addresses.js';
import { reachOf } from './webhooks.config.js';
import { signaturesOf } from './webhook.secret.js';

/** What is read of an answer, and what is kept. */
const RESPONSE_BYTES_MAX = 16 * 1024;
const EXCERPT_LENGTH_MAX = 500;

export const RESOLVER = Symbol('RESOLVER');

export interface Shipment {
  url: string;
  secrets: readonly Buffer[];
  eventId: string;
  body: string;
}

export interface Sent {
  durationMs: number;
  statusCode: number | null;
  /** Null where the receiver took it (2xx). */
  error: string | null;
  response: string | null;
  /** How long the receiver asks to be left alone. */
  retryAfterSeconds?: number;
}

@Injectable()
export class WebhookSender {
  private readonly reach: Reach;
  private readonly lookup: ReturnType<typeof checkedLookup>;
  private readonly agents = {
    'http:': new HttpAgent({ keepAlive: true, timeout: 10_000 }),
    'https:': new HttpsAgent({ keepAlive: true, timeout: 10_000 }),
  };

  /** @param resolve for tests: names that answer as they like. */
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Optional() @Inject(RESOLVER) resolve = dns.lookup,
  ) {
    this.reach = reachOf(config);
    this.lookup = checkedLookup(this.reach, resolve);
  }

  /** @param signal ends the attempt early. */
  async send(shipment: Shipment, signal: AbortSignal): Promise<Sent> {
    const trace = tracing?.delivery(shipment.url, shipment.eventId);
    const sent = await this.attempt(shipment, signal, trace?.headers);
    trace?.end(sent);
    return sent;
  }

  private async attempt(shipment: Shipment, signal: AbortSignal, traceHeaders?: Record<string, string>): Promise<Sent> {
    const startedAt = performance.now();
    // Not AbortSignal.any: of a signal that lasts as long as the endpoint, each attempt would leave something with it.
    const within = new AbortController();
    const end = () => within.abort();
    const timer = setTimeout(end, this.config.webhookTimeoutMs);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    try {
      const answer = await this.post(shipment, within.signal, traceHeaders);
      return { durationMs: Math.round(performance.now() - startedAt), ...answer };
    } catch (error) {
      const durationMs = Math.round(performance.now() - startedAt);
      const late = within.signal.aborted && !signal.aborted;
      const reason = late ? `no answer within ${this.config.webhookTimeoutMs} ms` : reasonOf(error);
      return { durationMs, statusCode: null, error: reason, response: null };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
    }
  }

  private async post(
    { url: text, secrets, eventId, body }: Shipment,
    signal: AbortSignal,
    traceHeaders?: Record<string, string>,
  ) {
    const problem = urlProblem(text, this.reach);
    if (problem) throw new AddressRefused(`the URL ${problem}`);
    const url = new URL(text);
    const timestamp = Math.floor(Date.now() / 1_000);
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      agent: this.agents[url.protocol as 'http:' | 'https:'],
      lookup: this.lookup,
      signal,
      headers: {
        ...{
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'asper-wallet',
        },
        ...{ 'webhook-id': eventId, 'webhook-timestamp': String(timestamp) },
        'webhook-signature': signaturesOf(secrets, eventId, timestamp, body),
        ...traceHeaders,
      },
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject);
      // After a 101 that nobody asked for, Node gives the request up without a word: no response, no error, no time-out.
      request.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
    });
    // A literal is connected to without a lookup; the URL was checked above, and this is checked again.
    request.once('socket', (socket) => whenConnected(socket, () => this.checkPeer(socket, url)));
    request.end(body);
    const response = await answered;
    const excerpt = await beginningOf(response);
    const statusCode = response.statusCode!;
    const retryAfterSeconds = secondsOf(response.headers['retry-after']);
    return { statusCode, error: errorOf(statusCode), response: excerpt, retryAfterSeconds };
  }

  private checkPeer(socket: Socket, url: URL): void {
    const { remoteAddress } = socket;
    if (remoteAddress !== undefined && isReachable(remoteAddress, this.reach)) return;
    socket.destroy(
      new AddressRefused(`${literalOf(url) ?? url.hostname} led to ${remoteAddress}, which is not public`),
    );
  }
}

function whenConnected(socket: Socket, check: () => void): void {
  if (socket.connecting) socket.once('connect', check);
  else check();
}

/** How long to wait after `Retry-After`, which has seconds or a date; nothing where it has neither. */
function secondsOf(text = ''): number | undefined {
  return Number(text) || (Date.parse(text) - Date.now()) / 1_000 || undefined;
}

function errorOf(statusCode: number): string | null {
  if (statusCode >= 200 && statusCode < 300) return null;
  if (statusCode >= 300 && statusCode < 400) return `answered ${statusCode}; redirects are not followed`;
  return `answered ${statusCode}`;
}

/** The beginning of an answer, printable; what follows is not read. */
async function beginningOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= RESPONSE_BYTES_MAX) break; // which ends the connection
  }
  // oxlint-disable-next-line no-control-regex
  const controls = /[\u0000-\u001f\u007f]+/g;
  const text = Buffer.concat(chunks).toString('utf8').replace(controls, ' ');
  return [...text].slice(0, EXCERPT_LENGTH_MAX).join('');
}

/** Without addresses of the house: what an operator may read of a failure. */
function reasonOf(error: unknown): string {
  if (error instanceof AddressRefused) return error.message;
  const { code, name } = error as NodeJS.ErrnoException;
  return `no answer: ${code ?? name}`;
}
