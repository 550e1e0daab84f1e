/** Clocks that move: the database's `clock_now()` goes back an hour and forward a day under load; then services have clocks of their own (faketime). */
import { expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { clockFunctions } from '../../migrations/1764250000000-clock.js';
import { startService, TestDatabase } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { randomOf, report, skip } from '../stage.js';

const FAKETIME = ['x86_64', 'aarch64'].map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketime.so.1`);
/** What the database's clock is set by, one after the other. */
const MOVES = ['-1 hour', '0', '1 day', '-1 minute'];

/** Entries that stand before an earlier one of their wallet in time. */
const BACKWARDS = `
  SELECT count(*)::int AS count FROM (
    SELECT created_at < lag(created_at) OVER (PARTITION BY wallet_id ORDER BY seq) AS is_backwards FROM entries) e
   WHERE is_backwards`;

async function underLoad(
  name: string,
  env: Array<Record<string, string>>,
  meanwhile: (database: TestDatabase) => Promise<void>,
) {
  const database = await TestDatabase.create();
  const services = await Promise.all(env.map((own) => startService(own, { database, quiet: true })));
  const wallets = await Promise.all(Array.from({ length: 20 }, () => services[0]!.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    randomOf(name),
    name,
  );
  let n = 0;
  log.start(32, () => services[n++ % services.length]!.api);
  await meanwhile(database);
  await log.stop();
  await log.resolve(services[0]!.api);
  const [{ count }] = await database.query(BACKWARDS);
  const problems = await log.problems(database);
  if (count > 0) problems.push(`${count} entries are before an earlier one of their wallet`);
  for (const service of services) await service.stop();
  await database.drop();
  return { acknowledged: log.acknowledged, problems };
}

it("the database's clock moves", async () => {
  const { acknowledged, problems } = await underLoad('clock', [{}], async (database) => {
    for (const move of MOVES) {
      await delay(700);
      await database.query(clockFunctions(move));
    }
    await delay(700);
  });
  report(
    'clock',
    "the database's clock_now() goes back an hour, forward a day, back",
    `${acknowledged} acknowledged, none out of order`,
    problems,
  );
  expect(problems).toEqual([]);
});

it('two services have clocks an hour apart', async () => {
  const library = FAKETIME.find((file) => existsSync(file));
  const what = 'two services, an hour ahead and behind (faketime)';
  if (!library) return skip('clock', what, 'faketime is not installed');
  const clocks = ['-1h', '+1h'].map((FAKETIME) => ({ LD_PRELOAD: library, FAKETIME, DONT_FAKE_MONOTONIC: '1' }));
  const { acknowledged, problems } = await underLoad('clocks', clocks, () => delay(2_000));
  report('clock', what, `${acknowledged} acknowledged, none out of order`, problems);
  expect(problems).toEqual([]);
});
