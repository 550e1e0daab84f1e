/**
 * A ledger with something of everything: money by HTTP, and what has no short way there (holds, reversals, states)
 * through a posting engine of the test's own.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import { Outbox } from '../../src/events/outbox.service.js';
import { AuditService } from '../../src/audit/audit.service.js';
import { readConfig } from '../../src/config.js';
import { IdempotencyStore } from '../../src/idempotency/idempotency.store.js';
import { HoldStore } from '../../src/transactions/hold.store.js';
import type { Posted, Posting } from '../../src/transactions/ledger.js';
import { PostingEngine } from '../../src/transactions/posting.engine.js';
import { PostingMetrics } from '../../src/transactions/posting.metrics.js';
import { PostingStore } from '../../src/transactions/posting.store.js';
import { TransactionsQueries } from '../../src/transactions/transactions.queries.js';
import { WalletStateStore } from '../../src/transactions/wallet-state.store.js';
import { Metrics } from '../../src/telemetry/metrics.js';
import { expectStatus } from '../support/client.js';
import type { Service } from '../support/service.js';

const WALLET_COUNT = 6;
/** Long enough that it is still to come when the hold is posted. */
const EXPIRES_MS = 1_500;
const HOUR_MS = 3_600_000;

type Draft = Posting extends infer P ? (P extends Posting ? Omit<P, 'id' | 'actor'> : never) : never;

export async function fillLedger(service: Service, dataSource: DataSource): Promise<void> {
  const wallets = await moveMoney(service);
  const post = poster(dataSource);
  await useHolds(service, post, wallets);
  await undo(dataSource, post, wallets);
  await changeStates(service, post, wallets);
}

async function moveMoney({ api }: Service): Promise<string[]> {
  const wallets = [];
  for (let i = 0; i < WALLET_COUNT; i++) wallets.push((await api.newWallet('1000.00')).id);
  for (let i = 0; i < 40; i++) {
    const [from, to] = [wallets[i % WALLET_COUNT]!, wallets[(i + 1 + (i % 3)) % WALLET_COUNT]!];
    const notes = {
      ...(i % 2 ? { description: `no. ${i} – “ünïcode”`, reference: `ref-${i}` } : {}),
      ...(i % 3 ? {} : { metadata: { plan: 'gold', '10': i, b: true, aa: 0.1 } }),
      ...(i % 4 ? {} : { effective_at: '2026-01-31T09:30:00.5Z' }),
    };
    expectStatus(201, await api.transfer(from, to, '3.50', notes, i % 2 ? randomUUID() : undefined));
    expectStatus(201, await api.debit(from, '1.25', notes, randomUUID()));
  }
  expectStatus(422, await api.debit(wallets[0]!, '999999.00', {}, randomUUID()));
  return wallets;
}

/** Posts one thing through an engine in this process. */
function poster(dataSource: DataSource) {
  const config = readConfig({});
  const engine = new PostingEngine(
    dataSource,
    new PostingStore(dataSource, config),
    new HoldStore(),
    new WalletStateStore(),
    new IdempotencyStore(),
    new AuditService(dataSource),
    new Outbox(),
    new PostingMetrics(new Metrics(config)),
    config,
  );
  return async (draft: Draft): Promise<Posted> => {
    const posting = { ...draft, id: uuidv7(), actor: 'operator' };
    const key = { key: randomUUID(), fingerprint: randomBytes(16).toString('hex') };
    const keep = () => ({ statusCode: 201, body: { id: posting.id } });
    const isLone = ['movement', 'reversal', 'capture'].includes(posting.kind);
    const outcome = await engine.post({
      ...{ id: posting.id, scope: 'operator', postings: [posting], ...key },
      ...(isLone ? {} : { keep }),
    });
    if (!('outcomes' in outcome) || outcome.refusal) throw new Error(`refused: ${JSON.stringify(outcome)}`);
    return outcome.outcomes[0] as Posted;
  };
}
type Post = ReturnType<typeof poster>;

