/** The PostgreSQL that everything is measured on: an embedded one of its own, or the given one. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { openEmbedded } from '../src/database/embedded.js';
import type { CleanUp } from './clean-up.js';
import { STATEMENT_SETTINGS } from './statements.js';

/**
 * A checkpoint in the middle of a phase costs that phase a third of its speed and tells nothing; this keeps them
 * out of the whole run, for pgbench and one-by-one as for the service. fsync and synchronous_commit stay on.
 */
const SETTINGS = { max_connections: '300', max_wal_size: '16GB', checkpoint_timeout: '1h' };

export interface BenchServer {
  /** Where it comes from, for the report. */
  origin: string;
  version: string;
  /** Makes an empty database. @returns its URL. */
  createDatabase(name: string): Promise<string>;
  /** Puts what was written so far out of the way of what is measured next. */
  settle(): Promise<void>;
}

/**
 * Opens the server, and leaves with `cleanUp` how to leave no trace.
 * @param profiled counts statements, which costs all of them a little.
 */
export async function openServer(cleanUp: CleanUp, profiled: boolean): Promise<BenchServer> {
  const given = process.env.BENCH_DATABASE_URL || process.env.DATABASE_URL;
  const url = given || (await openOwn(cleanUp, profiled ? { ...SETTINGS, ...STATEMENT_SETTINGS } : SETTINGS));
  const admin = await connectTo(url);
  cleanUp.add(() => admin.end());
  const { rows } = await admin.query<{ server_version: string }>('SHOW server_version');
  return {
    origin: given ? 'given' : 'embedded',
    version: rows[0]!.server_version.split(' ')[0]!,
    createDatabase: async (name) => {
      const database = `asper_bench_${name}_${randomBytes(4).toString('hex')}`;
      cleanUp.add(() => admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`));
      await admin.query(`CREATE DATABASE ${database}`);
      const target = new URL(url);
      target.pathname = `/${database}`;
      return target.href;
    },
    // A given server may refuse CHECKPOINT to this role; then there is none.
    settle: async () => void (await admin.query('CHECKPOINT').catch(() => undefined)),
  };
}

export async function connectTo(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function openOwn(cleanUp: CleanUp, settings: Record<string, string>): Promise<string> {
  // As root, PostgreSQL runs as another user, who must be able to enter; mkdtemp would make a private folder.
  const folder = path.join(tmpdir(), `asper-bench-${randomBytes(6).toString('hex')}`);
  await mkdir(folder, { mode: 0o755 });
  cleanUp.add(() => rm(folder, { recursive: true, force: true }));
  const log = () => undefined;
  const opening = openEmbedded({ dataDir: path.join(folder, 'data'), role: 'service', settings, log });
  // Registered while it starts: a Ctrl-C in this second must not leave a server behind.
  cleanUp.add(() =>
    opening.then(
      (embedded) => embedded.stop(),
      () => undefined,
    ),
  );
  return (await opening).url;
}
