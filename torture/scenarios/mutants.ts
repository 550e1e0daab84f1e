/** ⚑ The client log is on trial: a build that answers before COMMIT must be found out by it. */
import { expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { earlyAnswer, mutant, removeMutants, WITHOUT_TRIGGERS } from '../../test/support/mutants.js';
import { startService, TestDatabase } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { randomOf, report } from '../stage.js';

it('⚑ a build that answers before COMMIT is found out', async () => {
  const database = await TestDatabase.create();
  // The laws in the database would refuse some of it; here the client log is on trial, not they.
  await database.query(WITHOUT_TRIGGERS);
  const entry = mutant('torture-early-answer', [earlyAnswer()]);
  const service = await startService({}, { database, entry, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet()));
  await Promise.all(wallets.map(({ id }) => service.api.credit(id, '1000000.00', {}, `open-${id}`)));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    randomOf('mutants'),
    'mutant',
  );
  log.start(16, () => service.api);
  await delay(3_000);
  await log.stop();
  const found = (await log.problems(database)).filter((problem) => problem.includes('was acknowledged and is absent'));
  const problems = found.length > 0 ? [] : ['a build that answers before COMMIT was not found out'];
  report('⚑', 'a build that answers before COMMIT', `found out: ${found[0] ?? 'no'}`, problems);
  await service.stop();
  await database.drop();
  removeMutants();
  expect(problems).toEqual([]);
});
