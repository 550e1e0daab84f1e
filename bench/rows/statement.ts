/** Memory while a long statement streams out. */
import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from '../bench.js';
import { fillWallet } from '../many-entries.js';
import { MemoryWatch, residentMB } from '../memory.js';
import type { Served } from '../processes.js';
import type { Row, Sample } from '../row.js';
import { connectTo } from '../server.js';
import { walletIdOf } from '../wallet-ids.js';
import { CURRENCY } from '../wallets.js';

const WALLET_ID = walletIdOf(0);
const SETTLE_MS = 1_000;

/**
 * A process of its own, which has written a statement without entries, so that the route's code is no part of the
 * figure. The database is its own as well: its wallet has a long history and no laws behind it.
 */
class LongStatement implements Row {
  readonly name = 'P10';
  readonly partOf = 'P10';
  /** Its spread is small (47 to 50 MB), its time long. */
  readonly roundsMax = 1;
  readonly goals: Row['goals'] = [
    { figure: 'addedMB', most: 50 },
    { figure: 'addedAgainMB', most: 50 },
  ];
  private entries = 0;
  private databaseUrl!: string;

  get what(): string {
    return `CSV statement of ${this.entries.toLocaleString('en-US')} entries`;
  }

  async prepare(bench: Bench): Promise<void> {
    this.entries = bench.options.quick ? 100_000 : 1_000_000;
    this.databaseUrl = await bench.migrated('statement');
    const client = await connectTo(this.databaseUrl);
    await client.query(INSERT_WALLET, [WALLET_ID, CURRENCY]);
    await fillWallet(client, WALLET_ID, this.entries);
    // Else autovacuum does it in the middle of another row.
    await client.query('VACUUM (ANALYZE)');
    await client.end();
  }

  async measure(bench: Bench): Promise<Sample> {
    const service = await bench.serveIdle(this.databaseUrl);
    await linesOf(service.url, bench.options.token, '?end_date=2000-01-01');
    const addedMB = await this.added(service, bench.options.token);
    const addedAgainMB = await this.added(service, bench.options.token);
    await service.stop();
    return { addedMB, addedAgainMB };
  }

  /** The first one finds a nursery that the new process has not used yet; what the statement itself takes is what a second one adds. */
  private async added({ pid, url }: Served, token?: string): Promise<number | undefined> {
    await delay(SETTLE_MS);
    const before = await residentMB(pid);
    const memory = new MemoryWatch(pid, 20);
    const lines = await linesOf(url, token);
    const most = await memory.end();
    // A header, `opening` and `closing`.
    if (lines !== this.entries + 3) throw new Error(`a statement of ${lines} lines instead of ${this.entries + 3}`);
    return before === undefined || most === undefined ? undefined : most - before;
  }
}

export const P10 = new LongStatement();

/** Reads the statement as fast as it comes. @returns the number of its lines. */
async function linesOf(url: string, token?: string, query = ''): Promise<number> {
  const call = request(`${url}/v1/wallets/${WALLET_ID}/statement${query}`, {
    headers: { accept: 'text/csv', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    agent: false,
  });
  call.end();
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`a statement was answered with ${answer.statusCode}`);
  let lines = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
  }
  return lines;
}

const INSERT_WALLET = `
  INSERT INTO wallets (id, kind, currency, label, status, minimum_balance) VALUES ($1, 'customer', $2, 'long', 'active', 0)`;
