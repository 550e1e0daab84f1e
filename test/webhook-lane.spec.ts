/** What one endpoint takes of a process. The store is its table of what waits. */
import { expect, it } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import { WebhookLane } from '../src/webhooks/webhook.lane.js';
import type { PendingDelivery, TakenEndpoint, WebhookStore } from '../src/webhooks/webhook.store.js';

it('keeps the fewer deliveries in memory, the more endpoints a process works at', async () => {
  let lanes = 1;
  const read: Array<[after: bigint, most: number]> = [];
  // All of them wait for an hour, as of an endpoint that is down.
  const pending = async (_: string, after: bigint, most: number): Promise<PendingDelivery[]> => {
    read.push([after, most]);
    return Array.from({ length: Math.min(most, 2_000 - Number(after)) }, (_, i) => {
      const n = after + BigInt(i + 1);
      const id = String(n);
      return {
        id,
        n,
        eventId: id,
        subjectIds: [id],
        nextAttemptAt: performance.now() + 3_600_000,
        attemptCount: 1,
      } as never;
    });
  };
  const lane = new WebhookLane({ id: 'one', position: 0n } as TakenEndpoint, Infinity, {
    ...{ lanes: () => lanes, worker: 'worker', concurrency: 10, store: { pending } as WebhookStore },
    ...{ deliver: () => Promise.reject(new Error('nothing is due')), warn: (message) => expect(message).toBe('') },
  });
  const kept = () => (lane as unknown as { window: unknown[] }).window.length;
  for (const [others, deliveries] of [
    [1, 1_000],
    [100, 500],
    [1_000, 50],
  ] as const) {
    lanes = others;
    lane.work();
    for (let i = 0; i < 20; i++) await turn();
    expect(kept()).toBe(deliveries);
  }
  expect(read).toEqual([
    [0n, 1_000],
    [1_000n, 1_000],
    [2_000n, 1_000],
  ]);
});
