/**
 * A proof that cannot fail proves nothing: the scenarios run here against builds with a bug put in on purpose, and
 * must find it. Each mutant is a copy of the compiled service with a few lines changed.
 */
import { afterAll, describe, expect, it } from '@jest/globals';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bank } from './scenarios/bank.js';
import { duplicates } from './scenarios/duplicates.js';
import { startService, TestDatabase, type Service } from './support/service.js';

// Inside the project, so that the copies find its packages.
const FOLDER = path.resolve('node_modules/.cache/mutants');
const STORE = 'src/transactions/posting.store.js';
const ENGINE = 'src/transactions/posting.engine.js';
const KEYS = 'src/idempotency/idempotency.store.js';
const RULES = 'src/transactions/legs.rules.js';

/** Copies the build and changes it; each text must stand there exactly once. Returns the entry file. */
function mutant(name: string, changes: Array<[file: string, text: string, by: string]>): string {
  const folder = path.join(FOLDER, name);
  mkdirSync(folder, { recursive: true });
  cpSync('dist', folder, { recursive: true });
  for (const [file, text, by] of changes) {
    const at = path.join(folder, file);
    const parts = readFileSync(at, 'utf8').split(text);
    if (parts.length !== 2) throw new Error(`${name}: "${text}" stands ${parts.length - 1} times in ${file}`);
    writeFileSync(at, parts.join(by));
  }
  return path.join(folder, 'src/main.js');
}

/** The laws in the database would catch most bugs by themselves; here the scenarios are on trial, not they. */
const WITHOUT_TRIGGERS = `
  ALTER TABLE wallets DISABLE TRIGGER USER; ALTER TABLE entries DISABLE TRIGGER USER;
  ALTER TABLE transactions DISABLE TRIGGER USER; ALTER TABLE wallets DROP CONSTRAINT wallets_floor_holds;
  ALTER TABLE entries DROP CONSTRAINT entries_pkey`;

async function findings(
  entry: string,
  scenario: (services: Service[]) => Promise<string[]>,
  sql = WITHOUT_TRIGGERS,
): Promise<string[]> {
  const database = await TestDatabase.create();
  await database.query(sql);
  const services = [
    await startService({}, { database, entry, quiet: true }),
    await startService({}, { database, entry, quiet: true }),
  ];
  try {
    return await scenario(services);
  } finally {
    for (const service of services) await service.stop();
    await database.drop();
  }
}

const runBank = async (services: Service[]) => (await bank(services, { wallets: 8, transfersEach: 20 })).findings;
const NO_LOCK: [string, string, string] = [STORE, `query.setLock('pessimistic_write');`, ';'];
const OUTSIDE = `(async () => {
  const other = this.dataSource.createQueryRunner();
  await other.connect();
  try { return await this.store.findOutcomes(other, instructions, isRetry); } finally { await other.release(); }
})()`;
const NO_VERSION_GUARD: [string, string, string] = [STORE, 'AND w.version = m.version_read', ''];

describe('the scenarios', () => {
  afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

  it('find nothing in the build as it is, without the laws in the database', async () => {
    expect(await findings(mutant('none', []), runBank)).toEqual([]);
  });

  it('find lock and version guard removed', async () => {
    const found = await findings(mutant('no-lock', [NO_LOCK, NO_VERSION_GUARD]), runBank);
    expect(found.join()).toMatch(/a snapshot held|balance/);
  });

  it('are satisfied by either of the two alone: lock or version guard', async () => {
    expect(await findings(mutant('guard-only', [NO_LOCK]), runBank)).toEqual([]);
    expect(await findings(mutant('lock-only', [NO_VERSION_GUARD]), runBank)).toEqual([]);
  });

  it('find a floor that is not checked', async () => {
    const entry = mutant('no-floor', [[RULES, 'if (leftMinor >= floorMinor)', 'if (true)']]);
    expect((await findings(entry, runBank)).join()).toMatch(/under (its|their) floor/);
  });

  it('find an answer that leaves before COMMIT', async () => {
    const early = '(transaction) => this.postAll(transaction, instructions, passes, isRetry)';
    const answered = `async (transaction) => {
      const behind = { ...transaction, commitBehind: (writes) => Promise.all(writes) };
      const early = await this.postAll(behind, instructions, passes, isRetry);
      group.forEach(({ resolve }, i) => early[i] && resolve(early[i]));
      if (Math.random() < 0.1) throw Object.assign(new Error('crash'), { code: '53000' });
      return early; }`;
    const entry = mutant('early-answer', [[ENGINE, early, answered]]);
    expect((await findings(entry, runBank)).join()).toMatch(/acknowledged but absent/);
  });

  it('find a key that is looked up and recorded outside the transaction', async () => {
    const entry = mutant('key-outside', [
      [ENGINE, 'this.store.findOutcomes(runner, instructions, isRetry)', OUTSIDE],
      [KEYS, 'runPrepared(runner, INSERT_KEYS', 'runPrepared(runner, INSERT_FREE_KEY'],
      [ENGINE, `lane === 'passing' && !isHalf`, 'false'], // a look-up while waiting for a lock is what goes stale
    ]);
    const found = await findings(entry, (services) => duplicates(services, { keys: 10 }));
    expect(found.join()).toMatch(/executed 2 times/);
  });
});
