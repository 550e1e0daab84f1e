/**
 * The metrics of several processes as one (`WORKERS`): a scrape reaches any of them, and is answered for all. The worker asks
 * its primary, the primary asks every worker (prom-client's own way), and adds up.
 */
import cluster, { type Worker } from 'node:cluster';

/** From a worker to its primary, and back; prom-client's own messages between them have other fields. */
interface Question {
  metricsOfAll: number;
}
interface Answer extends Question {
  text?: string;
}

const asked = new Map<number, (text: string | undefined) => void>();
let count = 0;

/** In a worker: the metrics of all workers. @returns undefined where one of them does not answer within five seconds */
export function metricsOfAll(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const question: Question = { metricsOfAll: (count += 1) };
    asked.set(question.metricsOfAll, resolve);
    // Without a callback, to write to a primary that is gone ends the process.
    cluster.worker!.send(question, (error: Error | null) => error && takeAnswer(question));
  });
}

/** In a worker: its primary is gone, and answers nobody who still waits. */
export function expectNoAnswers(): void {
  for (const metricsOfAll of asked.keys()) takeAnswer({ metricsOfAll });
}

/** In a worker: whether a message of the primary was an answer to {@link metricsOfAll}. */
export function takeAnswer(message: unknown): void {
  const { metricsOfAll: id, text } = (message ?? {}) as Partial<Answer>;
  if (id === undefined) return;
  asked.get(id)?.(text);
  asked.delete(id);
}

/** In the primary: answers a worker that asks. */
export async function answerMetrics(worker: Worker, message: unknown): Promise<void> {
  const { metricsOfAll: id } = (message ?? {}) as Partial<Question>;
  if (id === undefined) return;
  // Loaded by need: 6 MB that a primary without scrapes does without.
  const { AggregatorRegistry } = (await import('prom-client')).default;
  aggregator ??= new AggregatorRegistry();
  const text = await aggregator.clusterMetrics().catch(() => undefined);
  if (worker.isConnected()) worker.send({ metricsOfAll: id, text } satisfies Answer, () => undefined);
}

let aggregator: import('prom-client').AggregatorRegistry<'text/plain; version=0.0.4; charset=utf-8'> | undefined;
