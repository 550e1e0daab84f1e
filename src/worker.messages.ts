/** What a primary (`cluster.ts`) and its workers (`worker.ts`) say to each other, besides metrics. */

/** What a worker tells its primary, once: where it listens, or why it does not. */
export type WorkerReport = { url: string } | { failure: string };

/** What a primary tells its workers. */
export const STOP = 'stop';
