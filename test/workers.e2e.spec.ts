/** Several processes on one port (`WORKERS`): who serves, who dies, who ends, and what the ledger then says. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../src/database/embedded.system.js';
import { bank } from './scenarios/bank.js';
import { duplicates } from './scenarios/duplicates.js';
import { expectStatus, WalletClient } from './support/client.js';
import { failedStart, startService, TestDatabase, type Service } from './support/service.js';

const pidsOf = (service: Service) => /workers: processes ([\d, ]+)\./.exec(service.said())![1]!.split(', ').map(Number);

/**
 * A client for each worker: of one connection, which leads to one process. Which, its first posting tells: every worker
 * has an external wallet of its own.
 */
async function clientsOfWorkers(service: Service, workers = 2): Promise<WalletClient[]> {
  const { id } = await service.api.newWallet();
  const clients = new Map<string, WalletClient>();
  // A worker that was replaced a moment ago may still be starting.
  for (const until = Date.now() + 20_000; clients.size < workers && Date.now() < until; await delay(50)) {
    const client = new WalletClient(service.api.url, 1);
    const { entries } = expectStatus(201, await client.credit(id, '1.00'));
    clients.set(entries.find(({ wallet_id }) => wallet_id !== id)!.wallet_id, client);
  }
  expect(clients.size).toBe(workers);
  return [...clients.values()];
}

/** Clients that credit wallets, each posting under a key, until they are told to stop. */
class Load {
  readonly acknowledged: string[] = [];
  private running = true;
  private readonly clients: Promise<unknown>;

  constructor(
    private readonly service: Service,
    private readonly walletIds: string[],
    clients = 64,
  ) {
    this.clients = Promise.all(Array.from({ length: clients }, () => this.client()));
  }

  async stop(): Promise<void> {
    this.running = false;
    await this.clients;
  }

  /** Keys that were answered 201 and have no transaction, or that have more than one. */
  async wronged(): Promise<string[]> {
    const rows = await this.service.database.query(
      'SELECT reference, count(*)::int AS n FROM transactions WHERE reference IS NOT NULL GROUP BY 1',
    );
    const times = new Map(rows.map(({ reference, n }): [string, number] => [reference, n]));
    const twice = [...times].filter(([, n]) => n > 1).map(([key]) => `${key} twice`);
    return [...twice, ...this.acknowledged.filter((key) => !times.has(key))];
  }

  private async client(): Promise<void> {
    while (this.running) {
      const key = randomUUID();
      // No answer, or 503: the same request with the same key, as the errors page says.
      while (!(await this.posted(key)) && this.running) await delay(20);
    }
  }

  private async posted(key: string): Promise<boolean> {
    const walletId = this.walletIds[Math.floor(Math.random() * this.walletIds.length)]!;
    const answer = this.service.api.credit(walletId, '1.00', { reference: key }, key);
    const reply = await Promise.race([answer.catch(() => undefined), delay(5_000, undefined, { ref: false })]);
    if (reply?.status !== 201) return reply?.status === 422;
    this.acknowledged.push(key);
    return true;
  }
}

