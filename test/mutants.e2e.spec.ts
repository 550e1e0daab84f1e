/**
 * A proof that cannot fail proves nothing: the scenarios run here against builds with a bug put in on purpose, and
 * must find it. Each mutant is a copy of the service as it ships with a few lines changed.
 */
import { afterAll, describe, expect, it } from '@jest/globals';
import { bank } from './scenarios/bank.js';
import { duplicates } from './scenarios/duplicates.js';
import { earlyAnswer, mutant, removeMutants, WITHOUT_TRIGGERS, type Change } from './support/mutants.js';
import { startService, TestDatabase, type Service } from './support/service.js';

async function findings(
  entry: string,
  scenario: (services: Service[]) => Promise<string[]>,
  sql = WITHOUT_TRIGGERS,
): Promise<string[]> {
  const database = await TestDatabase.create();
  await database.query(sql);
  const services = await Promise.all([1, 2].map(() => startService({}, { database, entry, quiet: true })));
  try {
    return await scenario(services);
  } finally {
    for (const service of services) await service.stop();
    await database.drop();
  }
}

const runBank = async (services: Service[]) => (await bank(services, { wallets: 8, transfersEach: 20 })).findings;
const NO_LOCK: Change = ['query.setLock("pessimistic_write");', ';'];
const OUTSIDE = `(async () => {
  const other = this.dataSource.createQueryRunner();
  await other.connect();
  try { return await this.store.findOutcomes(other, instructions, isRetry); } finally { await other.release(); }
})()`;
const NO_VERSION_GUARD: Change = ['AND w.version = m.version_read', ''];

describe('the scenarios', () => {
  afterAll(removeMutants);

  it('find nothing in the build as it is, without the laws in the database', async () => {
    expect(await findings(mutant('none', []), runBank)).toEqual([]);
  });

  it('find lock and version guard removed', async () => {
    const found = await findings(mutant('no-lock', [NO_LOCK, NO_VERSION_GUARD]), runBank);
    expect(found.join()).toMatch(/a snapshot held|balance/);
  });

  it.each([
    ['the version guard', 'guard-only', NO_LOCK],
    ['the lock', 'lock-only', NO_VERSION_GUARD],
  ])('are satisfied by %s alone', async (_, name, change) => {
    expect(await findings(mutant(name, [change]), runBank)).toEqual([]);
  });

  it('find a floor that is not checked', async () => {
    const entry = mutant('no-floor', [['if (leftMinor >= floorMinor)', 'if (true)']]);
    expect((await findings(entry, runBank)).join()).toMatch(/under (its|their) floor/);
  });

  it('find an answer that leaves before COMMIT', async () => {
    const entry = mutant('early-answer', [earlyAnswer()]);
    expect((await findings(entry, runBank)).join()).toMatch(/acknowledged but absent/);
  });

  it('find a key that is looked up and recorded outside the transaction', async () => {
    const entry = mutant('key-outside', [
      ['this.store.findOutcomes(runner, instructions, isRetry)', OUTSIDE],
      ['kept AS (${INSERT_KEYS})', 'kept AS (${INSERT_FREE_KEY.text})'],
      ['lane === "passing" && !isHalf', 'false'], // a look-up while waiting for a lock is what goes stale
    ]);
    const found = await findings(entry, (services) => duplicates(services, { keys: 10 }));
    expect(found.join()).toMatch(/executed 2 times/);
  });
});
