/** How soon a new process posts, and how much memory it takes. */
import { randomUUID } from 'node:crypto';
import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { IDLE_AFTER_MS, type Bench } from '../bench.js';
import { MemoryWatch, residentMB } from '../memory.js';
import type { Row, Sample } from '../row.js';
import { walletIdOf } from '../wallet-ids.js';
import { EXTERNAL_STRIPE } from '../wallets.js';

const FIRST_201_WITHIN_MS = 30_000;
const ASK_EVERY_MS = 5;

/**
 * A process of its own in each round, on the migrated ledger with its wallets: a process that other rows have used has
 * their memory. Under P1 means P1's load for the length of a phase, and the highest of what was seen.
 */
export const P9: Row = {
  name: 'P9',
  partOf: 'P9',
  what: 'a new process: start, memory',
  goals: [
    { figure: 'startSeconds', most: 1.5 },
    { figure: 'idleMB', most: 160 },
    { figure: 'loadedMB', most: 350 },
  ],
  async measure(bench, seconds): Promise<Sample> {
    const service = await bench.startService(EXTERNAL_STRIPE + 2);
    await firstPosting(bench, service.url);
    const startSeconds = (performance.now() - service.spawnedAt) / 1_000;
    await delay(IDLE_AFTER_MS);
    const idleMB = await residentMB(service.pid);
    const memory = new MemoryWatch(service.pid, 20);
    const { others } = await bench.load({}, seconds, [service]);
    const loadedMB = await memory.end();
    await service.stop();
    return { startSeconds, idleMB, loadedMB, others };
  },
};

/** Debits a wallet, again until it is done; the key is the same, so it is done once. */
async function firstPosting(bench: Bench, url: string): Promise<void> {
  const { token } = bench.options;
  const headers = {
    'content-type': 'application/json',
    'idempotency-key': randomUUID(),
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  };
  const until = performance.now() + FIRST_201_WITHIN_MS;
  let status: number | undefined;
  do {
    const call = request(`${url}/v1/wallets/${walletIdOf(0)}/debits`, { method: 'POST', headers, agent: false });
    call.end('{"amount":"1.00"}');
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    answer.resume();
    await once(answer, 'end');
    status = answer.statusCode;
    if (status !== 201) await delay(ASK_EVERY_MS);
  } while (status !== 201 && performance.now() < until);
  if (status !== 201) throw new Error(`no debit within ${FIRST_201_WITHIN_MS} ms of listening: ${status}`);
  bench.account(1);
}
