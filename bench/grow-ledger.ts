/**
 * A ledger as it stands after years, written in minutes: the rows are made here, with their hashes, and go into tables
 * without indexes and triggers by COPY. All laws hold in the end; `asper check` passes.
 *
 * What it looks like, of each five transactions in the order of time: one opens a wallet with money from outside; one
 * is on the busiest wallet, which comes to a tenth of the entries; two are credits and debits, and one is a transfer,
 * between wallets drawn by Zipf's law with exponent 1. Twice as many happen each day in the end as on average, and
 * hardly any at night. One in a hundred counts 40 days before it was posted. Every transaction has its key.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { CHAIN_START, entryHash, transactionDigest, type Hash } from '../src/transactions/entry.hash.js';
import { externalWalletId } from '../src/wallets/external-wallets.js';
import { CopyIn } from './copy-in.js';
import { withoutIndexes } from './grow-indexes.js';
import { connectTo } from './server.js';
import { walletIdOf } from './wallet-ids.js';
import { CURRENCY } from './wallets.js';

const DAY_MS = 24 * 3_600_000;
const SPAN_MS = 2 * 365 * DAY_MS;
/** As many as a few processes use. */
const EXTERNALS = 4;
/** Minor units: 10 million INR; no measurement comes near it. */
const OPENING_AMOUNT = 1_000_000_000n;
const AMOUNT_MAX = 50_000;
const NULL = '\\N';
const BYTEA = '\\\\x';

/** How large it becomes. */
export interface Growth {
  entries: number;
  wallets: number;
}

/** 10 entries a wallet, of which the busiest has a tenth of all. */
export function growthOf(entries: number): Growth {
  const wallets = Math.ceil(entries / 10);
  return { entries: wallets * 10, wallets };
}

/** Index of the wallet with a tenth of all entries. */
export const BUSY_WALLET = 0;

