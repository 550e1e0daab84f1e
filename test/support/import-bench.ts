/** The built command as a process, on a database and in a folder of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CLI, TestDatabase } from './service.js';

type Env = Record<string, string | undefined>;

/** Where a test imports: a database, and files that go with it. */
export class ImportBench {
  private constructor(
    readonly database: TestDatabase,
    readonly folder: string,
  ) {}

  static async create(): Promise<ImportBench> {
    return new ImportBench(await TestDatabase.create(), await mkdtemp(path.join(tmpdir(), 'asper-import-')));
  }

  /** Ends it. @returns the laws that do not hold. */
  async close(): Promise<string[]> {
    const problems = await this.database.problems();
    await this.database.drop();
    await rm(this.folder, { recursive: true });
    return problems;
  }

  /** Writes a file, from its text or its lines. */
  async file(text: string | Buffer | string[], name = 'in.csv'): Promise<string> {
    const written = path.join(this.folder, name);
    await writeFile(written, Array.isArray(text) ? `${text.join('\n')}\n` : text);
    return written;
  }

  /** Runs the command on a database that the environment names. */
  static readonly run = run;

  /** Runs the command, and something else while it runs. */
  asper(args: string[], env: Env = {}, meanwhile?: (child: ChildProcess) => Promise<unknown>) {
    return run(args, { DATABASE_URL: this.database.url, DEFAULT_MINIMUM_BALANCE: '0', ...env }, meanwhile);
  }

  importing(csv: string, ...args: string[]) {
    return this.asper(['import', csv, ...args]);
  }

  async postedCount(): Promise<number> {
    return Number((await this.database.query('SELECT count(*) AS n FROM transactions'))[0].n);
  }

  /** Minor units by account. */
  async balances(): Promise<Record<string, string>> {
    const sql = "SELECT label, balance FROM wallets WHERE kind = 'customer' ORDER BY label";
    return Object.fromEntries((await this.database.query(sql)).map(({ label, balance }) => [label, balance]));
  }
}

async function run(args: string[], env: Env, meanwhile?: (child: ChildProcess) => Promise<unknown>) {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  await meanwhile?.(child);
  return { ...(await ended), stdout, stderr };
}
