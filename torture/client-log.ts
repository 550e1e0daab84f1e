/**
 * What clients were told, held against what the database holds (R2). Each request has a key; whatever was not answered for
 * certain is asked for again under the same key, until it is. Then nothing that was acknowledged may be missing, nothing may
 * have been done twice, and nothing may be there that nobody asked for.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Reply, WalletClient } from '../test/support/client.js';
import type { TestDatabase } from '../test/support/service.js';

interface Request {
  key: string;
  send: (api: WalletClient) => Promise<Reply<{ id: string }>>;
  /** Of the transaction, once somebody was told. */
  id?: string;
}

const RESOLVE_MS_MAX = 60_000;
/** Between attempts of one client while nothing is answered. */
const PAUSE_MS = 50;

export class ClientLog {
  readonly latenciesMs: number[] = [];
  /** How often each status came; 0: no answer. */
  readonly statuses = new Map<number, number>();
  /** The longest time in which nobody was told of a success. */
  gapMs = 0;
  private lastSuccessAt = performance.now();
  private readonly requests: Request[] = [];
  private readonly odd: string[] = [];
  private isOver = false;
  private clients: Promise<void>[] = [];

  constructor(
    private readonly walletIds: string[],
    private readonly random: () => number,
    private readonly prefix: string,
  ) {}

  /** Clients that send one request after the other, to whichever service there is. */
  start(count: number, api: () => WalletClient): void {
    this.lastSuccessAt = performance.now();
    this.clients = Array.from({ length: count }, async () => {
      while (!this.isOver) {
        const request = this.next();
        this.requests.push(request);
        if (!(await this.attempt(request, api()))) await delay(PAUSE_MS);
      }
    });
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.clients);
  }

  get acknowledged(): number {
    return this.requests.filter(({ id }) => id !== undefined).length;
  }

  /** Asks for everything that nobody was told of, until it is known. @returns how many there were */
  async resolve(api: WalletClient): Promise<number> {
    const unknown = this.requests.filter(({ id }) => id === undefined);
    const end = Date.now() + RESOLVE_MS_MAX;
    for (const request of unknown) {
      while (!(await this.attempt(request, api))) {
        if (Date.now() > end) {
          this.odd.push(`${request.key} has no outcome`);
          return unknown.length;
        }
        await delay(PAUSE_MS);
      }
    }
    return unknown.length;
  }

  /** What is wrong; empty: every promise was kept. */
  async problems(database: TestDatabase): Promise<string[]> {
    const rows = await database.query(
      `SELECT k.key, k.transaction_id AS id FROM idempotency_keys k JOIN transactions t ON t.id = k.transaction_id
        WHERE k.key LIKE $1`,
      [`${this.prefix}-%`],
    );
    const [{ count }] = await database.query(`SELECT count(*)::int FROM transactions WHERE reference = $1`, [
      this.prefix,
    ]);
    const held = new Map(rows.map(({ key, id }) => [key as string, id as string]));
    const told = this.requests.filter(({ id }) => id !== undefined);
    const absent = told
      .filter(({ key, id }) => held.get(key) !== id)
      .map(({ key }) => `${key} was acknowledged and is absent`);
    const twice = count === held.size ? [] : [`${count} transactions for ${held.size} keys`];
    const unasked = held.size === told.length ? [] : [`${held.size} keys were used, ${told.length} known`];
    return [
      ...this.odd,
      ...absent.slice(0, 5),
      ...twice,
      ...unasked,
      ...(await database.problems()),
      ...(await database.check()),
    ];
  }

  private next(): Request {
    const key = `${this.prefix}-${this.requests.length}`;
    const pick = () => this.walletIds[Math.floor(this.random() * this.walletIds.length)]!;
    const kind = this.random();
    const [from, to] = [pick(), pick()];
    const extra = { reference: this.prefix };
    if (kind < 0.3 && from !== to) return { key, send: (api) => api.transfer(from, to, '0.01', extra, key) };
    if (kind < 0.5) return { key, send: (api) => api.credit(from, '0.01', extra, key) };
    return { key, send: (api) => api.debit(from, '0.01', extra, key) };
  }

  /** @returns whether the outcome is known now */
  private async attempt(request: Request, api: WalletClient): Promise<boolean> {
    const startedAt = performance.now();
    const reply = await request.send(api).catch(() => undefined);
    const now = performance.now();
    const status = reply?.status ?? 0;
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    this.latenciesMs.push(now - startedAt);
    if (status === 201) {
      if (request.id !== undefined && request.id !== reply!.body.id) this.odd.push(`${request.key} has two outcomes`);
      request.id = reply!.body.id;
      this.gapMs = Math.max(this.gapMs, now - this.lastSuccessAt);
      this.lastSuccessAt = now;
      return true;
    }
    // There is money enough, so a refusal is a false one; 409 says that the same key is under way elsewhere.
    if (status !== 0 && status !== 503 && status !== 409) this.odd.push(`${request.key}: ${status} ${reply!.text}`);
    return false;
  }
}

/** The value under which a share of them lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