/** Fills an empty, migrated database. @param say hears how far it is. */
export async function growLedger(url: string, growth: Growth, say: (line: string) => void): Promise<void> {
  const clients = await Promise.all([connectTo(url), connectTo(url), connectTo(url)]);
  const [client] = clients;
  try {
    for (const table of TABLES) await client.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
    await withoutIndexes(clients, ['transactions', 'entries', 'idempotency_keys'], say, async () => {
      const books = await copyHistory(clients, growth, say);
      say('wallets');
      await copyWallets(clients, books);
    });
    for (const table of TABLES) await client.query(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
    say('vacuum and statistics');
    await Promise.all([
      clients[0].query('VACUUM (ANALYZE) entries'),
      clients[1].query('VACUUM (ANALYZE) transactions, idempotency_keys'),
      clients[2].query('VACUUM (ANALYZE) wallets, wallet_names, users'),
    ]);
  } finally {
    await Promise.all(clients.map((each) => each.end()));
  }
}

const TABLES = ['wallets', 'transactions', 'entries'];

/** Where every wallet stands: one array a column, as a million objects would take half a gigabyte. */
class Books {
  readonly ids: string[];
  readonly openedAt: Float64Array;
  readonly seq: Uint32Array;
  readonly balance: BigInt64Array;
  readonly credited: BigInt64Array;
  private readonly hashes: Buffer;

  /** External wallets follow after the customers'. */
  constructor(readonly wallets: number) {
    const count = wallets + EXTERNALS;
    this.ids = Array.from({ length: count }, (_, i) =>
      i < wallets ? walletIdOf(i) : externalWalletId(CURRENCY, i - wallets),
    );
    this.openedAt = new Float64Array(count).fill(Infinity);
    this.seq = new Uint32Array(count);
    this.balance = new BigInt64Array(count);
    this.credited = new BigInt64Array(count);
    this.hashes = Buffer.alloc(count * 32);
  }

  hashOf(wallet: number): Hash {
    return this.seq[wallet] === 0 ? CHAIN_START : this.hashes.toString('hex', wallet * 32, wallet * 32 + 32);
  }

  /** Posts a leg. @returns its row but for times: what stands before them and after. */
  post(wallet: number, leg: number, amountMinor: bigint, id: string, digest: Hash): [string, string] {
    const walletId = this.ids[wallet]!;
    const previous = this.hashOf(wallet);
    const seq = ++this.seq[wallet]!;
    const balanceAfterMinor = (this.balance[wallet]! += amountMinor);
    if (amountMinor > 0n) this.credited[wallet]! += amountMinor;
    const hash = entryHash(previous, digest, { walletId, seq, leg, amountMinor, balanceAfterMinor });
    this.hashes.write(hash, wallet * 32, 32, 'hex');
    return [
      `${walletId}\t${seq}\t${id}\t${leg}\t${amountMinor}\t${balanceAfterMinor}\t${this.credited[wallet]!}\t`,
      `\t${BYTEA}${hash}\n`,
    ];
  }
}

async function copyHistory(clients: Client[], { entries, wallets }: Growth, say: (line: string) => void) {
  const count = entries / 2;
  const books = new Books(wallets);
  const copies = new Copies(clients);
  const timeOf = timeline(count);
  const random = seeded(1);
  for (let i = 0; i < count; i++) {
    const at = timeOf(i);
    const [type, from, to, amountMinor] = movement(i, books, random);
    books.openedAt[to] = Math.min(books.openedAt[to]!, at);
    books.openedAt[from] = Math.min(books.openedAt[from]!, at);
    copies.write(i, type, from, to, amountMinor, at, books);
    if (i % 500 === 0) await copies.flush();
    if (i % 10_000 === 0) say(`${((200 * i) / entries).toFixed(0)} % of ${entries} entries`);
  }
  await copies.end();
  return books;
}

type Movement = [type: 'credit' | 'debit' | 'transfer', from: number, to: number, amountMinor: bigint];

/** The i-th transaction. A wallet without the money is credited instead. */
function movement(i: number, books: Books, random: () => number): Movement {
  const external = books.wallets + (i % EXTERNALS);
  const opened = Math.floor(i / 5);
  if (i % 5 === 0) return ['credit', external, opened, OPENING_AMOUNT];
  const draw = () => Math.min(opened, Math.floor((opened + 1) ** random()));
  const wallet = i % 5 === 1 ? BUSY_WALLET : draw();
  const amountMinor = BigInt(1 + Math.floor(random() * AMOUNT_MAX));
  const other = i % 5 === 4 ? draw() : wallet;
  if (books.balance[wallet]! < amountMinor || random() < 0.55) return ['credit', external, wallet, amountMinor];
  return other === wallet ? ['debit', wallet, external, amountMinor] : ['transfer', wallet, other, amountMinor];
}

/** The three large tables, each arriving over a connection of its own. */
class Copies {
  private readonly transactions: CopyIn;
  private readonly entries: CopyIn;
  private readonly keys: CopyIn;

  constructor([first, second, third]: Client[]) {
    this.transactions = new CopyIn(
      first!,
      `COPY transactions (id, type, currency, amount, description, reference, metadata, actor, effective_at, created_at)
         FROM STDIN`,
    );
    this.entries = new CopyIn(
      second!,
      `COPY entries (wallet_id, seq, transaction_id, leg, amount, balance_after, credited_after, created_at,
                     effective_at, hash) FROM STDIN`,
    );
    this.keys = new CopyIn(
      third!,
      'COPY idempotency_keys (scope, key, fingerprint, status_code, transaction_id, created_at) FROM STDIN',
    );
  }

  write(i: number, type: Movement[0], from: number, to: number, amountMinor: bigint, at: number, books: Books): void {
    const id = transactionIdOf(i, at);
    const createdAt = new Date(at);
    const effectiveAt = i % 101 === 0 ? new Date(at - 40 * DAY_MS) : createdAt;
    const description = i % 2 === 0 ? `Order ${i}` : null;
    const reference = i % 2 === 0 ? `order-${i}` : null;
    const metadata = i % 50 === 3 ? { plan: i % 100 === 3 ? 'gold' : 'silver' } : null;
    const digest = transactionDigest({
      ...{ id, type, currency: CURRENCY, amountMinor, description, reference, metadata, actor: 'operator' },
      ...{ reversesId: null, holdId: null, reason: null, effectiveAt, createdAt },
    });
    const created = createdAt.toISOString();
    const effective = effectiveAt === createdAt ? created : effectiveAt.toISOString();
    const own = effectiveAt === createdAt ? NULL : effective;
    this.transactions.write(
      `${id}\t${type}\t${CURRENCY}\t${amountMinor}\t${description ?? NULL}\t${reference ?? NULL}\t${
        metadata ? JSON.stringify(metadata) : NULL
      }\toperator\t${effective}\t${created}\n`,
    );
    for (const [wallet, leg, amount] of [[from, 0, -amountMinor] as const, [to, 1, amountMinor] as const]) {
      const [start, end] = books.post(wallet, leg, amount, id, digest);
      this.entries.write(`${start}${created}\t${own}${end}`);
    }
    const fingerprint = digest.slice(0, 32);
    this.keys.write(`operator\t${randomUUID()}\t${BYTEA}${fingerprint}\t201\t${id}\t${created}\n`);
  }

  async flush(): Promise<void> {
    for (const copy of [this.transactions, this.entries, this.keys]) await copy.flush();
  }

  async end(): Promise<void> {
    for (const copy of [this.transactions, this.entries, this.keys]) await copy.end();
  }
}

/** Wallets as their histories left them, each with an owner and its name. */
async function copyWallets([first, second, third]: Client[], books: Books): Promise<void> {
  const wallets = new CopyIn(
    first!,
    `COPY wallets (id, kind, currency, label, status, balance, credited, minimum_balance, entry_count, last_hash,
                   version, created_at, updated_at) FROM STDIN`,
  );
  for (const [i, id] of books.ids.entries()) {
    const [kind, label] =
      i < books.wallets ? ['customer', `bench ${i}`] : ['external', `external:${i - books.wallets}`];
    const at = new Date(books.openedAt[i]!).toISOString();
    wallets.write(
      `${id}\t${kind}\t${CURRENCY}\t${label}\tactive\t${books.balance[i]!}\t${books.credited[i]!}\t0\t${books.seq[i]!}\t` +
        `${BYTEA}${books.hashOf(i)}\t${books.seq[i]! + 1}\t${at}\t${at}\n`,
    );
    if (i % 1_000 === 0) await wallets.flush();
  }
  await wallets.end();
  await Promise.all([
    second!.query(`INSERT INTO wallet_names SELECT '00000000-0000-0000-0000-000000000000', currency, label, id
                     FROM wallets WHERE kind = 'customer'`),
    third!.query(`INSERT INTO users (id, phone_number, status)
                  SELECT id, '+9198' || lpad(row_number() OVER ()::text, 8, '0'), 'active'
                    FROM wallets WHERE kind = 'customer'`),
  ]);
}

/** A UUID v7 of the millisecond, in order. */
function transactionIdOf(i: number, at: number): string {
  const time = at.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${(i & 0xfff).toString(16).padStart(3, '0')}-9000-${i.toString(16).padStart(12, '0')}`;
}

/** When the i-th of `count` happens, up to a minute ago: ever more of them, and nine tenths of a day's in its busy half. */
function timeline(count: number): (i: number) => number {
  const begin = Date.now() - SPAN_MS - 60_000;
  return (i) => {
    const even = SPAN_MS * Math.sqrt(i / count);
    return Math.floor(begin + even + ((0.9 * DAY_MS) / (2 * Math.PI)) * (Math.sin((2 * Math.PI * even) / DAY_MS) - 1));
  };
}

/** Numbers from 0 to 1, the same ones in each run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
