/**
 * Scenario R1, the bank test: many clients move money between wallets through all processes while one reader takes
 * snapshots; the total never changes, no wallet is under its floor, no sequence has a gap. And R2: what clients
 * were told is what the database holds.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expectStatus } from '../support/client.js';
import type { Service } from '../support/service.js';

export interface BankOptions {
  clients?: number;
  wallets?: number;
  /** Of each client, at least. */
  transfersEach?: number;
  /** As many are taken while the clients are at work, however long that takes. */
  snapshots?: number;
}

/** Between two transfers of a client who has done his share: the longer the ledger, the fewer snapshots it lets through. */
const PAUSE_MS = 25;
/** Between two snapshots: without a rest they take one of two cores from what they look at. */
const READ_EVERY_MS = 2;
/** Items of one batch, the most that there may be. */
const BATCH = 500;

const SNAPSHOT = `
  SELECT (SELECT sum(balance) FROM wallets WHERE kind = 'customer') AS total,
         (SELECT count(*) FROM wallets WHERE kind = 'customer' AND balance - held < minimum_balance - shortfall) AS under,
         (SELECT count(*) FROM (SELECT w.id FROM wallets w JOIN entries e ON e.wallet_id = w.id
            GROUP BY w.id HAVING count(*) <> w.entry_count OR max(e.seq) <> w.entry_count OR sum(e.amount) <> w.balance) x) AS wrong`;

/** @returns findings, one sentence each, and how much was asked and looked at. */
export async function bank(
  services: Service[],
  options: BankOptions = {},
): Promise<{ findings: string[]; transfers: number; snapshots: number }> {
  const { clients = 64, wallets: count = 8, transfersEach = 20, snapshots: snapshotsMin = 0 } = options;
  const { database } = services[0]!;
  const wallets = await openWallets(services[0]!, count, clients);
  const [{ total }] = await database.query(SNAPSHOT);
  const findings = new Set<string>();
  const told = new Map<string, boolean>();
  let snapshots = 0;
  let running = true;

  const client = async (_: unknown, c: number): Promise<void> => {
    const service = services[c % services.length]!;
    for (let i = 0; i < transfersEach || snapshots < snapshotsMin; i++) {
      if (i >= transfersEach) await delay(PAUSE_MS);
      const [from, to] = twoOf(wallets.length);
      const key = `bank-${randomUUID()}`;
      const amount = `${1 + Math.floor(Math.random() * 60)}.00`;
      const { status, body } = await service.api.transfer(
        wallets[from]!.id,
        wallets[to]!.id,
        amount,
        { reference: key },
        key,
      );
      if (status !== 201 && body.code !== 'insufficient_funds')
        findings.add(`a transfer was answered ${status} ${body.code}`);
      told.set(key, status === 201);
    }
  };
  const reader = (async () => {
    while (running) {
      const [row] = await database.query(SNAPSHOT);
      snapshots++;
      if (row.total !== total) findings.add(`a snapshot held ${row.total} instead of ${total}`);
      if (row.under !== '0') findings.add('a snapshot held a wallet under its floor');
      if (row.wrong !== '0') findings.add('a snapshot held a wallet whose history does not match');
      await delay(READ_EVERY_MS);
    }
  })();
  await Promise.all(Array.from({ length: clients }, client));
  running = false;
  await reader;

  const executed = new Map<string, number>();
  for (const { reference, n } of await database.query(
    'SELECT reference, count(*)::int AS n FROM transactions GROUP BY 1',
  )) {
    executed.set(reference, n);
  }
  for (const [key, success] of told) {
    const times = executed.get(key) ?? 0;
    if (success && times === 0) findings.add('acknowledged but absent');
    if (!success && times > 0) findings.add('refused but executed');
    if (times > 1) findings.add('executed twice');
  }
  for (const problem of await database.problems()) findings.add(problem);
  return { findings: [...findings], transfers: told.size, snapshots };
}

/** A few through the API, each with a user and a credit of its own. A thousand would be 4,000 requests: they are opened by SQL. */
async function openWallets({ api, database }: Service, count: number, atOnce: number): Promise<Array<{ id: string }>> {
  if (count <= atOnce) return Promise.all(Array.from({ length: count }, () => api.newWallet('100.00')));
  const wallets = await database.query(
    `INSERT INTO wallets (id, kind, currency, label, status, minimum_balance)
     SELECT gen_random_uuid(), 'customer', 'INR', 'bank ' || i, 'active', 0 FROM generate_series(1, $1::int) i RETURNING id`,
    [count],
  );
  const items = wallets.map(({ id }) => ({ type: 'credit', wallet_id: id, amount: '100.00' }));
  for (let i = 0; i < count; i += BATCH) {
    expectStatus(201, await api.batch(items.slice(i, i + BATCH), { atomic: true }));
  }
  return wallets;
}

function twoOf(n: number): [number, number] {
  const from = Math.floor(Math.random() * n);
  const to = Math.floor(Math.random() * (n - 1));
  return [from, to >= from ? to + 1 : to];
}
