/** S11: what the service acts as can change no entry and no table, and has just the rights that it needs. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { RIGHTS } from '../src/database/service-role.js';
import { expectStatus } from './support/client.js';
import { newSecret } from './support/secured.js';
import { failedStart, startService, TestDatabase, type Service } from './support/service.js';

const ROLE = 'asper_service';
const STACK = /\bat .+:\d+:\d+/;

/** Runs the command line: what it printed, and its exit code. */
function asper(args: string[], env: Record<string, string>): Promise<{ stdout: string; stderr: string; code: number }> {
  const run = promisify(execFile)(process.execPath, ['dist/service/cli.js', ...args], {
    env: { PATH: process.env.PATH, ...env },
  });
  return run.then(
    (said) => ({ ...said, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  );
}

describe('the role of the service', () => {
  let service: Service;
  let database: TestDatabase;
  beforeAll(async () => {
    service = await startService();
    ({ database } = service);
  });
  afterAll(() => service.stop());

  /** The SQLSTATE of a statement of the role, as each connection of the service is. */
  async function stateOf(sql: string, role = ROLE): Promise<string> {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      await client.query(`SET ROLE ${role}`);
      await client.query(sql);
      return 'done';
    } catch (error) {
      return (error as { code: string }).code;
    } finally {
      await client.end();
    }
  }

  it('is that of each of its connections', async () => {
    const wallet = await service.api.newWallet('5.00');
    expectStatus(201, await service.api.debit(wallet.id, '1.00'));
    // What a connection acts as is seen from inside alone: a trigger says it.
    await database.query(`
      CREATE TABLE seen (who text); GRANT INSERT ON seen TO PUBLIC;
      CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (current_user); RETURN NULL; END $$;
      CREATE TRIGGER see AFTER INSERT ON transactions FOR EACH ROW EXECUTE FUNCTION see()`);
    for (let n = 0; n < 3; n++) expectStatus(201, await service.api.debit(wallet.id, '1.00'));
    expect(await database.query('SELECT DISTINCT who FROM seen')).toEqual([{ who: ROLE }]);
    await database.query('DROP TRIGGER see ON transactions; DROP TABLE seen');
  });

  it.each([
    'UPDATE entries SET amount = 1',
    'DELETE FROM entries',
    'TRUNCATE entries',
    'UPDATE transactions SET amount = 1',
    'DELETE FROM transactions',
    'UPDATE audit_log SET reason = NULL',
    'DELETE FROM audit_log',
    'DELETE FROM wallets',
    'UPDATE wallets SET user_id = NULL',
    `UPDATE wallets SET currency = 'USD'`,
    'DELETE FROM users',
    'UPDATE idempotency_keys SET status_code = 200',
    'DELETE FROM hold_changes',
    'DELETE FROM unsettled_wallets',
    'INSERT INTO migrations (timestamp, name) VALUES (1, $$x$$)',
    'CREATE TABLE public.mine (id int)',
    'DROP TABLE entries',
    'ALTER TABLE entries DISABLE TRIGGER USER',
    'ALTER TABLE wallets DROP CONSTRAINT wallets_floor_holds',
    'DROP FUNCTION refuse_change CASCADE',
    'CREATE OR REPLACE FUNCTION public.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
    `SET session_replication_role = 'replica'`,
    'CREATE ROLE another',
    `COPY entries TO PROGRAM 'cat'`,
  ])('may not: %s', async (sql) => {
    expect(await stateOf(sql)).toBe('42501');
  });

  it('cannot deceive a law by a temporary table of the name of a real one', async () => {
    const id = '01890000-0000-7000-8000-000000000001';
    const nobodys = '01890000-0000-7000-8000-00000000dead';
    const { id: wallet } = await service.api.newWallet('5.00');
    const posted = `
      WITH batch AS (INSERT INTO outbox_batches (created_at) VALUES (now()) RETURNING id)
      INSERT INTO outbox (batch, ordinal, place, subject_id, type, object_id, balance)
      SELECT id, 0, 0, '${wallet}', 'transaction.posted', '${id}', 1500 FROM batch;
      INSERT INTO transactions (id, type, currency, amount, actor, effective_at, created_at)
      VALUES ('${id}', 'transfer', 'INR', 1000, 'law', now(), now())`;
    const entries = `
      UPDATE wallets SET balance = 1500, credited = 1500, entry_count = 2, last_hash = '\\x00' WHERE id = '${wallet}';
      INSERT INTO entries (wallet_id, seq, leg, transaction_id, amount, balance_after, credited_after, hash, created_at)
      VALUES ('${nobodys}', 1, 0, '${id}', -1000, -1000, 0, '\\x00', now()),
             ('${wallet}', 2, 1, '${id}', 1000, 1500, 1500, '\\x00', now())`;
    const temporary = `
      CREATE TEMPORARY TABLE wallets AS TABLE public.wallets;
      INSERT INTO wallets (id, currency, entry_count) VALUES ('${nobodys}', 'INR', 1);
      UPDATE wallets SET entry_count = 2 WHERE id = '${wallet}'`;
    const real = entries.replace('UPDATE wallets', 'UPDATE public.wallets');
    expect(await stateOf(`BEGIN; ${posted}; ${entries}; COMMIT`)).toBe('AW001');
    expect(await stateOf(`BEGIN; ${temporary}; ${posted}; ${real}; COMMIT`)).toBe('AW001');
  });

  it('has rights on tables that are there, and for each table somebody has thought about it', async () => {
    const tables = await database.query(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`);
    const readOnly = ['migrations', 'unsettled_wallets'];
    expect([...Object.keys(RIGHTS), ...readOnly].toSorted()).toEqual(
      tables.map(({ name }) => name as string).toSorted(),
    );
  });

  it('gets its rights back at the next start, and loses what it should not have', async () => {
    await database.query(`REVOKE INSERT ON entries FROM ${ROLE}; GRANT UPDATE ON entries TO ${ROLE}`);
    const second = await startService({}, { database });
    expect(await stateOf('UPDATE entries SET leg = leg')).toBe('42501');
    const wallet = await second.api.newWallet('5.00');
    expect((await service.api.wallet(wallet.id)).balance).toBe('5.00');
    await second.stop();
  });

  it('can be had by a user who owns nothing, who migrates nothing either', async () => {
    const user = `app_${Date.now()}`;
    await database.query(`CREATE ROLE ${user} LOGIN PASSWORD 'secret'`);
    const url = new URL(database.url);
    [url.username, url.password] = [user, 'secret'];
    const env = { DATABASE_URL: url.href };
    // Nobody has let it yet.
    const refused = await failedStart(env);
    expect([refused.code, refused.said]).toEqual([1, expect.stringContaining('DATABASE_OWNER_URL')]);
    const first = await startService({ ...env, DATABASE_OWNER_URL: database.url }, { database });
    await first.stop();
    const second = await startService(env, { database });
    const wallet = await second.api.newWallet('5.00');
    expectStatus(201, await second.api.debit(wallet.id, '1.00'));
    await second.stop();
    expect(await database.asper('check')).toMatchObject({ code: 0 });
    const [newest] = await database.query('SELECT name FROM migrations ORDER BY id DESC LIMIT 1');
    await promisify(execFile)('node_modules/.bin/typeorm', ['-d', 'dist/ormconfig.js', 'migration:revert'], {
      env: { PATH: process.env.PATH, DATABASE_URL: database.url },
    });
    const [old, { code, stderr }] = await Promise.all([failedStart(env), asper(['migrate'], env)]);
    const advice = expect.stringContaining('Run `asper migrate` with DATABASE_OWNER_URL');
    expect([old.code, old.said]).toEqual([1, advice]);
    // The command says it as plainly: one line, no stack.
    expect([code, stderr, stderr.trim().split('\n').length]).toEqual([1, advice, 1]);
    const again = await asper(['migrate'], { ...env, DATABASE_OWNER_URL: database.url });
    expect([again.code, again.stdout]).toEqual([0, `Ran ${newest.name}.\nThe schema is up to date.\n`]);
    await database.query(`REVOKE ${ROLE} FROM ${user}; DROP ROLE ${user}`);
  }, 30_000);

  it('is asked for in production: an owner who may make no role does not serve there, unless that is meant', async () => {
    const owner = `owner_${Date.now()}`;
    await database.query(`CREATE ROLE ${owner} LOGIN PASSWORD 'of-this-owner'`);
    await database.query(`CREATE DATABASE ${owner} OWNER ${owner}`);
    const url = new URL(database.url);
    [url.username, url.password, url.pathname] = [owner, 'of-this-owner', owner];
    const env = { DATABASE_URL: url.href, DATABASE_ROLE: `role_${owner}` };
    const production = { ...env, NODE_ENV: 'production', AUTH_SECRET: newSecret(), SHUTDOWN_GRACE_MS: '0' };
    const why =
      /acts? as the owner of its tables, as it may not have the role role_owner.*DATABASE_ROLE=none says that this is meant/;

    const migrated = await asper(['migrate'], env);
    expect([migrated.code, migrated.stderr]).toEqual([1, expect.stringMatching(why)]);
    const refused = await failedStart(production);
    expect([refused.code, refused.said]).toEqual([1, expect.stringMatching(why)]);
    expect(migrated.stderr + refused.said).not.toMatch(STACK);
    const [warned, meant] = await Promise.all([
      startService(env, { database }),
      startService({ ...production, DATABASE_ROLE: 'none' }, { database }),
    ]);
    expect(warned.said()).toMatch(why);
    expect(meant.said()).not.toMatch(why);
    await Promise.all([warned.stop(), meant.stop()]);
    await database.query(`DROP DATABASE ${owner}`);
    await database.query(`DROP ROLE ${owner}`);
  }, 30_000);
});
