/** R6: processes are replaced one by one under load, and no client notices. `ROLLS=10` for the long run. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { figure } from '../torture/stage.js';
import { Balancer } from './support/balancer.js';
import { WalletClient } from './support/client.js';
import { startService, TestDatabase, type Service } from './support/service.js';

const ROLLS = Number(process.env.ROLLS ?? 1);
const CLIENTS = 32;
const EXIT_MS_MAX = 10_000;

describe('a rolling restart', () => {
  let database: TestDatabase;
  let balancer: Balancer;
  const services: Service[] = [];
  beforeAll(async () => {
    database = await TestDatabase.create();
    balancer = await Balancer.start();
  });
  afterAll(async () => {
    for (const service of services) await service.stop();
    balancer.stop();
    await database.drop();
  });

  async function add(): Promise<void> {
    const service = await startService({ SHUTDOWN_GRACE_MS: '1000' }, { database });
    services.push(service);
    balancer.add(service.api.url);
  }

  it(`under load, ${ROLLS} times: no request fails, and each process ends in its time`, async () => {
    await add();
    await add();
    const wallet = await services[0]!.api.newWallet('1000000.00');
    const client = new WalletClient(balancer.url, CLIENTS);
    const failures: string[] = [];
    const told: string[] = [];
    let done = 0;
    let isOver = false;
    const load = Array.from({ length: CLIENTS }, async (_, c) => {
      while (!isOver) {
        const reply = await (
          c % 4 === 0 ? client.get<{ id: string }>(`/v1/wallets/${wallet.id}`) : client.debit(wallet.id, '0.01')
        ).catch((error: Error) => ({ status: 0, text: error.message, body: undefined }));
        if (reply.status === 200 || reply.status === 201) done += 1;
        else failures.push(`${reply.status} ${reply.text}`);
        if (reply.status === 201) told.push(reply.body!.id);
      }
    });
    const exits: number[] = [];
    for (let n = 0; n < ROLLS; n++) {
      await add();
      const old = services.shift()!;
      const ended = once(old.process, 'exit');
      const startedAt = performance.now();
      old.process.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      exits.push(performance.now() - startedAt);
      balancer.remove(old.api.url);
    }
    isOver = true;
    await Promise.all(load);
    figure(
      `${ROLLS} times, ${done} requests, ${failures.length} failed, ${told.length} acknowledged, exit ≤ ${Math.max(...exits).toFixed(0)} ms`,
    );
    expect(failures).toEqual([]);
    expect(Math.max(...exits)).toBeLessThan(EXIT_MS_MAX);
    // R2: what was acknowledged is there, once, and nothing else is.
    const debits = new Set(
      (await database.query(`SELECT id FROM transactions WHERE type = 'debit'`)).map(({ id }) => id as string),
    );
    expect(told.filter((id) => !debits.has(id))).toEqual([]);
    expect([new Set(told).size, debits.size]).toEqual([told.length, told.length]);
    expect(await database.problems()).toEqual([]);
  }, 120_000);
});
