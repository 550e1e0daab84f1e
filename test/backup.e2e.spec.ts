/**
 * R20: what docs/backup.md says, run as it stands while postings go on. A ledger restored to a moment has every posting that
 * was answered before it, none that was sent after it, and keeps all laws. BACKUP_ENTRIES=1000000 makes the ledger larger
 * first, for the figures there.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { chown, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { figure, skip } from '../torture/stage.js';
import { growLedger, growthOf } from '../bench/grow-ledger.js';
import { openEmbedded } from '../src/database/embedded.js';
import { freePort, run, servantAccount, type Account } from '../src/database/embedded.system.js';
import { archiveLog, ask, findTools, hasPsql, runBlock, TimedPostings, transactionIds } from './support/backups.js';
import { startService, type Service } from './support/service.js';

const ENTRIES = Number(process.env.BACKUP_ENTRIES ?? 0);
const tools = findTools();
const seconds = (since: number) => `${((performance.now() - since) / 1_000).toFixed(1)} s`;

/** A folder of our own that PostgreSQL's account can write to. */
async function newFolder(account?: Account): Promise<string> {
  const folder = path.join(tmpdir(), `asper-backup-${randomUUID()}`);
  await mkdir(folder, { mode: 0o755 });
  if (account) await chown(folder, account.uid, account.gid);
  return folder;
}

/** The server's time, between what was answered and what comes. */
async function momentOf(url: string): Promise<{ text: string; date: Date }> {
  await delay(5);
  const [{ text, date }] = await ask(url, 'SELECT t::text AS text, t AS date FROM (SELECT clock_timestamp() AS t) x');
  await delay(5);
  return { text, date };
}

/** What was restored for trial has its own history from then on. In the archive of the real one it would be followed by the next restore. */
async function expectOneHistory(backup: string): Promise<void> {
  await delay(500);
  const files = await readdir(path.join(backup, 'wal'));
  expect(files.filter((file) => !file.startsWith('00000001'))).toEqual([]);
}

describe('a server of one’s own', () => {
  const name = 'is backed up and restored by its own tools';
  if (!tools) return void it(name, () => skip('R20', 'backup, by PostgreSQL’s own tools', 'they are not installed'));
  let account: Account | undefined;
  let folder: string;
  let url: string;
  let env: Record<string, string>;
  let service: Service;
  const started: string[] = [];

  const pgCtl = async (...args: string[]) => {
    const { code, output } = await run(path.join(tools, 'pg_ctl'), args, { cwd: folder, account, ownSession: true });
    if (code !== 0) throw new Error(output);
  };
  const urlOf = (port: number, database = 'asper') => `postgresql://asper@127.0.0.1:${port}/${database}`;

  beforeAll(async () => {
    account = await servantAccount();
    folder = await newFolder(account);
    const PGDATA = path.join(folder, 'data');
    const options = ['-D', PGDATA, '-U', 'asper', '--auth=trust', '--encoding=UTF8', '--locale=C'];
    const made = await run(path.join(tools, 'initdb'), options, { cwd: folder, account });
    if (made.code !== 0) throw new Error(made.output);
    const port = await freePort();
    await run('/bin/sh', ['-c', `printf "port=${port}\\nunix_socket_directories=''\\n" >> data/postgresql.conf`], {
      ...{ cwd: folder, account },
    });
    await pgCtl('start', '-s', '-w', '-D', PGDATA, '-l', path.join(folder, 'server.log'));
    started.push(PGDATA);
    await ask(urlOf(port, 'postgres'), 'CREATE DATABASE asper');
    url = urlOf(port);
    const NEW_PORT = await freePort();
    env = {
      ...{ PGDATA, DATABASE_URL: url, BACKUP: path.join(folder, 'backup'), NEW_PGDATA: path.join(folder, 'restored') },
      ...{ NEW_PORT: String(NEW_PORT), NEW_DATABASE_URL: urlOf(NEW_PORT), PATH: `${tools}:${process.env.PATH}` },
    };
    await runBlock('archive', env, account);
    service = await startService({ DATABASE_URL: url });
    if (ENTRIES > 0) {
      await service.stop();
      await growLedger(url, growthOf(ENTRIES), () => undefined);
      service = await startService({ DATABASE_URL: url });
    }
  }, 600_000);
  afterAll(async () => {
    await service.stop();
    for (const data of started) await pgCtl('stop', '-s', '-m', 'immediate', '-D', data).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  });

  it(`${name}: a dump, taken while postings go on, is a sound ledger`, async () => {
    const load = await TimedPostings.start(service.api);
    await load.more(150);
    const moment = new Date();
    const dumping = performance.now();
    await runBlock('dump', env, account);
    const dumped = seconds(dumping);
    await load.stop();
    await ask(url, 'CREATE DATABASE dumped');
    const NEW_DATABASE_URL = url.replace(/asper$/, 'dumped');
    const restoring = performance.now();
    await runBlock('dump-restore', { ...env, NEW_DATABASE_URL }, account);
    const { before, lost } = load.compare(moment, await transactionIds(NEW_DATABASE_URL));
    const [{ size }] = await ask(url, 'SELECT pg_size_pretty(pg_database_size(current_database())) AS size');
    figure(
      `${size} of database: dump ${dumped}, restore and check ${seconds(restoring)}, ${before} postings before it`,
    );
    expect([load.failures, lost, before > 100]).toEqual([[], [], true]);
  }, 120_000);

  it(`${name}: to a moment while postings went on`, async () => {
    const load = await TimedPostings.start(service.api);
    await load.more(50);
    const backing = performance.now();
    await runBlock('base', env, account);
    const backed = seconds(backing);
    await load.more(150);
    const moment = await momentOf(url);
    await load.more(150);
    await load.stop();
    await archiveLog(url);
    const restoring = performance.now();
    started.push(env.NEW_PGDATA!);
    await runBlock('restore', { ...env, MOMENT: moment.text }, account);
    const restored = seconds(restoring);
    const outcome = load.compare(moment.date, await transactionIds(env.NEW_DATABASE_URL!));
    figure(`base backup ${backed}, restore and check ${restored}: ${JSON.stringify(outcome)}`);
    expect([load.failures, outcome.lost, outcome.unwanted]).toEqual([[], [], []]);
    expect(Math.min(outcome.before, outcome.after)).toBeGreaterThan(100);
    // And it goes on from there.
    const again = await startService({ DATABASE_URL: env.NEW_DATABASE_URL! });
    expect((await again.api.newWallet('5.00')).balance).toBe('5.00');
    await again.stop();
    await ask(env.NEW_DATABASE_URL!, 'SELECT pg_switch_wal()');
    await expectOneHistory(env.BACKUP!);
  }, 120_000);
});

