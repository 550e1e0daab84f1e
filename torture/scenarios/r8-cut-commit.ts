/** R8: the connection is cut right before or right after COMMIT. The caller hears success or "repeat", never a false refusal. */
import { expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { CommitCutter } from '../../test/support/proxy.js';
import { startService, TestDatabase } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { randomOf, report, times } from '../stage.js';

const CUTS = times(1_000, 40);

it.each(['before', 'after'] as const)(`R8: ${CUTS} connections cut right %s COMMIT`, async (when) => {
  const random = randomOf(`r8 ${when}`);
  const database = await TestDatabase.create();
  const cutter = await CommitCutter.start(database.url, when);
  const service = await startService({ DATABASE_URL: cutter.url }, { database, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    random,
    `r8${when}`,
  );
  log.start(16, () => service.api);
  while (cutter.cuts < CUTS) {
    cutter.cutsLeft = 1;
    await delay(5 + random() * 20);
  }
  cutter.cutsLeft = 0;
  await log.stop();
  const unknown = await log.resolve(service.api);
  const problems = await log.problems(database);
  report(
    'R8',
    `cut right ${when} COMMIT, ${cutter.cuts} ×`,
    `${log.acknowledged} acknowledged, ${unknown} unknown and resolved`,
    problems,
  );
  await service.stop();
  await cutter.stop();
  await database.drop();
  expect(problems).toEqual([]);
});