async function until(isTrue: () => boolean | Promise<boolean>, withinMs = 15_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !(await isTrue()); await delay(50)) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms`);
  }
}

describe('two workers', () => {
  let service: Service;
  let dataDir: string;
  beforeAll(async () => {
    dataDir = await newDataDir();
    // A port of its own: the system would choose another one where no worker is left to hold the first.
    const PORT = String(await freePort());
    service = await startService({ WORKERS: '2', PORT, HOLD_SWEEP_SECONDS: '1', DATA_DIR: dataDir });
  });
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(async () => {
    const found = await service.database.check();
    await service.stop();
    await rm(dataDir, { recursive: true });
    expect(found).toEqual([]);
  });

  it('share one port, and say so once', async () => {
    await until(() => service.said().includes('AUTH=open'));
    expect(service.said().match(/listens on/g)).toHaveLength(1);
    expect(service.said().match(/AUTH=open/g)).toHaveLength(1);
    expect(new Set(pidsOf(service)).size).toBe(2);
    const [one, other] = await clientsOfWorkers(service);
    const wallet = await one!.newWallet('10.00');
    expectStatus(201, await other!.debit(wallet.id, '4.00'));
    expect((await one!.wallet(wallet.id)).balance).toBe('6.00');
  });

  it('keep the laws while 64 clients move money between wallets', async () => {
    expect(await bank([service], { clients: 64, wallets: 8, transfersEach: 20 })).toMatchObject({ findings: [] });
  });

  it('count one hot wallet right', async () => {
    const { id } = await service.api.newWallet('1000.00');
    const move = (i: number) => (i % 2 === 0 ? service.api.credit(id, '1.00') : service.api.debit(id, '2.00'));
    const replies = await Promise.all(Array.from({ length: 640 }, (_, i) => move(i)));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    expect((await service.api.wallet(id)).balance).toBe('680.00');
  });

  it('execute a key once, whichever of them its copies reach', async () => {
    expect(await duplicates([service], { keys: 10, copies: 60 })).toEqual([]);
    const [one, other] = await clientsOfWorkers(service);
    const wallet = await one!.newWallet('10.00');
    const key = randomUUID();
    const replies = await Promise.all([one!, other!].map((client) => client.debit(wallet.id, '4.00', {}, key)));
    expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
    const replayed = await other!.debit(wallet.id, '4.00', {}, key);
    expect([replayed.text, replayed.headers.get('idempotency-replayed')]).toEqual([replies[0]!.text, 'true']);
    expect((await one!.wallet(wallet.id)).balance).toBe('6.00');
  });

  it('sign receipts with the same key', async () => {
    const keys = await Promise.all((await clientsOfWorkers(service)).map((client) => client.get('/v1/receipts/keys')));
    expect(keys.map(({ text }) => text)).toEqual([keys[0]!.text, keys[0]!.text]);
    expect(keys[0]!.text).toContain('"kid"');
  });

  it('write an expired hold down once', async () => {
    const wallet = await service.api.newWallet('10.00');
    const expires_at = new Date(Date.now() + 300).toISOString();
    const hold = expectStatus(201, await service.api.hold(wallet.id, '5.00', { expires_at }));
    const changes = () => service.database.query('SELECT status FROM hold_changes WHERE hold_id = $1', [hold.id]);
    await until(async () => (await changes()).length > 1);
    await delay(1_500);
    expect((await changes()).filter(({ status }) => status === 'expired')).toHaveLength(1);
  });

  it('serve on while one is killed under load, and replaced; what was acknowledged is there, once', async () => {
    const wallets = await Promise.all([1, 2, 3, 4].map(() => service.api.newWallet()));
    const load = new Load(
      service,
      wallets.map(({ id }) => id),
    );
    try {
      await until(() => load.acknowledged.length > 100);
      for (const [i, pid] of pidsOf(service).entries()) {
        process.kill(pid, 'SIGKILL');
        const before = load.acknowledged.length;
        await until(() => load.acknowledged.length > before + 100);
        await until(() => service.said().includes(`Worker ${i + 1}, process ${pid}, was killed by SIGKILL. Another`));
        await delay(1_000);
      }
    } finally {
      await load.stop();
    }
    await clientsOfWorkers(service);
    expect(await load.wronged()).toEqual([]);
  });
});

describe('the end of several processes', () => {
  const startedHere: Service[] = [];
  const start = async (env: Record<string, string> = {}) => {
    const service = await startService({ WORKERS: '2', ...env });
    startedHere.push(service);
    return service;
  };
  afterEach(async () => {
    for (const service of startedHere.splice(0)) {
      const problems = await service.database.problems();
      await service.stop();
      expect(problems).toEqual([]);
    }
  });
  const connections = async ({ database }: Service) =>
    (
      await database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      )
    ).length;

  /** Requests that a worker has taken on and not answered. */
  const inFlight = async ({ api }: Service) =>
    Number(/^asper_http_requests_in_flight (\d+)$/m.exec((await api.get('/metrics')).text)?.[1]);

  /** Every one of these debits of a wallet that had 100.00 was answered with 201, and is there. */
  const expectDebited = async (
    { database }: Service,
    id: string,
    replies: Array<ReturnType<WalletClient['debit']>>,
  ) => {
    expect(new Set((await Promise.all(replies)).map(({ status }) => status))).toEqual(new Set([201]));
    const [{ balance }] = await database.query('SELECT balance::int FROM wallets WHERE id = $1', [id]);
    expect(balance).toBe(5_000);
  };

  it.each([
    ['SIGTERM to the primary', 'SIGTERM', false],
    ['Ctrl-C, which reaches primary and workers, twice', 'SIGINT', true],
  ] as const)(
    'is in order after %s under load: exit code 0, what was accepted is answered, nothing acknowledged is lost',
    async (_, signal, toAll) => {
      const service = await start();
      const [{ id }, held] = [await service.api.newWallet(), await service.api.newWallet('100.00')];
      await clientsOfWorkers(service); // each worker knows its external wallet
      const exit = once(service.process, 'exit');
      const [load, replies] = await service.database.locking(held.id, async () => {
        const underWay = Array.from({ length: 50 }, () => service.api.debit(held.id, '1.00'));
        await until(async () => (await inFlight(service)) === 50);
        const begun = new Load(service, [id]);
        await until(() => begun.acknowledged.length > 100);
        for (let round = 0; round < (toAll ? 2 : 1); round++) {
          if (toAll) for (const pid of pidsOf(service)) tell(pid, signal);
          service.process.kill(signal);
          await delay(5);
        }
        await delay(200);
        return [begun, underWay] as const;
      });
      await expectDebited(service, held.id, replies);
      expect(await exit).toEqual([0, null]);
      await load.stop();
      expect(await load.wronged()).toEqual([]);
      await until(async () => (await connections(service)) === 0);
    },
  );

  it('answers what was accepted before the primary was killed, and whoever asks for the metrics when it is gone', async () => {
    const service = await start({ SHUTDOWN_GRACE_MS: '1000' });
    const { id } = await service.api.newWallet('100.00');
    await clientsOfWorkers(service);
    const client = new WalletClient(service.api.url, 1);
    expect((await client.get('/metrics')).status).toBe(200);
    const replies = await service.database.locking(id, async () => {
      const underWay = Array.from({ length: 50 }, () => service.api.debit(id, '1.00'));
      await until(async () => (await inFlight(service)) === 50);
      const asked = client.get('/metrics'); // and perhaps not answered yet
      service.process.kill('SIGKILL');
      expect([200, 503]).toContain((await asked).status);
      await delay(100);
      expect((await client.get('/metrics')).status).toBe(503);
      await delay(1_100); // no longer ready, and then closed
      return underWay;
    });
    await expectDebited(service, id, replies);
    await until(async () => (await connections(service)) === 0);
  });

  it('stops the embedded PostgreSQL after the last worker', async () => {
    const dataDir = await newDataDir();
    const service = await start({ DATABASE_URL: '', DATA_DIR: dataDir });
    expect((await service.api.newWallet('5.00')).balance).toBe('5.00');
    service.process.kill('SIGTERM');
    expect(await once(service.process, 'exit')).toEqual([0, null]);
    await until(() => service.said().includes('PostgreSQL stopped.'));
    await rm(dataDir, { recursive: true });
  });
});

describe('several processes that cannot start', () => {
  let database: TestDatabase;
  beforeAll(async () => void (database = await TestDatabase.create()));
  afterAll(() => database.drop());
  const start = (env: Record<string, string>) => failedStart({ DATABASE_URL: database.url, WORKERS: '4', ...env });

  it('say why once and end, as one process does', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { code, said } = await start({ PORT: String(port) });
    other.close();
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(`^Asper Wallet did not start. Port ${port} on 127.0.0.1 is`),
    ]);
    expect(said.trim().split('\n')).toHaveLength(1);
  });

  it('do not begin without a database, or with a mistake in the configuration', async () => {
    const [nowhere, wrong] = await Promise.all([
      start({ DATABASE_URL: database.url.replace(/[^/]+$/, 'nowhere') }),
      start({ WORKERS: 'abc', PORT: 'x' }),
    ]);
    expect([nowhere.code, nowhere.said]).toEqual([1, expect.stringContaining('database "nowhere" does not exist')]);
    expect(wrong.code).toBe(1);
    for (const name of ['WORKERS', 'PORT']) expect(wrong.said).toContain(`- ${name} must be`);
  });
});

async function newDataDir(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'asper-workers-'));
  await chmod(folder, 0o755); // as root, PostgreSQL runs as another user, who must get in
  return folder;
}

/** A signal to a process that may have ended. */
function tell(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
