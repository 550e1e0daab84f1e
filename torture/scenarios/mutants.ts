/**
 * ⚑ The client log is on trial: builds that acknowledge what is not committed must be found out by it. One answers before COMMIT,
 * which fails one time in ten; one is right as long as nobody dies in the 50 ms between, so that only the kills of R5 and R7 can
 * show it; one takes a COMMIT whose answer was lost for done.
 */
import { afterAll, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { earlyAnswer, mutant, removeMutants, WITHOUT_TRIGGERS } from '../../test/support/mutants.js';
import { CommitCutter } from '../../test/support/proxy.js';
import { startService, TestDatabase, type Service } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { isShort, killPostgres, randomOf, report, skip } from '../stage.js';

const LATE = 'await new Promise((resolve) => setTimeout(resolve, 50));';
const KILLS = 4;

afterAll(removeMutants);

/** A service of the build under load, while `meanwhile` happens to it. @returns what was acknowledged and is absent */
async function found(
  name: string,
  entry: string,
  meanwhile: (stage: { service: Service; database: TestDatabase; restart: () => Promise<void> }) => Promise<void>,
  { sql = 'SELECT 1', env = {} }: { sql?: string; env?: Record<string, string> } = {},
  given?: TestDatabase,
): Promise<string[]> {
  const database = given ?? (await TestDatabase.create());
  await database.query(sql);
  let service = await startService(env, { database, entry, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    randomOf(name),
    name,
  );
  log.start(16, () => service.api);
  const restart = async () => {
    await once(service.process, 'exit');
    service = await startService(env, { database, entry, quiet: true });
  };
  for (let n = 0; n < KILLS; n++) {
    await delay(700);
    await meanwhile({ service, database, restart });
  }
  await log.stop();
  const after = await TestDatabase.join(database.name);
  const problems = await log.problems(after);
  await service.stop();
  await after.drop();
  return problems.filter((problem) => problem.includes('was acknowledged and is absent'));
}

function judge(row: string, what: string, absent: string[]): void {
  const problems = absent.length > 0 ? [] : ['it was not found out'];
  report(row, `⚑ ${what}`, `found out: ${absent[0] ?? 'no'}`, problems);
  expect(problems).toEqual([]);
}

it('⚑ R2: answers before a COMMIT that may fail', async () => {
  const entry = mutant('torture-early', [earlyAnswer()]);
  // The laws in the database would refuse some of it; here the client log is on trial, not they.
  judge('R2', 'answers before COMMIT', await found('early', entry, () => delay(100), { sql: WITHOUT_TRIGGERS }));
});

it('⚑ R5: answers before COMMIT, and is killed', async () => {
  if (isShort) return skip('R5', '⚑ answers before COMMIT, killed', 'the full run has it');
  const entry = mutant('torture-late', [earlyAnswer(LATE)]);
  const absent = await found('late', entry, async ({ service, restart }) => {
    service.process.kill('SIGKILL');
    await restart();
  });
  judge('R5', 'answers before COMMIT, killed', absent);
});

it('⚑ R7: answers before COMMIT, and PostgreSQL is killed', async () => {
  const what = 'answers before COMMIT, PostgreSQL killed';
  if (isShort) return skip('R7', `⚑ ${what}`, 'the full run has it');
  if (process.env.TEST_DATABASE_URL) return skip('R7', `⚑ ${what}`, 'the server is not ours to kill');
  const entry = mutant('torture-late', [earlyAnswer(LATE)]);
  const absent = await found('late-db', entry, async ({ database }) => {
    await killPostgres(await TestDatabase.join(database.name).catch(() => database));
    await delay(1_500);
  });
  judge('R7', what, absent);
});

it('⚑ R8: takes a COMMIT whose answer is lost for done', async () => {
  const lost = 'throw isRefused ? error : new CommitUnknownError(error);';
  const entry = mutant('torture-lost', [[lost, 'if (isRefused) throw error;']]);
  const database = await TestDatabase.create();
  const cutter = await CommitCutter.start(database.url, 'before');
  const cut = async () => {
    for (let n = 0; n < 10; n++, await delay(20)) cutter.cutsLeft = 1;
    cutter.cutsLeft = 0;
  };
  const absent = await found('lost', entry, cut, { env: { DATABASE_URL: cutter.url } }, database);
  await cutter.stop();
  judge('R8', 'takes a lost answer to COMMIT for done', absent);
});