async function useHolds({ database, api }: Service, post: Post, [walletId, toWalletId]: string[]): Promise<void> {
  const reserve = async (expiresInMs = HOUR_MS) => {
    const expiresAt = new Date(Date.now() + expiresInMs);
    const { holdStep } = await post({ kind: 'reserve', walletId: walletId!, amountMinor: 1_000n, expiresAt });
    return { holdId: holdStep!.hold.id, walletId: walletId! };
  };
  const open = await reserve();
  await post({ kind: 'change_hold', ...open, amountMinor: 1_500n });
  const terms = { kind: 'capture', toWalletId: toWalletId!, tolerancePercent: 0 } as const;
  await post({ ...terms, ...open, amountMinor: 400n, isFinal: false });
  await post({ ...terms, ...(await reserve()), amountMinor: 700n, isFinal: true });
  await post({ kind: 'void', ...(await reserve()) });
  await reserve(2 * HOUR_MS);
  await reserve(EXPIRES_MS);
  await new Promise((resolve) => setTimeout(resolve, EXPIRES_MS + 20));
  expectStatus(201, await api.credit(walletId!, '1.00')); // writes down what has expired
  const [{ n }] = await database.query(`SELECT count(DISTINCT status)::int AS n FROM holds`);
  if (n !== 4) throw new Error('a hold in every state was wanted');
}

async function undo(dataSource: DataSource, post: Post, wallets: string[]): Promise<void> {
  const legs = [
    { walletId: wallets[0]!, amountMinor: -1_000n },
    { walletId: wallets[1]!, amountMinor: 333n },
    { walletId: wallets[2]!, amountMinor: 667n },
  ];
  const movement = { kind: 'movement', type: 'journal', currency: 'INR', amountMinor: 1_000n, legs } as const;
  const { transaction } = await post(movement);
  const original = (await new TransactionsQueries(dataSource).find(transaction!.id))!;
  const reversal = { kind: 'reversal', original, reason: 'asked for', allowNegative: false } as const;
  await post({ ...reversal, part: { amountMinor: 250n, currency: 'INR' } });
  await post(reversal);
}

async function changeStates({ api, database }: Service, post: Post, wallets: string[]): Promise<void> {
  const dollars = (await api.newWallet('50.00', { currency: 'USD' })).id;
  const more = (await api.newWallet('50.00', { currency: 'USD' })).id;
  const legs = [
    { walletId: wallets[3]!, amountMinor: -8_000n },
    { walletId: wallets[4]!, amountMinor: 8_000n },
    { walletId: dollars, amountMinor: 100n },
    { walletId: more, amountMinor: -100n },
  ];
  await post({ kind: 'movement', type: 'journal', currency: null, amountMinor: null, legs });
  const sweepTo = { walletId: dollars, transactionId: uuidv7() };
  await post({ kind: 'status', walletId: more, status: 'closed', reason: 'moved away', sweepTo });
  await post({ kind: 'status', walletId: wallets[4]!, status: 'frozen', freezeMode: 'all', reason: 'looked into' });
  await post({ kind: 'status', walletId: wallets[4]!, status: 'active', reason: 'it was nothing' });
  await post({ kind: 'status', walletId: wallets[5]!, status: 'frozen', freezeMode: 'debits', reason: 'looked into' });
  // A wallet that has limits from its first day, with two debits that count.
  const limited = (await api.newWallet('100.00')).id;
  await database.query(`
    INSERT INTO wallet_limits (wallet_id, daily_count_max, day, month)
      VALUES ('${limited}', 10, (now() AT TIME ZONE 'UTC')::date, date_trunc('month', now() AT TIME ZONE 'UTC'));
    UPDATE wallets SET limited = true WHERE id = '${limited}'`);
  expectStatus(201, await api.debit(limited, '1.00'));
  expectStatus(201, await api.transfer(limited, wallets[0]!, '2.00'));
}
