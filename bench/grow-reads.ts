/** The reads of a grown ledger over HTTP: what is asked, and how long the answers take. */
import { Agent, get } from 'node:http';
import { cpuUs, serverPids, usedBetween } from './cpu.js';
import { BUSY_WALLET } from './grow-ledger.js';
import type { Ledger } from './grow-load.js';
import { walletIdOf } from './wallet-ids.js';
import { cursorAt } from '../src/paging.js';

/** As many as one backend of a customer's has under way; with more, the queue for two cores is what is measured. */
const CONNECTIONS = 4;
export const READ_GOAL_MS = 20;

/** What the questions are about. */
export interface Grown {
  /** Entries of the busiest wallet, and transactions of all. */
  busyEntries: number;
  /** Ids of some transactions, spread over the table. */
  transactionIds: string[];
  firstAt: Date;
  lastAt: Date;
}

export interface ReadFigures {
  read: string;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** Milliseconds of processor time of each, which busy neighbours change less than the others. */
  serviceMs: number;
  postgresMs: number;
}

/** The reads by name; each makes a path of its own for every request, so that no page is asked for twice in a row. */
export function readsOf({ busyEntries, transactionIds, firstAt, lastAt }: Grown): Record<string, () => string> {
  const [first, last] = [firstAt.getTime(), lastAt.getTime()];
  const walletId = walletIdOf(BUSY_WALLET);
  const wallet = `/v1/wallets/${walletId}`;
  const instant = () => new Date(first + Math.random() * (last - first)).toISOString();
  const cursor = (list: string, position: string | number) => `cursor=${cursorAt(list, String(position))}`;
  const deepSeq = (list: string) =>
    cursor(`${list}/${walletId}`, 200 + Math.floor(Math.random() * (busyEntries - 200)));
  const deepId = () => cursor('transactions', transactionIds[Math.floor(Math.random() * transactionIds.length)]!);
  /** A range that ends before the last entry. */
  const range = (name: string, hours: number) => {
    const from = first + Math.random() * (last - first - hours * 3_600_000);
    return `${name}_from=${new Date(from).toISOString()}&${name}_before=${new Date(from + hours * 3_600_000).toISOString()}`;
  };
  const day = (at: number) => new Date(at).toISOString().slice(0, 10);
  const year = () => {
    const end = last - Math.random() * 300 * 24 * 3_600_000;
    return `start_date=${day(end - 365 * 24 * 3_600_000)}&end_date=${day(end)}`;
  };
  const all = '/v1/transactions?limit=20';
  return {
    'history, first page of 100': () => `${wallet}/entries?limit=100`,
    'history, deep page of 100': () => `${wallet}/entries?limit=100&${deepSeq('entries')}`,
    'history, debits of 30 days': () => `${wallet}/entries?direction=debit&${range('created', 720)}`,
    'history, 30 days by effective time': () => `${wallet}/entries?${range('effective', 720)}`,
    'balance now': () => `${wallet}/balance`,
    'balance at an instant, posted': () => `${wallet}/balance?at=${instant()}`,
    'balance at an instant, effective': () => `${wallet}/balance?basis=effective&at=${instant()}`,
    'summary of a year': () => `${wallet}/summary?${year()}`,
    'summary of a year by month': () => `${wallet}/summary?interval=month&${year()}`,
    'summary of 366 days by day': () => `${wallet}/summary?interval=day&${year()}`,
    'summary of 366 days by day, effective': () => `${wallet}/summary?interval=day&basis=effective&${year()}`,
    'transactions of the wallet, deep': () => `${all}&wallet_id=${walletId}&${deepSeq('transactions')}`,
    'transactions of the wallet, transfers of a day': () =>
      `${all}&wallet_id=${walletId}&type=debit&${range('created', 24)}`,
    'transactions, first page': () => all,
    'transactions, deep': () => `${all}&${deepId()}`,
    'transactions of an hour': () => `${all}&${range('created', 1)}`,
    'transactions of 90 days, debits': () => `${all}&type=debit&${range('created', 2_160)}`,
    'transactions of 7 days by effective time': () => `${all}&${range('effective', 168)}`,
    'transactions by reference': () => `${all}&reference=order-${2 * Math.floor(Math.random() * busyEntries)}`,
    'transactions by metadata': () => `${all}&metadata=${encodeURIComponent('{"plan":"gold"}')}`,
    'transactions of a type that never was': () => `${all}&type=reversal`,
  };
}

/** Asks one thing after the other on each connection until the time is over. @throws on any answer but 200 */
export async function measureRead(
  { service, client }: Ledger,
  [read, path]: [string, () => string],
  seconds: number,
): Promise<ReadFigures> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const times: number[] = [];
  const look = async () => [await cpuUs([service.pid]), await cpuUs(await serverPids(client))] as const;
  await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(service.url + path(), agent)));
  const before = await look();
  const endsAt = performance.now() + seconds * 1_000;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (performance.now() < endsAt) times.push(await ask(service.url + path(), agent));
    }),
  );
  const after = await look();
  agent.destroy();
  times.sort((a, b) => a - b);
  const quantile = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))]!;
  const usedMs = (i: 0 | 1) => usedBetween(before[i], after[i]) / 1_000 / times.length;
  return {
    read,
    perSecond: times.length / seconds,
    ...{ p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: quantile(1) },
    ...{ serviceMs: usedMs(0), postgresMs: usedMs(1) },
  };
}

/** @returns milliseconds to the last byte. */
export function ask(url: string, agent?: Agent): Promise<number> {
  const begin = performance.now();
  return new Promise((resolve, reject) => {
    get(url, { agent }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(performance.now() - begin);
        else reject(new Error(`${url} answered ${answer.statusCode}: ${Buffer.concat(chunks).toString()}`));
      });
    }).on('error', reject);
  });
}
