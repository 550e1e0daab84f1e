/** The open streams of this process: who may have one, for how long, and that they end with it. */
import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { once } from 'node:events';
import type { OutgoingHttpHeaders } from 'node:http';
import { ContinuedAccess } from '../auth/continued-access.js';
import type { KnownRequest } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import { placeOf } from '../events/event-id.js';
import { Metrics } from '../telemetry/metrics.js';
import { LiveHub } from './live.hub.js';
import { LiveQueries } from './live.queries.js';
import { LiveStream } from './live.stream.js';

/** A person has a few devices, each with a few pages. */
const STREAMS_PER_PERSON_MAX = 20;
/** Of all that a process may have: whatever one server does, the others and the persons have some. */
const SHARE_OF_KEY_MAX = 0.8;
/** Proxies hang up on a connection that is silent for 30 to 60 seconds. */
const BEAT_EVERY_MS = 15_000;
/** Whoever may no longer read the wallet is cut off by then. */
const CHECK_EVERY_MS = 3_000;
const RETRY_AFTER_SECONDS = 5;

interface Open {
  stream: LiveStream;
  scope: string;
  beatAt: number;
  isAllowed: () => Promise<boolean>;
}

@Injectable()
export class LiveService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly streams = new Set<Open>();
  private timer?: NodeJS.Timeout;
  private checking?: Promise<void>;
  private isStopping = false;

  constructor(
    private readonly hub: LiveHub,
    private readonly queries: LiveQueries,
    private readonly access: ContinuedAccess,
    metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    metrics.gauge('asper_live_streams', 'Open live streams', () => this.streams.size);
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => {
      this.beat();
      this.checking ??= this.check().finally(() => (this.checking = undefined));
    }, CHECK_EVERY_MS).unref();
  }

  /** Readers come back at once, and find a process that goes on. */
  beforeApplicationShutdown(): void {
    this.isStopping = true;
    clearInterval(this.timer);
    for (const { stream } of this.streams) stream.end();
  }

  /**
   * Answers with the balance of a wallet and all its changes from now on; or, after `Last-Event-ID`, with the changes since
   * that event, as far as it is still kept.
   * @throws {Problem} `wallet_not_found`, `system_wallet`, `validation_failed`, `too_many_streams`, `shutting_down`
   */
  async open(walletId: string, request: KnownRequest, reply: FastifyReply): Promise<void> {
    const { raw } = reply;
    if (!raw.socket && !raw.destroyed) await once(raw, 'socket'); // an earlier request of the connection has its answer first
    // Whoever hung up before this moment, while who they are was looked up, would be held open for ever: 'close' has come.
    if (raw.destroyed || reply.sent) return;
    const { scope = '', userId } = request.principal ?? {};
    if (this.isStopping) {
      throw new Problem('shutting_down', 'This process is stopping.', { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    this.assertRoom(scope);
    const lastId = request.headers['last-event-id'];
    const last = lastId === undefined ? undefined : placeOf(String(lastId));
    if (lastId !== undefined && !last)
      throw Problem.field('Last-Event-ID', 'must be the id of a message of the stream, or be left out');
    const stream = new LiveStream(walletId, this.queries);
    const open: Open = {
      ...{ stream, scope, beatAt: Date.now() + BEAT_EVERY_MS },
      isAllowed: this.access.of(request, 'wallets:read'),
    };
    this.streams.add(open);
    const leave = () => {
      stream.isOver = true;
      this.streams.delete(open);
      this.hub.leave(stream);
    };
    raw.once('close', leave);
    try {
      await this.hub.watch(stream);
      const isResumed = last !== undefined && (await this.queries.isKept(last));
      const from = isResumed ? { after: last } : { standing: await this.queries.standing(walletId) };
      if (userId !== undefined) this.endOldestOf(scope);
      this.begin(reply);
      if (request.method === 'HEAD') return void raw.end();
      await stream.open(raw, from);
    } catch (error) {
      leave();
      if (!reply.sent) throw error;
      stream.cut();
    }
  }

  private assertRoom(scope: string): void {
    const { streamsMax } = this.config;
    const again = { retryAfterSeconds: RETRY_AFTER_SECONDS };
    if (this.streams.size >= streamsMax)
      throw new Problem('too_many_streams', `This process has ${streamsMax} streams open.`, again);
    const ownMax = Math.max(1, Math.floor(streamsMax * SHARE_OF_KEY_MAX));
    if (scope.startsWith('key:') && this.streams.size >= ownMax && this.of(scope).length >= ownMax)
      throw new Problem('too_many_streams', `This process has ${ownMax} streams of yours open.`, again);
  }

  private of(scope: string): Open[] {
    return [...this.streams].filter((open) => open.scope === scope);
  }

  /** For a new one. Readers that have vanished without a word, as phones do, are noticed by TCP after a quarter of an hour. */
  private endOldestOf(scope: string): void {
    const own = this.of(scope);
    if (own.length <= STREAMS_PER_PERSON_MAX) return;
    own[0]!.stream.end();
    this.streams.delete(own[0]!);
  }

  /** Sends the head. Not through Nest's @Sse, which knows neither a reader that has stopped reading nor one that comes back. */
  private begin(reply: FastifyReply): void {
    reply.hijack();
    reply.raw.writeHead(200, {
      ...(reply.getHeaders() as OutgoingHttpHeaders),
      'content-type': 'text/event-stream; charset=utf-8',
      'x-accel-buffering': 'no', // nginx would collect before it passes on
    });
    // After a restart not everybody comes back in the same moment.
    reply.raw.write(`retry: ${1_000 + Math.floor(Math.random() * 2_000)}\n\n`);
  }

  /** Not behind the check: while the database is slow to say who may still read, connections must not seem dead. */
  private beat(): void {
    const now = Date.now();
    for (const open of this.streams) {
      if (open.beatAt > now) continue;
      open.beatAt = now + BEAT_EVERY_MS;
      open.stream.beat();
    }
  }

  /** One at a time: with a slow database they would pile up. */
  private async check(): Promise<void> {
    for (const { stream, isAllowed } of this.streams) if (!(await isAllowed())) stream.end();
  }
}
