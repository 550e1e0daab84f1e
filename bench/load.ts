/**
 * The load generator, in a process of its own so that its event loop is not the one that is measured.
 *
 * Closed loop: N connections, each sends its next request when it has the answer to the last; that finds the highest
 * rate. Open loop: requests arrive at a fixed rate whatever becomes of those before, as customers do, and a latency
 * counts from the moment the request should have been sent. A closed loop hides queueing, as a slow service slows down
 * its own load ("coordinated omission").
 *
 * Rejected: autocannon. It takes 43 µs of processor time for a request where this takes 16, and on two cores that
 * comes out of the service's share: 4,290, 4,030, 3,350, 4,490 debits a second against 4,980, 5,400, 3,230, 6,180 in
 * alternation, three of four in favour.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Lane } from './lane.js';
import { latenciesOf, type Latencies } from './latencies.js';
import { requestsOf, type RequestOptions, type Requests } from './requests.js';

export interface LoadJob extends Omit<RequestOptions, 'host'> {
  /** Connections are dealt out to these in turn. */
  urls: string[];
  connections: number;
  seconds: number;
  /** Open loop: arrivals per second, at random (Poisson). Without it, closed loop. */
  rate?: number;
}

export interface LoadResult extends Latencies {
  /** Operations done within the measured time: postings or reads. */
  perSecond: number;
  /** All that were answered as done, with the stragglers after the time. */
  acknowledged: number;
  /** Operations whose answer never came. */
  unknown: number;
  /** Everything else by status; `lost` for connections that broke, `refused item` for items of batches. */
  others: Record<string, number>;
  /** Processor time of the generator itself. */
  ownCpuUs: number;
}

const STRAGGLERS_MAX_MS = 15_000;
const LOST_MAX = 1_000;
/** Four of the service's groups. Arrivals past it wait here, and their wait counts. */
const OPEN_LOOP_CONNECTIONS_MAX = 2_000;

/** What both loops share: connections, and the account of what was answered. */
abstract class Run {
  protected readonly requests: Requests;
  protected readonly latenciesMs: number[] = [];
  protected readonly others: Record<string, number> = {};
  protected readonly lanes = new Set<Lane>();
  protected beginsAt = Infinity;
  protected endsAt = Infinity;
  protected underWay = 0;
  protected lost = 0;
  protected finish!: () => void;
  private opened = 0;
  /** Connections that have had no answer yet, before the time begins. */
  private unused = 0;
  private used!: () => void;
  private done = 0;
  private acknowledged = 0;

  constructor(protected readonly job: LoadJob) {
    this.requests = requestsOf({ ...job, host: new URL(job.urls[0]!).host });
  }

  async measure(): Promise<LoadResult> {
    await Promise.all(Array.from({ length: this.job.connections }, () => this.open()));
    await this.useOnce();
    const { seconds } = this.job;
    const cpu = process.cpuUsage();
    const begin = performance.now();
    this.beginsAt = begin;
    this.endsAt = begin + seconds * 1_000;
    const finished = new Promise<void>((resolve) => (this.finish = resolve));
    this.start([...this.lanes], begin);
    // Unreferenced: the process must not stay for it once all is answered.
    await Promise.race([finished, delay(seconds * 1_000 + STRAGGLERS_MAX_MS, undefined, { ref: false })]);
    this.stop();
    const { user, system } = process.cpuUsage(cpu);
    return {
      perSecond: this.done / seconds,
      acknowledged: this.acknowledged,
      unknown: (this.underWay + this.lost) * this.requests.operations,
      others: this.others,
      ...latenciesOf(this.latenciesMs),
      ownCpuUs: user + system,
    };
  }

  /**
   * Sends a request over each connection and awaits the answers, before the time begins. A connection that the system has opened, the
   * service takes when it comes to it, and 256 of them take it some 100 ms. The other references have theirs before they begin as well.
   */
  private async useOnce(): Promise<void> {
    this.unused = this.lanes.size;
    const used = new Promise<void>((resolve) => (this.used = resolve));
    for (const lane of this.lanes) this.send(lane, performance.now());
    await Promise.race([used, delay(STRAGGLERS_MAX_MS, undefined, { ref: false })]);
    if (this.unused > 0) throw new Error(`${this.unused} connections have had no answer for ${STRAGGLERS_MAX_MS} ms`);
  }

  private afterUse(): void {
    if (--this.unused === 0) this.used();
  }

  protected abstract start(lanes: Lane[], begin: number): void;
  /** The lane has its answer and may send again. */
  protected abstract onFree(lane: Lane, now: number): void;
  protected abstract onBroken(lane: Lane): void;
  /** Whether the latency of an answer at that time counts. */
  protected abstract isMeasured(now: number): boolean;

  protected async open(): Promise<Lane> {
    const { urls } = this.job;
    const lane = await Lane.open(urls[this.opened++ % urls.length]!, {
      onAnswer: (lane, answer) => {
        const now = performance.now();
        this.underWay--;
        this.record(answer, now - lane.since, now);
        if (now >= this.beginsAt) this.onFree(lane, now);
        else this.afterUse();
      },
      onBroken: (lane) => {
        this.lanes.delete(lane);
        if (lane.isBusy) {
          this.underWay--;
          this.lost++;
          this.count('lost');
        }
        if (performance.now() >= this.beginsAt) this.onBroken(lane);
        else if (lane.isBusy) this.afterUse();
      },
    });
    this.lanes.add(lane);
    return lane;
  }

