/**
 * The PostgreSQL we bring along, on real folders and with real kills. Service processes run from dist/,
 * which `npm test` builds first.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { type EmbeddedDatabase, openEmbedded } from '../src/database/embedded.js';

const DIST = new URL('../dist/src/database/embedded.js', import.meta.url).href;
const SMALL = { shared_buffers: '16MB', max_connections: '20' };

/** A data folder whose first start found what a killed one had left behind, and that was stopped in good order. */
let made: string;
let base: string;
let dataDir: string;
let opened: EmbeddedDatabase[];
let lines: string[];
let services: ChildProcess[];

beforeAll(async () => {
  made = path.join(await newFolder(), 'my data');
  await mkdir(path.join(made, '.init-2147483646-0badcafe', 'cluster', 'base'), { recursive: true });
  const database = await openEmbedded({ dataDir: made, role: 'command', settings: SMALL, log: () => undefined });
  await database.stop();
}, 30_000);
afterAll(() => rm(path.dirname(made), { recursive: true }));

beforeEach(async () => {
  base = await newFolder();
  dataDir = path.join(base, 'my data');
  [opened, lines, services] = [[], [], []];
});

afterEach(async () => {
  for (const service of services) await killed(service);
  for (const database of opened) await database.stop();
  // Whoever is last stops it; after the kills above nobody has.
  if (await postmasterPid()) await (await open('command')).stop();
  expect(await postmasterPid()).toBeUndefined();
  await rm(base, { recursive: true });
}, 30_000);

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'asper embedded é-'));
  await chmod(folder, 0o755); // as root, PostgreSQL runs as another user, who must get in
  return folder;
}

/** Where a test is not about how a database is made, it has a copy of one: making it takes seconds of a processor. */
function useMade(): void {
  execFileSync('cp', ['-a', made, dataDir]);
}

async function open(role: 'service' | 'command'): Promise<EmbeddedDatabase> {
  const database = await openEmbedded({ dataDir, role, settings: SMALL, log: (line) => lines.push(line) });
  opened.push(database);
  return database;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(sql)).rows.map((row) => Object.values(row)[0]);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function postmasterPid(): Promise<number | undefined> {
  const file = path.join(dataDir, 'postgresql', 'cluster', 'postmaster.pid');
  return Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0]) || undefined;
}

/** A service in a process of its own. Its first line is its URL, or why it did not start. */
async function startService(): Promise<{ service: ChildProcess; said: string }> {
  const script = `import { openEmbedded } from ${JSON.stringify(DIST)};
    const options = { ...JSON.parse(process.argv[1]), role: 'service', log() {} };
    try { console.log((await openEmbedded(options)).url); setInterval(() => {}, 1000); }
    catch (error) { console.log(error.name + ': ' + error.message); }`;
  const options = JSON.stringify({ dataDir, settings: SMALL });
  const service = spawn(process.execPath, ['--input-type=module', '-e', script, options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  services.push(service);
  const said = await new Promise<string>((resolve) => service.stdout.once('data', (text) => resolve(String(text))));
  return { service, said: said.trim() };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === 60) throw error;
      await delay(200);
    }
  }
}

