/** COMMIT that travels with the writes before it: it must never commit a part of them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DataSource, type QueryRunner } from 'typeorm';
import { databaseOptions } from '../ormconfig.js';
import { readConfig } from '../src/config.js';
import { runPrepared } from '../src/database/prepared.js';
import { CommitUnknownError, inPipelinedTransaction } from '../src/database/transaction.js';
import { TestDatabase } from './support/service.js';

describe('COMMIT behind writes', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`
      CREATE TABLE kept (n integer PRIMARY KEY, even integer);
      CREATE FUNCTION refuse_odd() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.n % 2 = 1 THEN RAISE 'odd' USING ERRCODE = 'AW999'; END IF; RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER kept_even AFTER INSERT ON kept DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse_odd()`);
    const config = { ...readConfig({}), databaseUrl: database.url, databaseRole: '', databasePoolSizeMax: 2 };
    dataSource = await new DataSource(databaseOptions(config)).initialize();
  });
  beforeEach(() => database.query('DELETE FROM kept'));
  afterEach(async () => expect(await database.problems()).toEqual([]));
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const insert = (runner: QueryRunner, n: unknown) =>
    runPrepared(runner, { name: 'insert_kept', text: 'INSERT INTO kept (n) VALUES ($1)' }, [n]);
  /** What became of writes that are handed over together. */
  const outcome = (...write: Array<(runner: QueryRunner) => Promise<unknown>>) =>
    inPipelinedTransaction(dataSource, async ({ runner, begun, commitBehind }) => {
      await begun;
      await commitBehind(write.map((each) => each(runner)));
    }).then(
      () => 'committed',
      (error: unknown) => error,
    );
  const kept = async () => (await database.query('SELECT n FROM kept ORDER BY n')).map(({ n }) => n as number);
  const put = (n: unknown) => (runner: QueryRunner) => insert(runner, n);

  it('commits all of them', async () => {
    expect(await outcome(put(2), put(4))).toBe('committed');
    expect(await kept()).toEqual([2, 4]);
  });

  it('commits none where the database refuses one, wherever it stands', async () => {
    for (const writes of [
      [put(2), put(2), put(4)],
      [put('no number'), put(2)],
      [put(2), put(null)],
    ]) {
      expect(await outcome(...writes)).toMatchObject({ code: expect.stringMatching(/^2/) });
      expect(await kept()).toEqual([]);
    }
    expect(await outcome(put(2))).toBe('committed');
  });

  it('commits none where the driver refuses to send one', async () => {
    const unsendable = {
      toPostgres: () => {
        throw new Error('cannot be sent');
      },
    };
    const misnamed = (runner: QueryRunner) =>
      runPrepared(runner, { name: 'insert_kept', text: 'INSERT INTO kept (even) VALUES ($1)' }, [2]);
    for (const writes of [
      [put(2), put(unsendable), put(4)],
      [put(2), misnamed],
    ]) {
      expect(await outcome(...writes)).toMatchObject({
        message: expect.stringMatching(/cannot be sent|must be unique/),
      });
      expect(await kept()).toEqual([]);
    }
    expect(await outcome(put(2))).toBe('committed');
  });

  it('commits none where a deferred law refuses COMMIT', async () => {
    expect(await outcome(put(2), put(3))).toMatchObject({ code: 'AW999' });
    expect(await kept()).toEqual([]);
  });

  it('is sure that nothing happened where the server ended the connection at a write', async () => {
    const end = (runner: QueryRunner) => runner.query('SELECT pg_terminate_backend(pg_backend_pid())');
    expect(await outcome(put(2), end, put(4))).toMatchObject({ code: '57P01' });
    expect(await kept()).toEqual([]);
  });

  it('is not sure where the server ended with COMMIT: the record of it may be in the log that it could not flush', async () => {
    const answer = inPipelinedTransaction(dataSource, async ({ runner, begun, commitBehind }) => {
      await begun;
      const commit = runner.commitTransaction.bind(runner);
      runner.commitTransaction = async () => {
        await commit();
        throw Object.assign(new Error('could not fsync file'), { severity: 'PANIC', code: '58030' });
      };
      await commitBehind([insert(runner, 2)]);
    });
    await expect(answer).rejects.toBeInstanceOf(CommitUnknownError);
    expect(await kept()).toEqual([2]);
  });

  it('is not sure where nobody answered', async () => {
    const cut = async (runner: QueryRunner) => {
      const client = (await runner.connect()) as { connection: { stream: { destroy(): void } } };
      setTimeout(() => client.connection.stream.destroy(), 50);
      await runner.query('SELECT pg_sleep(1)');
    };
    expect(await outcome(put(2), cut)).toBeInstanceOf(CommitUnknownError);
  });
});
