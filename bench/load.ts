/**
 * The load generator: N keep-alive sockets, each with one request under way, in a process of its own so that
 * its event loop is not the one that is measured. It speaks just enough HTTP/1.1 for the service: the request is
 * one string, of the answer it reads the status line and Content-Length.
 *
 * Rejected: autocannon. It takes 43 µs of processor time for a request where this takes 16, and on two cores that
 * comes out of the service's share: 4,290, 4,030, 3,350, 4,490 debits a second against 4,980, 5,400, 3,230, 6,180 in
 * alternation, three of four in favour.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { walletIdOf } from './wallet-ids.js';

export interface LoadJob {
  url: string;
  kind: 'debits' | 'transfers';
  connections: number;
  seconds: number;
  /** Wallets 0 to this less one are used. */
  wallets: number;
  /** 0 draws wallets uniformly; 1 gives the second-busiest wallet half of the busiest one's traffic, and so on. */
  zipf: number;
  /** An access token, where the service asks for one. */
  token?: string;
}

export interface LoadResult {
  perSecond: number;
  /** 201s within the measured time, and all of them with the stragglers after it. */
  counted: number;
  acknowledged: number;
  /** Answers other than 201 by status, and `lost` for connections that broke: their outcome is unknown. */
  others: Record<string, number>;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** Processor time of the generator itself. */
  ownCpuUs: number;
}

const STRAGGLERS_MAX_MS = 15_000;
const LOST_MAX = 1_000;
const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH_NAME = Buffer.from('\r\ncontent-length: ');

/** One measured run. */
class Run {
  private readonly latenciesMs: number[] = [];
  private readonly others: Record<string, number> = {};
  private acknowledged = 0;
  private lost = 0;
  private readonly nextRequest: () => string;
  private endsAt = Infinity;

  constructor(private readonly job: LoadJob) {
    this.nextRequest = requests(job);
  }

  async measure(): Promise<LoadResult> {
    const lanes = await Promise.all(Array.from({ length: this.job.connections }, () => this.open()));
    const cpu = process.cpuUsage();
    const begin = performance.now();
    this.endsAt = begin + this.job.seconds * 1_000;
    const all = Promise.all(lanes.map((socket) => this.drive(socket)));
    // Unreferenced: the process must not stay for it once all lanes are done.
    await Promise.race([all, delay(this.job.seconds * 1_000 + STRAGGLERS_MAX_MS, undefined, { ref: false })]);
    const { user, system } = process.cpuUsage(cpu);
    const sorted = Float64Array.from(this.latenciesMs).sort();
    const quantile = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
    return {
      perSecond: sorted.length / this.job.seconds,
      counted: sorted.length,
      acknowledged: this.acknowledged,
      others: this.others,
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
      maxMs: quantile(1),
      ownCpuUs: user + system,
    };
  }

  private async open(): Promise<Socket> {
    const { hostname, port } = new URL(this.job.url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return socket;
  }

  /** Sends one request after the other until the time is over; a broken connection is replaced. */
  private async drive(first: Socket): Promise<void> {
    for (let socket: Socket | undefined = first; socket;) {
      const isBroken = await this.driveOne(socket);
      socket.destroy();
      if (!isBroken) return;
      this.count('lost');
      if (++this.lost >= LOST_MAX) return;
      socket = performance.now() < this.endsAt ? await this.open().catch(() => undefined) : undefined;
    }
  }

  /** @returns whether the connection broke with a request under way. */
  private driveOne(socket: Socket): Promise<boolean> {
    return new Promise((resolve) => {
      let sentAt = 0;
      let partial: Buffer | undefined;
      const send = () => {
        sentAt = performance.now();
        socket.write(this.nextRequest(), 'latin1');
      };
      socket.on('data', (chunk: Buffer) => {
        const answer = partial ? Buffer.concat([partial, chunk]) : chunk;
        if (!isWhole(answer)) {
          partial = answer;
          return;
        }
        partial = undefined;
        const now = performance.now();
        this.record(answer.toString('latin1', 9, 12), now - sentAt, now);
        if (now < this.endsAt) send();
        else resolve(false);
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(true));
      send();
    });
  }

  private record(status: string, latencyMs: number, now: number): void {
    if (status !== '201') {
      this.count(status);
      return;
    }
    this.acknowledged++;
    if (now <= this.endsAt) this.latenciesMs.push(latencyMs);
  }

  private count(what: string): void {
    this.others[what] = (this.others[what] ?? 0) + 1;
  }
}

function isWhole(answer: Buffer): boolean {
  const headEnd = answer.indexOf(HEAD_END);
  if (headEnd < 0) return false;
  const at = answer.indexOf(LENGTH_NAME) + LENGTH_NAME.length;
  const length = Number(answer.toString('latin1', at, answer.indexOf('\r', at)));
  return answer.length >= headEnd + HEAD_END.length + length;
}

/** Builds requests: everything but wallet and key is made once. Keys are random, as clients make them. */
function requests({ url, kind, wallets, zipf, token }: LoadJob): () => string {
  const draw = zipf > 0 ? zipfian(wallets, zipf) : () => Math.floor(Math.random() * wallets);
  const ids = Array.from({ length: wallets }, (_, i) => walletIdOf(i));
  const authorization = token ? `Authorization: Bearer ${token}\r\n` : '';
  const head = ` HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${authorization}Content-Type: application/json\r\n`;
  const tail = (body: string) => `\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  if (kind === 'debits') {
    const starts = ids.map((id) => `POST /v1/wallets/${id}/debits${head}Idempotency-Key: `);
    const end = tail('{"amount":"1.00"}');
    return () => starts[draw()]! + randomUUID() + end;
  }
  const start = `POST /v1/transfers${head}Idempotency-Key: `;
  return () => {
    const from = draw();
    let to = draw();
    while (to === from) to = draw();
    return (
      start + randomUUID() + tail(`{"from_wallet_id":"${ids[from]!}","to_wallet_id":"${ids[to]!}","amount":"1.00"}`)
    );
  };
}

/** Draws 0 … n - 1 where the k-th busiest comes 1/k^s as often as the busiest. */
function zipfian(n: number, s: number): () => number {
  const cumulative = new Float64Array(n);
  let sum = 0;
  for (let k = 0; k < n; k++) cumulative[k] = sum += 1 / (k + 1) ** s;
  return () => {
    const wanted = Math.random() * sum;
    let low = 0;
    for (let high = n - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    // Busy wallets must not be neighbours on one page just because their ranks are: 7919 is prime, so this permutes.
    return (low * 7_919) % n;
  };
}

process.on('message', (job: LoadJob) => {
  new Run(job).measure().then(
    (result) => process.send!({ result }),
    (error: unknown) => process.send!({ error: String(error) }),
  );
});
