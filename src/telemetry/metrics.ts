/**
 * What the service counts and measures of itself, for Prometheus. What is counted as it happens is here; what can be looked at
 * when asked (queues, connections) is added by whoever has it. docs/observability.md has the table.
 */
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import cluster from 'node:cluster';
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { CONFIG, type Config } from '../config.js';

const SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048];

/** How a gauge of several processes becomes one: the sum, or the same for all, as it is the database's. */
export type Together = 'sum' | 'max' | 'min';

export type Reading = number | undefined;

/** Of several processes the fullest and the most held up: an alert goes by the one that is about to fail. prom-client adds or averages. */
const OF_THE_WORST = new Set([
  'process_resident_memory_bytes',
  'nodejs_heap_size_used_bytes',
  'nodejs_eventloop_lag_p99_seconds',
]);

@Injectable()
export class Metrics implements OnApplicationBootstrap {
  readonly registry = new Registry();

  readonly requestSeconds = this.histogram(
    'asper_http_request_duration_seconds',
    'Requests by method, route and status; the route "none" is none of ours, 499 a caller who hung up before the answer',
    SECONDS,
    ['method', 'route', 'status'],
  );
  readonly problems = this.counter('asper_problems_total', 'Answers that were problems, by code', ['code']);
  readonly postings = this.counter(
    'asper_postings_total',
    'Postings by outcome: posted, found (under their key), or the code of the refusal',
    ['outcome'],
  );
  readonly queueSeconds = this.histogram(
    'asper_posting_queue_wait_seconds',
    'Time from the queue to the beginning of the group that committed it',
    SECONDS,
  );
  readonly groupSize = this.histogram('asper_posting_group_size', 'Instructions of each committed group', SIZES);
  readonly groupSeconds = this.histogram(
    'asper_posting_group_duration_seconds',
    'Database transaction of a group, its attempts together',
    SECONDS,
  );
  readonly commitSeconds = this.histogram(
    'asper_posting_commit_duration_seconds',
    'The part of it after the decisions: writes and COMMIT, which travel together',
    SECONDS,
  );
  readonly retries = this.counter(
    'asper_posting_retries_total',
    'Further attempts at groups, by the SQLSTATE that made them needed; "none": the connection was lost',
    ['sqlstate'],
  );
  readonly groupFailures = this.counter(
    'asper_posting_group_failures_total',
    'Groups that were given up; their callers heard 503 or 500',
  );
  readonly deliveries = this.counter(
    'asper_webhook_attempts_total',
    'Attempts to deliver by outcome: delivered, failed (comes again), dead (was the last)',
    ['outcome'],
  );
  readonly deliverySeconds = this.histogram(
    'asper_webhook_attempt_duration_seconds',
    'How long receivers take',
    SECONDS,
  );
  readonly occurrences = this.counter(
    'asper_schedule_occurrences_total',
    'Occurrences of schedules by outcome: posted, or the code of the refusal',
    ['outcome'],
  );
  readonly codes = this.counter('asper_codes_total', 'One-time codes by outcome: sent, or failed (the log says why)', [
    'outcome',
  ]);
  readonly backgroundFailures = this.counter(
    'asper_background_failures_total',
    'Rounds of the work beside requests that failed and come again; the log says which and why',
  );

  constructor(@Inject(CONFIG) private readonly config: Config) {
    // There before the first one: an alert sees a rise from 0 to 1, and nothing in a series that begins at 1.
    this.problems.inc({ code: 'internal_error' }, 0);
    this.deliveries.inc({ outcome: 'dead' }, 0);
    for (const outcome of ['sent', 'failed']) this.codes.inc({ outcome }, 0);
  }

  /** Of the process itself: CPU, memory, event loop, garbage. Commands do without. */
  onApplicationBootstrap(): void {
    if (!this.config.background) return;
    collectDefaultMetrics({ register: this.registry });
    for (const metric of this.registry.getMetricsAsArray())
      if (OF_THE_WORST.has(metric.name)) metric.aggregator = 'max';
    if (!cluster.isWorker) return;
    AggregatorRegistry.setRegistries([this.registry]);
    new AggregatorRegistry(); // from now on it answers its primary: `worker.metrics.ts`
  }

  /** Adds what is looked at whenever somebody asks. @param read must not throw; undefined where nobody can tell now */
  gauge(name: string, help: string, read: () => Reading | Promise<Reading>, together: Together = 'sum'): void {
    const collect = async function (this: Gauge) {
      const value = await read();
      if (value === undefined) this.remove();
      else this.set(value);
    };
    this.register(new Gauge({ name, help, collect, registers: [], aggregator: together }));
  }

  private counter<Label extends string>(name: string, help: string, labelNames: Label[] = []): Counter<Label> {
    return this.register(new Counter({ name, help, labelNames, registers: [] }));
  }

  private histogram<Label extends string>(name: string, help: string, buckets: number[], labelNames: Label[] = []) {
    return this.register(new Histogram({ name, help, buckets, labelNames, registers: [] }));
  }

  private register<Metric extends Counter | Gauge | Histogram>(metric: Metric): Metric {
    this.registry.registerMetric(metric);
    return metric;
  }
}
