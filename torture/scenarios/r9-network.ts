/** R9: a network that cuts in mid-statement, goes silent, or passes a byte at a time. Every request ends in its time. */
import { expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { startService, TestDatabase, type Service } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { FaultyNetwork } from '../proxy.js';
import { randomOf, report, times } from '../stage.js';

const ROUNDS = times(5, 1);
const DEADLINE_MS = 4_000;
const WHOLE_MS_MAX = 2_000;

it.each(['cut', 'stall', 'trickle'] as const)(`R9: a network that does this: %s`, async (fault) => {
  const random = randomOf(`r9 ${fault}`);
  const database = await TestDatabase.create();
  const network = await FaultyNetwork.start(database.url);
  const env = {
    DATABASE_URL: network.url,
    REQUEST_DEADLINE_MS: String(DEADLINE_MS),
    DATABASE_STATEMENT_TIMEOUT_MS: '2000',
  };
  const service = await startService(env, { database, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    random,
    `r9${fault}`,
  );
  log.start(16, () => service.api);
  const whole: number[] = [];
  for (let n = 0; n < ROUNDS; n++) {
    await delay(1_000);
    if (fault === 'cut') {
      for (let cut = 0; cut < 20; cut++) {
        network.cut();
        await delay(random() * 100);
      }
    } else {
      network.mode = fault === 'stall' ? { kind: 'stall' } : { kind: 'trickle', ms: 1_000 };
      await delay(6_000);
      // What was swallowed never comes; those connections are of no use any more.
      network.mode = { kind: 'pass' };
      network.cut();
    }
    const healedAt = performance.now();
    const before = log.acknowledged;
    while (log.acknowledged < before + 200 && performance.now() - healedAt < 30_000) await delay(10);
    whole.push(performance.now() - healedAt);
  }
  await log.stop();
  const unknown = await log.resolve(service.api);
  const problems = [...(await log.problems(database)), ...(await waiting(service))];
  const [longest, slowest] = [Math.max(...log.latenciesMs), Math.max(...whole)];
  const late = longest > DEADLINE_MS + 1_000 ? [`a request took ${longest.toFixed(0)} ms`] : [];
  if (slowest > WHOLE_MS_MAX) late.push(`whole again only after ${slowest.toFixed(0)} ms`);
  const broken = report(
    'R9',
    `network: ${fault}, ${ROUNDS} ×`,
    `${log.acknowledged} acknowledged, ${unknown} unknown and resolved, longest request ${longest.toFixed(0)} ms ` +
      `(deadline ${DEADLINE_MS}), 200 done ≤ ${slowest.toFixed(0)} ms after it, nobody waits for a connection`,
    problems,
    late,
  );
  await service.stop();
  network.stop();
  await database.drop();
  expect(broken).toEqual([]);
});

/** What /metrics says of the pool after it: a connection that was lost and is still counted keeps somebody waiting for ever. */
async function waiting({ api }: Service): Promise<string[]> {
  const isWhole = async () => {
    const { text } = await api.get('/metrics');
    const [waits, open, idle] = ['waiting', 'connections', 'connections_idle'].map((name) =>
      Number(new RegExp(`^asper_database_${name} (\\S+)$`, 'm').exec(text)?.[1]),
    );
    // The scrape itself asks the database, over one of them.
    return waits === 0 && open! - idle! <= 1;
  };
  // What goes on beside requests uses one now and then.
  for (let n = 0; n < 10; n++, await delay(WHOLE_MS_MAX / 10)) if (await isWhole()) return [];
  return ['somebody waits for a connection, or some are not given back'];
}
