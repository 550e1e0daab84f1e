/**
 * The first reference: one transaction after the other, straight through `pg`, on plain tables without triggers,
 * keys or double entry. Statements are prepared, which flatters the reference.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import { latenciesOf, type Latencies } from './latencies.js';
import { connectTo } from './server.js';
import { walletIdOf } from './wallet-ids.js';

export interface OneByOneResult extends Latencies {
  perSecond: number;
}

export async function prepareOneByOne(client: Client, wallets: number): Promise<void> {
  await client.query(`
    CREATE TABLE plain_wallets (id uuid PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 70);
    CREATE TABLE plain_entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, wallet_id uuid NOT NULL,
      amount bigint NOT NULL, balance_after bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`);
  const ids = Array.from({ length: wallets }, (_, i) => walletIdOf(i));
  await client.query('INSERT INTO plain_wallets SELECT unnest($1::uuid[]), 10000000000', [ids]);
  await client.query('VACUUM (ANALYZE) plain_wallets');
}

/** Debits random wallets through so many connections for so long. */
export async function oneByOne(
  url: string,
  wallets: number,
  connections: number,
  seconds: number,
): Promise<OneByOneResult> {
  const clients = await Promise.all(Array.from({ length: connections }, () => connectTo(url)));
  try {
    const latenciesMs: number[] = [];
    const endsAt = performance.now() + seconds * 1_000;
    const work = async (client: Client) => {
      for (let begin = performance.now(); begin < endsAt;) {
        await debit(client, walletIdOf(Math.floor(Math.random() * wallets)));
        const end = performance.now();
        if (end <= endsAt) latenciesMs.push(end - begin);
        begin = end;
      }
    };
    await Promise.all(clients.map(work));
    return { perSecond: latenciesMs.length / seconds, ...latenciesOf(latenciesMs) };
  } finally {
    await Promise.all(clients.map((client) => client.end()));
    await delay(50); // the backends go, too
  }
}

async function debit(client: Client, id: string): Promise<void> {
  await client.query('BEGIN');
  const { rows } = await client.query<{ balance: string }>({
    name: 'lock',
    text: 'SELECT balance FROM plain_wallets WHERE id = $1 FOR UPDATE',
    values: [id],
  });
  const balance = BigInt(rows[0]!.balance) - 100n;
  await client.query({
    name: 'update',
    text: 'UPDATE plain_wallets SET balance = $2 WHERE id = $1',
    values: [id, balance],
  });
  await client.query({
    name: 'insert',
    text: 'INSERT INTO plain_entries (wallet_id, amount, balance_after) VALUES ($1, -100, $2)',
    values: [id, balance],
  });
  await client.query('COMMIT');
}
