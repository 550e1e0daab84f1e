/** A worker: one of several processes that share the port. `cluster.ts` is its primary. */
import cluster from 'node:cluster';
import { STOP, type WorkerReport } from './worker.messages.js';
import { readConfig } from './config.js';
import { serve } from './serve.js';
import { whyNotStarted } from './start-failure.js';
import { expectNoAnswers, takeAnswer } from './telemetry/worker.metrics.js';

/** Serves until the primary says stop or is gone. The primary has opened the database and completed the environment. */
export async function work(): Promise<void> {
  const worker = cluster.worker!;
  const report = (said: WorkerReport, then = () => {}) => worker.send(said, then);
  try {
    const serving = await serve(readConfig(process.env));
    let stopping: Promise<void> | undefined;
    const end = () => void (stopping ??= serving.stop().then(() => process.exit(0)));
    // Ctrl-C and a service manager reach primary and workers alike, in any order; whoever is first is right.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, end);
    worker.on('message', (message) => (message === STOP ? end() : takeAnswer(message)));
    // Without its primary a worker would be ended by Node at once; what it has accepted is answered first.
    worker.exitedAfterDisconnect = true;
    worker.on('disconnect', () => (expectNoAnswers(), end()));
    worker.on('error', () => undefined); // prom-client answers a primary that has just gone; 'disconnect' is acted on
    report({ url: serving.url });
  } catch (error) {
    report({ failure: whyNotStarted(error) }, () => process.exit(1));
  }
}
