import type { Client } from 'pg';
import type { Socket } from 'node:net';

/**
 * Lets statements that are handed over in one go leave in one piece. pg writes each to the socket by itself, and the
 * server wakes up for each: nine times for a lonely debit, where three are enough.
 */
export function sendTogether(client: Client): void {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  let isGathering = false;
  stream.write = (...args: unknown[]) => {
    if (!isGathering) {
      isGathering = true;
      stream.cork();
      // After the promises that are ready now: what they send belongs to it.
      process.nextTick(() => {
        isGathering = false;
        stream.uncork();
      });
    }
    return write(...args);
  };
}
