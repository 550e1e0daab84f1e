/** What the tests of backups need: the commands of docs/backup.md as they stand, and postings whose time is known. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import type { Account } from '../../src/database/embedded.system.js';
import type { TransactionBody } from '../../src/transactions/transactions.dto.js';
import type { WalletClient } from './client.js';

/** The folder with PostgreSQL's own programs, the newest that this machine has; nothing where it has none. */
export function findTools(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), ...versions.map((v) => `${debian}/${v}/bin`)];
  const needed = ['initdb', 'pg_ctl', 'pg_basebackup', 'pg_verifybackup', 'pg_dump', 'pg_restore', 'psql'];
  return folders.find((folder) => needed.every((name) => existsSync(path.join(folder, name))));
}

export const hasPsql = spawnSync('psql', ['--version']).status === 0;

/** Runs a block of commands of docs/backup.md, as somebody would who copies it. @param account whom to run it as */
export async function runBlock(name: string, env: Record<string, string>, account?: Account): Promise<void> {
  const text = readFileSync('docs/backup.md', 'utf8');
  const block = new RegExp(`<!-- run: ${name} -->\n\n\`\`\`sh\n([^]*?)\`\`\``).exec(text)?.[1];
  if (!block) throw new Error(`docs/backup.md has no block ${name}`);
  // `npx asper` finds the build of this folder.
  const script = block.replaceAll('npx asper', `${process.execPath} ${path.resolve('dist/service/cli.js')}`);
  await promisify(execFile)('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
    env: { PATH: process.env.PATH, HOME: '/', ...env },
    timeout: 120_000,
    ...account,
  });
}

interface Sent {
  sentAt: number;
  answeredAt: number;
}

/** Credits and transfers, one after the other from each client, until told to stop. */
export class TimedPostings {
  /** By the ids of the transactions that were answered with 201. */
  readonly acknowledged = new Map<string, Sent>();
  readonly failures: string[] = [];
  private isOver = false;
  private readonly clients: Promise<unknown>;

  private constructor(
    private readonly api: WalletClient,
    private readonly wallets: string[],
  ) {
    this.clients = Promise.all(wallets.map((_, i) => this.client(i)));
  }

  static async start(api: WalletClient, clients = 8): Promise<TimedPostings> {
    const wallets = await Promise.all(Array.from({ length: clients }, () => api.newWallet('1000.00')));
    return new TimedPostings(
      api,
      wallets.map(({ id }) => id),
    );
  }

  private async client(i: number): Promise<void> {
    const [own, other] = [this.wallets[i]!, this.wallets[(i + 1) % this.wallets.length]!];
    for (let n = 0; !this.isOver; n++) {
      const sentAt = Date.now();
      const reply = n % 2 ? await this.api.transfer(own, other, '0.01') : await this.api.credit(own, '0.02');
      const { id } = reply.body as TransactionBody;
      if (reply.status === 201) this.acknowledged.set(id, { sentAt, answeredAt: Date.now() });
      else this.failures.push(reply.text);
    }
  }

  /** Until so many more have been answered, however slow the machine is. */
  async more(count: number): Promise<void> {
    const goal = this.acknowledged.size + count;
    while (this.acknowledged.size < goal && !this.failures.length) await delay(20);
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await this.clients;
  }

  /** What a ledger restored to a moment must have, must not have, and has. Between the two is what was under way. */
  compare(moment: Date, has: Set<string>) {
    const all = [...this.acknowledged];
    const before = all.filter(([, { answeredAt }]) => answeredAt < moment.getTime()).map(([id]) => id);
    const after = all.filter(([, { sentAt }]) => sentAt > moment.getTime() + 1).map(([id]) => id);
    return {
      before: before.length,
      after: after.length,
      lost: before.filter((id) => !has.has(id)),
      unwanted: after.filter((id) => has.has(id)),
    };
  }
}

/** Runs one statement on a server. */
// oxlint-disable-next-line typescript/no-explicit-any -- a row of whatever the test asked for
export async function ask(url: string, sql: string): Promise<any[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

export async function transactionIds(url: string): Promise<Set<string>> {
  return new Set((await ask(url, 'SELECT id FROM transactions')).map(({ id }) => id as string));
}

/** Has the log up to now archived, and waits for it. */
export async function archiveLog(url: string): Promise<void> {
  const [{ file }] = await ask(url, 'SELECT pg_walfile_name(pg_switch_wal()) AS file');
  for (const until = Date.now() + 20_000; Date.now() < until;) {
    const [{ last }] = await ask(url, 'SELECT last_archived_wal AS last FROM pg_stat_archiver');
    if (last && String(last).slice(0, 24) >= file) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${file} was not archived: ${JSON.stringify(await ask(url, 'SELECT * FROM pg_stat_archiver'))}`);
}
