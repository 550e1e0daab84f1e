/** R5: `kill -9` of the service under load. Nothing is lost, nothing done twice, and it serves again within three seconds. */
import { expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { startService, TestDatabase } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { randomOf, report, times } from '../stage.js';

const KILLS = times(12, 2);
const READY_MS_MAX = 3_000;

it(`R5: kill -9 of the service, ${KILLS} times`, async () => {
  const random = randomOf('r5');
  const database = await TestDatabase.create();
  let service = await startService({}, { database, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    random,
    'r5',
  );
  log.start(32, () => service.api);
  const ready: number[] = [];
  for (let n = 0; n < KILLS; n++) {
    await delay(500 + random() * 1_500);
    service.process.kill('SIGKILL');
    await once(service.process, 'exit');
    const startedAt = performance.now();
    service = await startService({}, { database, quiet: true });
    ready.push(performance.now() - startedAt);
  }
  await delay(500);
  await log.stop();
  const unknown = await log.resolve(service.api);
  const problems = await log.problems(database);
  const slowest = Math.max(...ready);
  const late = slowest > READY_MS_MAX ? [`ready only after ${slowest.toFixed(0)} ms`] : [];
  const broken = report(
    'R5',
    `kill -9 of the service, ${KILLS} ×`,
    `${log.acknowledged} acknowledged, ${unknown} unknown and resolved, ready again ≤ ${slowest.toFixed(0)} ms`,
    problems,
    late,
  );
  await service.stop();
  await database.drop();
  expect(broken).toEqual([]);
});