describe('the embedded PostgreSQL', () => {
  it('is made, started, stopped, and keeps its data, in a folder with a space and an accent', async () => {
    const first = await open('service');
    expect(first.dataDir).toBe(dataDir);
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    expect(await query(first.url, 'SHOW fsync')).toEqual(['on']);
    expect(await query(first.url, 'SHOW synchronous_commit')).toEqual(['on']);
    expect(await query(first.url, 'SHOW listen_addresses')).toEqual(['127.0.0.1']);
    expect(await query(first.url, 'SHOW server_encoding')).toEqual(['UTF8']);
    await first.stop();
    await first.stop();
    await expect(query(first.url, 'SELECT 1')).rejects.toThrow();

    const second = await open('service');
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([42]);
  }, 30_000);

  it('keeps the password and the data to their owner', async () => {
    useMade();
    const { url } = await open('command');
    const home = path.join(dataDir, 'postgresql');
    for (const [name, mode] of Object.entries({ '': 0o700, cluster: 0o700, password: 0o600 })) {
      expect((await stat(path.join(home, name))).mode & 0o777).toBe(mode);
    }
    const wrong = url.replace(/asper:[^@]+@/, 'asper:wrong@');
    await expect(query(wrong, 'SELECT 1')).rejects.toThrow('password authentication failed');
  }, 30_000);

  it('refuses a second service and lets the first go on', async () => {
    useMade();
    const { url } = await open('service');
    await expect(open('service')).rejects.toThrow(
      `Another Asper Wallet already runs on this data folder (${dataDir}). ` +
        'Stop it, or give this one its own DATA_DIR and PORT.',
    );
    expect(await query(url, 'SELECT 1')).toEqual([1]);
  }, 30_000);

  it('lets commands join and leave, and stops with the last one out', async () => {
    useMade();
    const service = await open('service');
    const command = await open('command');
    expect(command.url).toBe(service.url);
    await command.stop();
    expect(await query(service.url, 'SELECT 1')).toEqual([1]);

    const other = await open('command');
    await service.stop();
    expect(await query(other.url, 'SELECT 1')).toEqual([1]);
    await other.stop();
    expect(await postmasterPid()).toBeUndefined();
  }, 30_000);

  it('survives any number of starts and stops at the same instant', async () => {
    const users = await Promise.all([open('command'), open('service'), open('command'), open('command')]);
    expect(new Set(users.map((user) => user.url)).size).toBe(1);
    await Promise.all([...users.map((user) => user.stop()), open('command'), open('service')]);
    const [command, service] = opened.slice(-2);
    expect(await query(command!.url, 'SELECT 1')).toEqual([1]);
    expect(service!.url).toBe(command!.url);
  }, 60_000);

  it('starts again after kill -9 of the service, and after kill -9 of everything', async () => {
    useMade();
    const { service, said: url } = await startService();
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await killed(service);
    const joined = await open('service');
    expect(joined.url).toBe(url); // PostgreSQL was left running, and is joined
    await joined.stop();

    const again = await startService();
    await killed(again.service);
    process.kill((await postmasterPid())!, 'SIGKILL');
    const recovered = await open('service');
    expect(await query(recovered.url, 'SELECT answer FROM kept')).toEqual([42]);
  }, 30_000);

  it('serves the same URL again after kill -9 of PostgreSQL, still as the only service', async () => {
    useMade();
    const { url } = await open('service');
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    process.kill((await postmasterPid())!, 'SIGKILL');
    expect(await eventually(() => query(url, 'SELECT answer FROM kept'))).toEqual([42]);
    await eventually(async () => expect(lines).toContain('The embedded PostgreSQL is back.'));
    expect((await startService()).said).toContain('Another Asper Wallet already runs');
  }, 30_000);

  it('starts when postmaster.pid names a process that is somebody else by now', async () => {
    useMade();
    const first = await open('service');
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const file = path.join(dataDir, 'postgresql', 'cluster', 'postmaster.pid');
    const left = await readFile(file, 'utf8');
    await first.stop();
    await writeFile(file, left.replace(/^\d+/, String(process.pid)));
    const second = await open('service');
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([42]);
  }, 30_000);

  it('sweeps what a killed first start left behind', async () => {
    expect(await readdir(made)).toEqual(['postgresql']);
    useMade();
    const { url } = await open('service');
    expect(await query(url, 'SELECT 1')).toEqual([1]);
  }, 30_000);

  it('says in one line why a data folder cannot be used', async () => {
    dataDir = path.join(base, 'file', 'below');
    await writeFile(path.join(base, 'file'), '');
    await expect(open('service')).rejects.toThrow(/^The data folder .* cannot be used: .*DATA_DIR.*$/);
    dataDir = path.join(base, 'shared');
    await mkdir(dataDir);
    await chmod(dataDir, 0o777);
    await expect(open('service')).rejects.toThrow(/everybody can write to it/);
    dataDir = path.join(base, 'my data');
  }, 30_000);
});
