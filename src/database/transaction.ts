/** The only begin, commit and rollback of the service. */
import type { DataSource, QueryRunner } from 'typeorm';
import { isDatabaseError, sqlState } from './sqlstate.js';

/** The connection was lost while COMMIT was under way: the transaction may or may not have happened. */
export class CommitUnknownError extends Error {
  constructor(override readonly cause: unknown) {
    super('the outcome of COMMIT is unknown');
  }
}

/** Another process wrote what this transaction had read. A new transaction sees it and can decide again. */
export class WriteConflict extends Error {}

/**
 * Runs `work` in one database transaction on one connection and commits it. The handle is passed by hand: a
 * query belongs to the transaction if and only if it goes through that runner.
 * @throws what `work` threw, after a rollback whose own failure never hides it; {@link CommitUnknownError} when
 *   COMMIT was sent and not answered; the server's error when it refused the commit.
 */
export function inTransaction<T>(dataSource: DataSource, work: (runner: QueryRunner) => Promise<T>): Promise<T> {
  return inEagerTransaction(dataSource, async (runner, begun) => {
    await begun;
    return work(runner);
  });
}

/**
 * As {@link inTransaction}, but `work` starts once START TRANSACTION is on its way, so that the first reads travel with
 * it: one round trip less of four.
 * @param work must not write before `begun` has resolved: until then nobody knows that there is a transaction.
 */
export async function inEagerTransaction<T>(
  dataSource: DataSource,
  work: (runner: QueryRunner, begun: Promise<void>) => Promise<T>,
): Promise<T> {
  const runner = dataSource.createQueryRunner();
  let broken = false;
  try {
    const { begun } = await begin(runner);
    let result: T;
    try {
      result = await work(runner, begun);
    } catch (error) {
      // On a connection that no longer answers, ROLLBACK would only wait; dropping it rolls back as well.
      broken = isDatabaseError(error) && sqlState(error) === undefined;
      if (!broken) await runner.rollbackTransaction().catch(() => (broken = true));
      throw error;
    }
    try {
      await runner.commitTransaction();
    } catch (error) {
      broken = true;
      // An answer with a SQLSTATE is a refusal (a deferred law, a serialization failure): nothing happened. A
      // shutdown (57) or fault (XX) may cut the connection on either side of the commit, so it tells nothing.
      throw sqlState(error) && !/^(57|08|XX)/.test(sqlState(error)!) ? error : new CommitUnknownError(error);
    }
    return result;
  } finally {
    await giveBack(runner, broken);
  }
}

/**
 * Runs reads that must see one state of the database, however long they take, in a transaction that cannot write.
 * @param work must only read; PostgreSQL refuses anything else.
 */
export function inSnapshot<T>(dataSource: DataSource, work: (runner: QueryRunner) => Promise<T>): Promise<T> {
  return inTransaction(dataSource, async (runner) => {
    await runner.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    return work(runner);
  });
}

/** Hands START TRANSACTION to the driver, and returns when it has it; what is sent afterwards follows in order. */
async function begin(runner: QueryRunner): Promise<{ begun: Promise<void> }> {
  const client = (await runner.connect()) as { query: (...args: unknown[]) => unknown };
  const query = client.query;
  return new Promise((resolve, reject) => {
    // The connection is ours alone, so the first statement that it is given is this one.
    client.query = (...args) => {
      client.query = query;
      const answer = query.apply(client, args);
      resolve({ begun });
      return answer;
    };
    const begun = runner.startTransaction();
    begun.catch((error: unknown) => {
      client.query = query;
      reject(error); // where it was not even handed over
    });
  });
}

/** Returns the connection to the pool; a broken one is ended first, so that the pool replaces it. */
async function giveBack(runner: QueryRunner, broken: boolean): Promise<void> {
  if (broken && !runner.isReleased) {
    const client = (await runner.connect().catch(() => undefined)) as { end(): Promise<void> } | undefined;
    client?.end().catch(() => undefined);
  }
  await runner.release();
}
