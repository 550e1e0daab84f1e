/**
 * The way to the server of a cluster: start it if it is down, wait if it is coming or going, and connect.
 */
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { type Cluster, readPostmaster, startPostgres } from './embedded.cluster.js';
import { EmbeddedDatabaseError, freePort } from './embedded.system.js';

/** Advisory locks, held by one connection per process: everybody shares IN_USE, a service also has SERVICE alone. */
export const IN_USE = 7_102_001;
export const SERVICE = 7_102_002;
/** How long one server may take to leave and the next to come; recovery after a crash counts anew. */
const ENTER_TIMEOUT_MS = 30_000;
const RECOVERY_TIMEOUT_MS = 600_000;
const START_ATTEMPTS_MAX = 3;
/** A server that another process stops is started again; one that stops by itself, as its recovery fails, not for ever. */
const STARTS_MAX = 10;

/**
 * A connection to the server of this cluster, with IN_USE held. Starts the server if none runs. Another
 * process may be starting or stopping it at this moment, so every step may fail and is looked at anew.
 */
export async function reach(
  cluster: Cluster,
  log: (line: string) => void,
  samePort: number,
  isCancelled: () => boolean,
): Promise<{ client: Client; port: number }> {
  let deadline = Date.now() + ENTER_TIMEOUT_MS;
  let failures = 0;
  let starts = 0;
  let refusal = 'it neither starts nor answers';
  for (; Date.now() < deadline; await delay(100)) {
    const seen = await readPostmaster(cluster);
    if (!seen?.isAlive) {
      if (isCancelled()) break; // with a server alive we go on: it must be entered to be stopped
      // After a crash the old port is kept if it is free: somebody may still hold a URL with it.
      const failure = await startPostgres(cluster, samePort || (await freePort(seen?.port)));
      if (!failure) log('PostgreSQL started.');
      if (!failure && (starts += 1) === STARTS_MAX) {
        refusal = `it stops again as soon as it has started: ${path.join(cluster.home, 'postgres.log')} has the cause`;
        break;
      }
      if (!failure || (await readPostmaster(cluster))?.isAlive) continue;
      refusal = failure;
      if ((failures += 1) >= START_ATTEMPTS_MAX) break;
      continue;
    }
    const answer = await connect(cluster, seen.port);
    if (answer === 'recovering') {
      if (deadline < Date.now() + ENTER_TIMEOUT_MS) log('PostgreSQL is recovering what a crash left …');
      deadline = Math.max(deadline, Date.now() + RECOVERY_TIMEOUT_MS);
      if (isCancelled()) break;
    } else if (typeof answer === 'string') refusal = answer;
    else if (await lock(answer, IN_USE, '_shared').catch(() => false)) return { client: answer, port: seen.port };
    else await answer.end().catch(() => undefined); // somebody is stopping it: wait for the end, then start
  }
  throw new EmbeddedDatabaseError(`The embedded PostgreSQL in ${cluster.dataDir} cannot be used:\n${refusal}`);
}

async function connect(cluster: Cluster, port: number): Promise<Client | string> {
  const { password } = cluster;
  const where = { host: '127.0.0.1', port, user: 'asper', password, database: 'postgres' };
  const client = new Client({ ...where, connectionTimeoutMillis: 5_000, query_timeout: 10_000, keepAlive: true });
  client.on('error', () => undefined); // 'end' follows, and is acted on
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    const { code, message } = error as { code?: string; message: string };
    return code === '57P03' && /starting up|recovery|accepting connections/.test(message) ? 'recovering' : message;
  }
}

/** Tries to take a lock; false: another session holds it. */
export async function lock(client: Client, key: number, mode: '' | '_shared' = ''): Promise<boolean> {
  const sql = `SELECT pg_try_advisory_lock${mode}($1) AS taken`;
  const result = await client.query<{ taken: boolean }>(sql, [key]);
  return result.rows[0]?.taken === true;
}

export async function createDatabase(client: Client): Promise<void> {
  const found = await client.query("SELECT 1 FROM pg_database WHERE datname = 'asper'");
  if (found.rowCount) return;
  await client.query('CREATE DATABASE asper').catch((error: { code?: string }) => {
    // duplicate_database or unique_violation: the other first start has just made it
    if (error.code !== '42P04' && error.code !== '23505') throw error;
  });
}