  /** @param since the moment from which the latency counts. */
  protected send(lane: Lane, since: number): void {
    this.underWay++;
    lane.send(this.requests.next(), since);
  }

  protected stop(): void {
    for (const lane of this.lanes) lane.close();
  }

  protected count(what: string, times = 1): void {
    this.others[what] = (this.others[what] ?? 0) + times;
  }

  private record(answer: Buffer, latencyMs: number, now: number): void {
    const status = answer.toString('latin1', 9, 12);
    const { expected, operations } = this.requests;
    if (status !== expected) {
      this.count(status);
      return;
    }
    const done = this.requests.doneIn(answer);
    if (done < operations) this.count('refused item', operations - done);
    this.acknowledged += done;
    if (now >= this.beginsAt && now <= this.endsAt) this.done += done;
    if (this.isMeasured(now)) this.latenciesMs.push(latencyMs);
  }
}

class ClosedLoop extends Run {
  private active = 0;

  protected start(lanes: Lane[], begin: number): void {
    this.active = lanes.length;
    for (const lane of lanes) this.send(lane, begin);
  }

  protected onFree(lane: Lane, now: number): void {
    if (now < this.endsAt) this.send(lane, now);
    else this.leave();
  }

  /** A broken connection is replaced, within reason. */
  protected onBroken(lane: Lane): void {
    if (!lane.isBusy) return; // its last answer had come
    if (this.lost >= LOST_MAX || performance.now() >= this.endsAt) {
      this.leave();
      return;
    }
    this.open().then(
      (next) => this.send(next, performance.now()),
      () => this.leave(),
    );
  }

  protected isMeasured(now: number): boolean {
    return now >= this.beginsAt && now <= this.endsAt;
  }

  private leave(): void {
    if (--this.active === 0) this.finish();
  }
}

class OpenLoop extends Run {
  private readonly idle: Lane[] = [];
  /** Arrivals that no connection was free for yet, by the moment they should have been sent. */
  private readonly waiting: number[] = [];
  private opening = 0;
  private nextAt = 0;
  private timer?: NodeJS.Timeout;

  protected start(lanes: Lane[], begin: number): void {
    this.idle.push(...lanes);
    this.nextAt = begin + this.gapMs();
    this.arrive();
  }

  protected onFree(lane: Lane): void {
    const since = this.waiting.shift();
    if (since === undefined) this.idle.push(lane);
    else this.send(lane, since);
    this.finishIfDone();
  }

  protected onBroken(lane: Lane): void {
    const at = this.idle.indexOf(lane);
    if (at >= 0) this.idle.splice(at, 1);
    if (this.waiting.length > 0) this.openOneMore();
    this.finishIfDone();
  }

  /** All that arrived, however late their answers: leaving out the slow ones would flatter. */
  protected isMeasured(now: number): boolean {
    return now >= this.beginsAt;
  }

  protected override stop(): void {
    clearTimeout(this.timer);
    // What was never answered took at least this long.
    const now = performance.now();
    const busy = [...this.lanes].filter(({ isBusy }) => isBusy).map(({ since }) => since);
    for (const since of [...this.waiting, ...busy]) this.latenciesMs.push(now - since);
    if (this.waiting.length > 0) this.count('never sent', this.waiting.length);
    this.waiting.length = 0;
    super.stop();
  }

  /** Sends all whose moment has come. Node's timers are up to 1 ms late; that counts against the service. */
  private arrive(): void {
    const now = performance.now();
    for (; this.nextAt <= now && this.nextAt < this.endsAt; this.nextAt += this.gapMs()) {
      const lane = this.idle.pop();
      if (lane) this.send(lane, this.nextAt);
      else {
        this.waiting.push(this.nextAt);
        this.openOneMore();
      }
    }
    if (this.nextAt < this.endsAt) this.timer = setTimeout(() => this.arrive(), this.nextAt - now);
    else this.finishIfDone();
  }

  private openOneMore(): void {
    if (this.lanes.size + this.opening >= OPEN_LOOP_CONNECTIONS_MAX) return;
    this.opening++;
    this.open().then(
      (lane) => {
        this.opening--;
        this.onFree(lane);
      },
      () => {
        this.opening--;
        this.count('not connected');
      },
    );
  }

  /** The time between two arrivals of a Poisson process. */
  private gapMs(): number {
    return (-Math.log(1 - Math.random()) * 1_000) / this.job.rate!;
  }

  private finishIfDone(): void {
    if (this.nextAt >= this.endsAt && this.underWay === 0 && this.waiting.length === 0) this.finish();
  }
}

process.on('message', (job: LoadJob) => {
  const run = job.rate === undefined ? new ClosedLoop(job) : new OpenLoop(job);
  run.measure().then(
    (result) => process.send!({ result }),
    (error: unknown) => process.send!({ error: String(error) }),
  );
});
