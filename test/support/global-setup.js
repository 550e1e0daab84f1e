/**
 * Starts one PostgreSQL for the whole run and migrates the template that every test file clones. Plain JavaScript
 * over the build, as jest loads this file by itself. TEST_DATABASE_URL names another server to test against.
 */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { readConfig } from '../../dist/src/config.js';
import { openEmbedded } from '../../dist/src/database/embedded.js';
import { migrate } from '../../dist/src/database/migrate.js';
import { onDatabase, TEMPLATE } from './databases.js';

export default async function globalSetup() {
  let url = process.env.TEST_DATABASE_URL;
  if (!url) {
    // As root PostgreSQL runs as another user, who must be able to enter; mkdtemp would make a private folder.
    const folder = path.join(tmpdir(), `asper-test-${randomUUID()}`);
    await mkdir(folder, { mode: 0o755 });
    const dataDir = path.join(folder, 'data');
    const settings = { max_connections: '300' };
    globalThis.asperEmbedded = await openEmbedded({ dataDir, role: 'service', log: () => undefined, settings });
    url = globalThis.asperEmbedded.url;
  }
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await admin.query(`DROP DATABASE IF EXISTS ${TEMPLATE}`);
  await admin.query(`CREATE DATABASE ${TEMPLATE}`);
  await admin.end();
  await migrate({ ...readConfig({}), databaseUrl: onDatabase(url, TEMPLATE) }, globalThis.console.error);
  process.env.ASPER_TEST_DATABASE_URL = url;
}
