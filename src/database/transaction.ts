/** The only begin, commit and rollback of the service. */
import type { DataSource, QueryRunner } from 'typeorm';
import { allSettled } from './all-settled.js';
import { endsConnection, isDatabaseError, sqlState } from './sqlstate.js';

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
  return inPipelinedTransaction(dataSource, async ({ runner, begun }) => {
    await begun;
    return work(runner);
  });
}

/** A transaction whose beginning and end travel with its statements: two round trips to the server instead of four. */
export interface PipelinedTransaction {
  runner: QueryRunner;
  /** START TRANSACTION is on its way. Nothing may be written before this has resolved. */
  begun: Promise<void>;
  /**
   * Sends COMMIT right behind writes that were just handed to the driver. Each must fail in the database where it did
   * not do what it should: PostgreSQL answers the COMMIT of a failed transaction with a rollback, and nobody looks at
   * row counts in between.
   */
  commitBehind: (writes: Promise<unknown>[]) => Promise<void>;
}

/** As {@link inTransaction}, without waiting for START TRANSACTION and, with `commitBehind`, for the last writes. */
export async function inPipelinedTransaction<T>(
  dataSource: DataSource,
  work: (transaction: PipelinedTransaction) => Promise<T>,
): Promise<T> {
  const runner = dataSource.createQueryRunner();
  let isCommitSent = false;
  let broken = false;
  const commitBehind = async (writes: Promise<unknown>[]) => {
    broken = true;
    await takenByDriver(writes);
    broken = false;
    isCommitSent = true;
    await commit(runner, writes);
  };
  try {
    const { begun } = await begin(runner);
    const result = await work({ runner, begun, commitBehind });
    if (!isCommitSent) await commitBehind([]);
    return result;
  } catch (error) {
    // On a connection that no longer answers, ROLLBACK would only wait; dropping it rolls back as well.
    broken ||= isCommitSent ? runner.isTransactionActive : isDatabaseError(error) && sqlState(error) === undefined;
    if (!isCommitSent && !broken) await runner.rollbackTransaction().catch(() => (broken = true));
    throw error;
  } finally {
    await giveBack(runner, broken);
  }
}

/**
 * Throws what the driver refuses to send, which it says within two ticks: nothing may be committed without it. The
 * connection is of no more use: pg has then closed a prepared statement that it goes on counting on.
 */
async function takenByDriver(statements: Promise<unknown>[]): Promise<void> {
  let isRefused = false;
  for (const statement of statements) statement.catch(() => (isRefused = true));
  for (let tick = 1; tick <= 2 && statements.length > 0; tick++)
    await new Promise<void>((resolve) => process.nextTick(resolve));
  if (isRefused) await allSettled(...statements);
}

async function commit(runner: QueryRunner, writes: Promise<unknown>[]): Promise<void> {
  const answers = await Promise.allSettled([...writes, runner.commitTransaction()]);
  const place = answers.findIndex(({ status }) => status === 'rejected');
  if (place < 0) return;
  const { reason: error } = answers[place] as PromiseRejectedResult;
  const state = sqlState(error);
  // A write with a SQLSTATE was refused, and COMMIT after it did nothing. COMMIT with one was refused as well (a
  // deferred law, a serialization failure); but a shutdown (57) or fault (XX) may cut the connection on either side
  // of it, so it tells nothing. Nor does what ends the connection or the server: where the log cannot be flushed (PANIC, 53 or 58), the
  // record of the commit may be in it, and recovery then finds it.
  const isRefused =
    state !== undefined && (place < writes.length || !(/^(57|08|XX)/.test(state) || endsConnection(error)));
  throw isRefused ? error : new CommitUnknownError(error);
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

/** Runs one statement outside of any transaction, on a connection that is not given back where it broke. */
export async function onConnection<T>(dataSource: DataSource, work: (runner: QueryRunner) => Promise<T>): Promise<T> {
  const runner = dataSource.createQueryRunner();
  let broken = false;
  try {
    await runner.connect();
    return await work(runner);
  } catch (error) {
    broken = isDatabaseError(error) && /^(57P|08)/.test(sqlState(error) ?? '08');
    throw error;
  } finally {
    await giveBack(runner, broken);
  }
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
