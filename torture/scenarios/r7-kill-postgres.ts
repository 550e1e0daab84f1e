/** R7: `kill -9` of PostgreSQL under load. Nothing is lost, and the service serves again without a restart. */
import { expect, it } from '@jest/globals';
import pg from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { startService, TestDatabase } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { killPostgres, randomOf, report, skip, times } from '../stage.js';

const KILLS = times(6, 2);
const SERVES_MS_MAX = 5_000;

it(`R7: kill -9 of PostgreSQL, ${KILLS} times`, async () => {
  if (process.env.TEST_DATABASE_URL) return skip('R7', 'kill -9 of PostgreSQL', 'the server is not ours to kill');
  const random = randomOf('r7');
  const database = await TestDatabase.create();
  const service = await startService({}, { database, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    random,
    'r7',
  );
  log.start(32, () => service.api);
  const serves: number[] = [];
  let current = database;
  for (let n = 0; n < KILLS; n++) {
    await delay(500 + random() * 1_500);
    await killPostgres(current);
    await untilItAnswers(database.url);
    const backAt = performance.now();
    const before = log.acknowledged;
    while (log.acknowledged === before && performance.now() - backAt < 30_000) await delay(10);
    serves.push(performance.now() - backAt);
    current = await TestDatabase.join(database.name);
  }
  await delay(500);
  await log.stop();
  const unknown = await log.resolve(service.api);
  const problems = await log.problems(current);
  const slowest = Math.max(...serves);
  const late = slowest > SERVES_MS_MAX ? [`serves only ${slowest.toFixed(0)} ms after the database`] : [];
  const broken = report(
    'R7',
    `kill -9 of PostgreSQL, ${KILLS} ×`,
    `${log.acknowledged} acknowledged, ${unknown} unknown and resolved, serves ≤ ${slowest.toFixed(0)} ms after the database`,
    problems,
    late,
  );
  await service.stop();
  await current.drop();
  expect(broken).toEqual([]);
});

async function untilItAnswers(url: string): Promise<void> {
  for (let n = 0; n < 600; n++) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
    client.on('error', () => undefined);
    const isBack = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end().catch(() => undefined);
    if (isBack) return;
    await delay(50);
  }
  throw new Error('PostgreSQL does not come back');
}