describe('the embedded server', () => {
  const name = 'is restored to a moment while postings went on';
  if (!hasPsql) return void it(name, () => skip('R20', 'backup of the embedded server', 'psql is not installed'));
  let folder: string;
  let env: Record<string, string>;
  beforeAll(async () => {
    const account = await servantAccount();
    folder = await newFolder();
    const BACKUP = path.join(folder, 'backup');
    await mkdir(path.join(BACKUP, 'wal'), { recursive: true });
    if (account) await chown(path.join(BACKUP, 'wal'), account.uid, account.gid);
    env = { DATA_DIR: path.join(folder, 'data'), NEW_DATA_DIR: path.join(folder, 'restored'), BACKUP };
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const start = (DATA_DIR: string) => startService({ DATABASE_URL: '', DATA_DIR });
  /** The database of a data folder whose server runs. */
  const urlOf = async (dataDir: string) => {
    const home = path.join(dataDir, 'postgresql');
    const port = (await readFile(path.join(home, 'cluster', 'postmaster.pid'), 'utf8')).split('\n')[3]!.trim();
    const password = (await readFile(path.join(home, 'password'), 'utf8')).trim();
    return `postgresql://asper:${password}@127.0.0.1:${port}/asper`;
  };

  it(
    name,
    async () => {
      const first = await openEmbedded({ dataDir: env.DATA_DIR, role: 'service', log: () => undefined });
      await runBlock('embedded-archive', env);
      await first.stop();
      const service = await start(env.DATA_DIR!);
      const url = await urlOf(env.DATA_DIR!);
      const load = await TimedPostings.start(service.api);
      await load.more(50);
      const backing = performance.now();
      await runBlock('embedded-base', env);
      const backed = seconds(backing);
      await load.more(150);
      const moment = await momentOf(url);
      await load.more(150);
      await load.stop();
      await archiveLog(url);
      await service.stop();

      const restoring = performance.now();
      await runBlock('embedded-restore', { ...env, MOMENT: moment.text });
      const restored = seconds(restoring);
      const again = await start(env.NEW_DATA_DIR!);
      try {
        const outcome = load.compare(moment.date, await transactionIds(await urlOf(env.NEW_DATA_DIR!)));
        figure(`embedded: base backup ${backed}, restore and check ${restored}: ${JSON.stringify(outcome)}`);
        expect([load.failures, outcome.lost, outcome.unwanted]).toEqual([[], [], []]);
        expect(Math.min(outcome.before, outcome.after)).toBeGreaterThan(100);
        expect((await again.api.newWallet('5.00')).balance).toBe('5.00');
      } finally {
        await again.stop();
      }
      await expectOneHistory(env.BACKUP!);
    },
    120_000,
  );
});
