/**
 * A worker that debits a wallet of its own, over and over, on a thread of its own: what the crowd's client is busy with is no part of
 * its times. `shared[0]` says what goes on around it, `shared[1]` that it may end; then it tells its times, a list for each.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

const { url, shared, kinds } = workerData;
const timesMs = Array.from({ length: kinds }, () => []);
const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"amount":"1.00"}' };

async function client() {
  while (Atomics.load(shared, 1) === 0) {
    const kind = Atomics.load(shared, 0);
    const sentAt = performance.now();
    const reply = await fetch(url, request);
    await reply.text();
    if (reply.status !== 201) throw new Error(`a bystander was answered ${reply.status}`);
    if (kind === Atomics.load(shared, 0)) timesMs[kind].push(performance.now() - sentAt);
    await delay(1);
  }
}

await Promise.all(Array.from({ length: 4 }, client));
parentPort.postMessage(timesMs);
