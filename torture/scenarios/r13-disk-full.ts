/** R13: the disk is full. Money is refused with 503, and it recovers without a restart: of tables alone, and of everything that PostgreSQL has. */
import { expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openEmbedded, type EmbeddedDatabase } from '../../src/database/embedded.js';
import { startService, TestDatabase, type Service } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { randomOf, report, skip } from '../stage.js';

const TABLES_MB = 96;
/** With room for PostgreSQL's own 40 MB and a few files of its log, 16 MB each. */
const SERVER_MB = 192;
const RECOVERY_MS_MAX = 5_000;
/** The embedded server is started again every two seconds at the longest. */
const RESTART_MS_MAX = 10_000;
const NO_MOUNT = 'mounting a tmpfs is not allowed here';
const TABLES = ['entries', 'transactions', 'idempotency_keys', 'outbox', 'wallets'];

/** A disk of its own; nothing where mounting is not allowed. */
function smallDisk(sizeMB: number): string | undefined {
  const folder = path.join(tmpdir(), `asper-disk-${randomUUID()}`);
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMB}m`, 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}

function removeDisk(folder: string): void {
  // Lazily: whatever went wrong before may still have something open there.
  execFileSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true });
}

/** Takes all the room that is left. @returns what to remove */
function fill(folder: string): string {
  const filler = path.join(folder, 'filler');
  execFileSync('sh', ['-c', `dd if=/dev/zero of=${filler} bs=1M status=none || true`], { stdio: 'ignore' });
  return filler;
}

async function loadOn(service: Service, name: string): Promise<ClientLog> {
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    randomOf(name),
    name,
  );
  log.start(16, () => service.api);
  return log;
}

async function within(ms: number, holds: () => boolean): Promise<boolean> {
  for (const end = performance.now() + ms; !holds(); await delay(10)) if (performance.now() > end) return false;
  return true;
}

/** Makes room. @returns the time until a hundred were done, and what is wrong with it */
async function recovery(log: ClientLog, filler: string, msMax: number): Promise<{ ms: number; slow: string[] }> {
  const before = log.acknowledged;
  const freedAt = performance.now();
  rmSync(filler);
  const isDone = await within(30_000, () => log.acknowledged >= before + 100);
  const ms = performance.now() - freedAt;
  const slow = isDone ? `recovered only after ${ms.toFixed(0)} ms` : 'did not recover';
  return { ms, slow: isDone && ms <= msMax ? [] : [slow] };
}

async function whileTablesAreFull(service: Service, database: TestDatabase, folder: string): Promise<string[]> {
  const log = await loadOn(service, 'r13');
  const filler = fill(folder);
  const refused = () => log.statuses.get(503) ?? 0;
  const problems = (await within(30_000, () => refused() >= 200)) ? [] : [`${refused()} × 503: it was not full`];
  const while503 = refused();
  const { data } = (await service.api.get<{ data: Array<{ id: string }> }>('/v1/wallets?limit=20')).body;
  for (const { id } of data) {
    const { status } = await service.api.get(`/v1/wallets/${id}`);
    if (status !== 200) problems.push(`a read was answered ${status}`);
  }
  const { ms, slow } = await recovery(log, filler, RECOVERY_MS_MAX);
  await log.stop();
  const unknown = await log.resolve(service.api);
  problems.push(...slow, ...(await log.problems(database)));
  const figures = `${while503} × 503 while full, ${data.length} reads 200, 100 done ${ms.toFixed(0)} ms after space was freed`;
  report('R13', 'disk of the tables full', `${figures}, ${unknown} resolved`, problems);
  return problems;
}

it('R13: the disk of the tables is full', async () => {
  const what = 'disk of the tables full';
  if (process.env.TEST_DATABASE_URL) return skip('R13', what, 'the server is not ours to fill');
  const folder = smallDisk(TABLES_MB);
  if (!folder) return skip('R13', what, NO_MOUNT);
  const database = await TestDatabase.create();
  const name = `small_${Date.now()}`;
  let service: Service | undefined;
  try {
    const [{ data_directory }] = await database.query('SHOW data_directory');
    const space = path.join(folder, 'space');
    mkdirSync(space);
    execFileSync('chown', [String(statSync(data_directory as string).uid), space]);
    chmodSync(space, 0o700);
    await database.query(`CREATE TABLESPACE ${name} LOCATION '${space}'`);
    for (const table of TABLES) await database.query(`ALTER TABLE ${table} SET TABLESPACE ${name}`);
    service = await startService({}, { database, quiet: true });
    expect(await whileTablesAreFull(service, database, folder)).toEqual([]);
  } finally {
    await service?.stop();
    await database.drop();
    const admin = await TestDatabase.create();
    await admin.query(`DROP TABLESPACE IF EXISTS ${name}`);
    await admin.drop();
    removeDisk(folder);
  }
});

async function whileTheLogIsFull(service: Service, folder: string): Promise<string[]> {
  const database = await TestDatabase.join('asper');
  const log = await loadOn(service, 'r13log');
  await delay(1_000);
  const filler = fill(folder);
  // Each switch begins a new file, so that the log is used up now and not in a while. The last one finds no room.
  let isAlive = true;
  for (let n = 0; isAlive && n < 500; n++, await delay(20))
    isAlive = await database.query('SELECT pg_switch_wal()').then(
      () => true,
      () => false,
    );
  const problems = isAlive ? ['PostgreSQL did not end: its log was not full'] : [];
  const told = log.acknowledged;
  await delay(3_000);
  if (log.acknowledged > told + 16) problems.push(`${log.acknowledged - told} were done without a log`);
  const { status } = await service.api.get('/health/live');
  if (status !== 200) problems.push(`live was answered ${status}`);
  const refused = log.statuses.get(503) ?? 0;
  if (refused === 0) problems.push('nobody heard 503');
  const { ms, slow } = await recovery(log, filler, RESTART_MS_MAX);
  await log.stop();
  const unknown = await log.resolve(service.api);
  const after = await TestDatabase.join('asper');
  problems.push(...slow, ...(await log.problems(after)));
  await Promise.all([database, after].map((one) => one.close().catch(() => undefined)));
  const figures = `PostgreSQL ended, ${refused} × 503, 100 done ${ms.toFixed(0)} ms after space was freed`;
  report('R13', 'disk of the log full', `${figures}, ${log.acknowledged} acknowledged, ${unknown} resolved`, problems);
  return problems;
}

it('R13: the disk of the log is full', async () => {
  const folder = smallDisk(SERVER_MB);
  if (!folder) return skip('R13', 'disk of the log full', NO_MOUNT);
  const servers = process.env.ASPER_TEST_DATABASE_URL;
  let embedded: EmbeddedDatabase | undefined;
  let service: Service | undefined;
  try {
    const settings = { shared_buffers: '32MB', min_wal_size: '32MB', max_wal_size: '64MB' };
    const dataDir = path.join(folder, 'data');
    embedded = await openEmbedded({ dataDir, role: 'service', log: () => undefined, settings });
    process.env.ASPER_TEST_DATABASE_URL = embedded.url;
    const database = await TestDatabase.join('asper');
    service = await startService({ DATABASE_URL: embedded.url }, { database, quiet: true });
    await database.close();
    expect(await whileTheLogIsFull(service, folder)).toEqual([]);
  } finally {
    process.env.ASPER_TEST_DATABASE_URL = servers;
    await service?.stop();
    await embedded?.stop();
    removeDisk(folder);
  }
});
