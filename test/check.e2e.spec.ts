/** `asper check`: sound ledgers pass, and a row changed by hand is found and named. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomInt, randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { databaseOptions } from '../ormconfig.js';
import { readConfig } from '../src/config.js';
import { EVENT_PASSES } from '../src/ledger/event.laws.js';
import { CONSTRAINTS, GUARDS, TRIGGERS } from '../src/ledger/guards.js';
import { HOLD_PASSES } from '../src/ledger/hold.laws.js';
import { KEY_PASSES } from '../src/ledger/key.laws.js';
import { TRANSACTION_PASSES } from '../src/ledger/transaction.laws.js';
import { walletPasses } from '../src/ledger/wallet.laws.js';
import { checkLedger, type CheckResult } from '../src/ledger/ledger.checker.js';
import { saidAll } from '../src/telemetry/say.js';
import { changesOf, type Change } from './scenarios/hand-changes.js';
import { fillLedger } from './scenarios/full-ledger.js';
import { rewriteChains } from './scenarios/rewritten-chains.js';
import { expectStatus } from './support/client.js';
import { ImportBench } from './support/import-bench.js';
import { startService, TestDatabase, type Service } from './support/service.js';

const RECEIPT_KEY = Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('base64');
const CHANGE_COUNT = Number(process.env.CHECK_CHANGES ?? 100);

describe('asper check', () => {
  let service: Service;
  let dataSource: DataSource;
  beforeAll(async () => {
    service = await startService({ RECEIPT_KEY });
    const config = { ...readConfig({}), databaseUrl: service.database.url };
    dataSource = await new DataSource(databaseOptions(config)).initialize();
    await fillLedger(service, dataSource);
  });
  afterAll(async () => {
    await dataSource.destroy();
    await service.stop();
  });

  const check = (walletId?: string): Promise<CheckResult> =>
    checkLedger(dataSource, { walletId, limitTimeZone: 'UTC' });
  /** Once the constraints are out of the way, which is told as well. */
  const brokenRows = async () => (await check()).breaches.filter(({ law }) => law !== 'the guards stand');
  const asper = (...args: string[]) => ImportBench.run(args, { DATABASE_URL: service.database.url, RECEIPT_KEY });

  it('finds nothing on a sound ledger, and exits with 0', async () => {
    expect((await check()).breaches).toEqual([]);
    const { code, stdout, stderr } = await asper('check');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^wallets +\d+\ntransactions +\d+\nentries +\d+\nbroken laws +0\nseconds +\d+\.\d\nentries per second +[\d,]+\nThe ledger is sound\.\n$/,
    );
  });

  it('says in docs/check.md which laws it knows', async () => {
    const passes = [
      GUARDS,
      ...walletPasses('UTC'),
      ...TRANSACTION_PASSES,
      ...HOLD_PASSES,
      ...KEY_PASSES,
      ...EVENT_PASSES,
    ];
    const inSql = passes.flatMap(({ sql }) => [...sql.matchAll(/\('([^']+)', CASE WHEN|SELECT '([^']+)' AS law/g)]);
    const inChain = [...(await readFile('src/ledger/chain.checker.ts', 'utf8')).matchAll(/report\(\s*'([^']+)'/g)];
    const laws = new Set([...inSql, ...inChain].map(([, law, other]) => law ?? other));
    expect(laws.size).toBeGreaterThan(50);
    const docs = (await readFile('docs/check.md', 'utf8')).replaceAll(/\s+/g, ' ').toLowerCase();
    for (const law of laws) expect(docs).toContain(law!.toLowerCase());
  });

  it('knows every guard that the migrations make, and misses one that is dropped or disabled', async () => {
    const names = async (sql: string) => (await service.database.query(sql)).map(({ name }) => name as string).sort();
    expect(await names('SELECT tgname AS name FROM pg_trigger WHERE NOT tgisinternal')).toEqual(TRIGGERS.toSorted());
    const constraints = `SELECT conname AS name FROM pg_constraint WHERE connamespace = 'public'::regnamespace
      AND contype NOT IN ('n', 't') AND conrelid <> 'migrations'::regclass`;
    expect(await names(constraints)).toEqual(CONSTRAINTS.toSorted());
    const database = await TestDatabase.create();
    await database.query(`
      DROP TRIGGER entries_append_only ON entries; ALTER TABLE transactions DISABLE TRIGGER transactions_have_events;
      ALTER TABLE wallets DROP CONSTRAINT wallets_floor_holds;
      ALTER TABLE wallets DISABLE TRIGGER ALL; ALTER TABLE wallets ENABLE TRIGGER USER;
      ALTER DATABASE ${database.name} SET session_replication_role = 'replica'`);
    expect((await database.check()).sort()).toEqual([
      'the guards stand: constraints wallets_floor_holds: the constraint is not there, not validated, or disabled',
      'the guards stand: constraints wallets_user_fkey: the constraint is not there, not validated, or disabled',
      'the guards stand: settings session_replication_role: new connections fire no triggers',
      'the guards stand: triggers entries_append_only: the trigger is not there, or disabled',
      'the guards stand: triggers transactions_have_events: the trigger is not there, or disabled',
    ]);
    await database.drop();
  });

  it('finds nothing in any single wallet either', async () => {
    const wallets: Array<{ id: string; entry_count: string }> = await service.database.query('SELECT * FROM wallets');
    for (const { id, entry_count } of wallets) {
      const { breaches, entryCount } = await check(id);
      expect([breaches, entryCount]).toEqual([[], Number(entry_count)]);
    }
  });

  it('finds a row changed by hand, 100 of 100, and names it', async () => {
    const seed = Number(process.env.CHECK_SEED ?? randomInt(2 ** 31));
    const changes = await changesOf(service.database, seed, CHANGE_COUNT);
    const missed: string[] = [];
    for (const change of changes) {
      const found = await withChange(change, () => check());
      const rows = found.breaches.flatMap(({ findings }) => findings.map(({ row, detail }) => `${row}: ${detail}`));
      if (!rows.some((row) => change.names.some((name) => row.includes(name)))) {
        missed.push(`${change.what}\n  found: ${rows.join('; ') || 'nothing'}`);
      }
    }
    const report = missed.map((one) => `CHECK_SEED=${seed}: ${one}`);
    expect([changes.length - missed.length, ...report]).toEqual([CHANGE_COUNT]);
    expect(await brokenRows()).toEqual([]); // every change was undone
  });

  /** Changes rows with no trigger or constraint in the way, looks, and puts every row back. */
  async function withChange<T>({ undo, apply }: Change, look: () => Promise<T>): Promise<T> {
    await service.database.query(`SET session_replication_role = 'replica'`);
    try {
      for (const statement of apply) await service.database.query(statement);
      return await look();
    } finally {
      for (const statement of undo) await service.database.query(statement);
      await service.database.query(`SET session_replication_role = 'origin'`);
    }
  }

  it('exits with 1 and names law and row on a broken ledger, also as JSON', async () => {
    const [{ id }] = await service.database.query(
      `SELECT id FROM wallets WHERE kind = 'customer' AND balance > 0 LIMIT 1`,
    );
    const set = (by: number) => `UPDATE wallets SET balance = balance + ${by} WHERE id = '${id}'`;
    await withChange({ what: '', names: [], apply: [set(1)], undo: [set(-1)] }, async () => {
      const { code, stdout } = await asper('check');
      expect([code, stdout]).toEqual([
        1,
        expect.stringContaining(`BROKEN balance is history: 1 row\n  wallets ${id}: `),
      ]);
      expect(stdout).toMatch(/THE LEDGER IS BROKEN\.\n$/);
      const json = await asper('check', '--json', '--wallet', id);
      expect([json.code, JSON.parse(json.stdout)]).toEqual([
        1,
        expect.objectContaining({
          is_sound: false,
          broken_laws: { 'balance is history': 1 },
          findings: [expect.objectContaining({ table: 'wallets', row: id })],
        }),
      ]);
    });
  });

  it('counts a row once that breaks a law in several ways, and each row that one of two passes finds', async () => {
    const entries = (condition: string, count: number): Promise<Array<Record<'transaction_id' | 'key', string>>> =>
      service.database.query(
        `SELECT DISTINCT ON (t.id, w.currency) e.transaction_id, format('(%L, %s)', e.wallet_id, e.seq) AS key
           FROM entries e JOIN transactions t ON t.id = e.transaction_id JOIN wallets w ON w.id = e.wallet_id
          WHERE ${condition} ORDER BY t.id, w.currency LIMIT ${count}`,
      );
    const broken = [
      ...(await entries(`t.type = 'credit'`, 3)),
      ...(await entries(`t.type = 'journal' AND t.currency IS NULL`, 2)), // in two currencies
    ];
    const add = (minor: number) =>
      `UPDATE entries SET amount = amount + ${minor} WHERE (wallet_id, seq) IN (${broken.map(({ key }) => key).join()})`;
    const { breaches } = await withChange({ what: '', names: [], apply: [add(1)], undo: [add(-1)] }, () => check());
    const { count, findings } = breaches.find(({ law }) => law === 'zero sum')!;
    const ids = [...new Set(broken.map(({ transaction_id }) => transaction_id))].sort();
    expect([count, findings.map(({ row }) => row).sort()]).toEqual([4, ids]);
  });

  it('says all of it to a reader who takes their time, ends where nobody reads, and waits for nobody for ever', async () => {
    const set = (by: number) => `
      UPDATE entries SET amount = amount + ${by}, balance_after = balance_after + ${3 * by}, leg = leg + ${by},
                         credited_after = credited_after - ${by}, created_at = created_at + ${by} * interval '1 day';
      UPDATE transactions SET amount = amount + ${by}, created_at = created_at - ${by} * interval '1 day';
      UPDATE wallets SET balance = balance + ${by}, credited = credited - ${by}, entry_count = entry_count + ${by}`;
    await withChange({ what: '', names: [], apply: [set(1)], undo: [set(-1)] }, async () => {
      const env = { DATABASE_URL: service.database.url };
      const slow = await ImportBench.run(['check', '--json'], env, async ({ stdout }) => {
        stdout!.pause();
        await delay(4_000);
        stdout!.resume();
      });
      expect(slow.code).toBe(1);
      expect(slow.stdout.length).toBeGreaterThan(300_000); // a socket holds 200,000
      expect(JSON.parse(slow.stdout)).toMatchObject({ is_sound: false });
      const gone = await ImportBench.run(['check'], env, ({ stdout }) => Promise.resolve(stdout!.destroy()));
      expect([gone.code, gone.signal]).toEqual([1, null]);
    });
    await saidAll([new Writable({ write: () => undefined })], 10);
  });

  it('exits with 2 where there is nothing to check', async () => {
    expect((await asper('check', '--wallet', '17')).code).toBe(2);
    expect((await asper('check', '--wallet', randomUUID())).code).toBe(2);
    expect((await asper('check', '--everything')).code).toBe(2);
    const nowhere = { DATABASE_URL: 'postgresql://nobody:x@127.0.0.1:1/none' };
    expect((await ImportBench.run(['check'], nowhere)).code).toBe(2);
  });

  it('exits with 2 on another schema than its own, and leaves it as it is', async () => {
    const { database } = service;
    const empty = await TestDatabase.create();
    await empty.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    expect(await ImportBench.run(['check'], { DATABASE_URL: empty.url })).toMatchObject({
      ...{ code: 2, stderr: expect.stringMatching(/has no ledger: .*Is DATABASE_URL the right one\?/) },
    });
    expect(await empty.query(`SELECT FROM pg_tables WHERE schemaname = 'public'`)).toEqual([]);
    await empty.drop();

    const newest = 'id = (SELECT max(id) FROM migrations)';
    const [{ id, timestamp, name }] = await database.query(`DELETE FROM migrations WHERE ${newest} RETURNING *`);
    expect(await asper('check')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('has an older schema: 1 of'),
    });
    expect(await database.query(`SELECT FROM migrations WHERE name = '${name}'`)).toEqual([]);
    await database.query(`INSERT INTO migrations (id, timestamp, name) VALUES (${id}, ${timestamp}, '${name}')`);
  });

  it('can be run by its name after any build', () => {
    expect(statSync('dist/service/cli.js').mode & 0o111).toBe(0o111);
  });

  it('cannot see a history that was rewritten to its end; a receipt from before can', async () => {
    const { database, api } = service;
    const wallet = await api.newWallet('100.00');
    expectStatus(201, await api.debit(wallet.id, '1.00'));
    const { body: receipt } = await api.get<object>(`/v1/wallets/${wallet.id}/entries/1/receipt`);
    const folder = await mkdtemp(path.join(tmpdir(), 'asper-check-'));
    const file = path.join(folder, 'receipt.json');
    await writeFile(file, JSON.stringify(receipt));
    expect(await asper('check', '--receipt', file)).toMatchObject({
      code: 0,
      stdout: 'The ledger says what the receipt says.\n',
    });
    await database.query(`SET session_replication_role = 'replica'`);
    await database.query(
      `UPDATE transactions SET description = 'rewritten'
        WHERE id = (SELECT transaction_id FROM entries WHERE wallet_id = '${wallet.id}' AND seq = 1)`,
    );
    await rewriteChains(database);
    await database.query(`SET session_replication_role = 'origin'`);
    expect(await brokenRows()).toEqual([]);
    const { code, stdout } = await asper('check', '--receipt', file);
    expect([code, stdout]).toEqual([1, expect.stringMatching(new RegExp(`^BROKEN: entry ${wallet.id}/1 has hash `))]);
    await writeFile(file, JSON.stringify(receipt).replace(/\.[\w-]{10}/, '.AAAAAAAAAA'));
    expect((await asper('check', '--receipt', file)).stdout).toMatch(/^BROKEN: the receipt is not signed/);
    await writeFile(file, 'a note');
    expect((await asper('check', '--receipt', file)).code).toBe(2);
    await rm(folder, { recursive: true });
  });
});
