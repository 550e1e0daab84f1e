/** The few lines of a start and an end, by a process that may have no application: a primary, or one that only opens its database. */
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

/** Whether LOG_FORMAT is `json`, also before the configuration is read. */
export function isLogJson({ LOG_FORMAT, NODE_ENV }: NodeJS.ProcessEnv): boolean {
  return LOG_FORMAT?.trim() ? LOG_FORMAT.trim() === 'json' : NODE_ENV === 'production';
}

/** A reader of what we say that is gone (EPIPE), or a disk that is full, ends the log and not the process. */
export function surviveLostOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/**
 * Waits until a reader has taken what was said, or is gone. A pager may rest for minutes; whoever reads nothing for longer does not
 * hold us for ever.
 */
export async function saidAll(
  streams: readonly Writable[] = [process.stdout, process.stderr],
  waitMsMax = 10 * 60_000,
): Promise<void> {
  const taken = streams.map((stream) => new Promise<void>((done) => void stream.write('', () => done())));
  await Promise.race([Promise.all(taken), delay(waitMsMax)]);
}

/** Prints a line as the JSON log would. */
export function sayJson(msg: string): void {
  console.log(JSON.stringify({ level: 'info', time: new Date().toISOString(), pid: process.pid, msg }));
}
