/**
 * The model test (R16): random sequences of calls go to the service and to a pure model of thirty lines; every
 * answer and every balance must agree. A failure prints the seed and the shortest sequence that fails.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { TransactionBody } from '../src/transactions/transactions.dto.js';
import type { Problem, Reply } from './support/client.js';
import { startService, type Service } from './support/service.js';

const RUNS = Number(process.env.MODEL_RUNS ?? 100);
const COMMANDS = Number(process.env.MODEL_COMMANDS ?? 30);

interface ModelWallet {
  id: string;
  balance: number;
  floor: number;
  entries: number;
}
interface Model {
  wallets: ModelWallet[];
  keys: Map<string, { request: string; status: number; text: string }>;
}
type Answer = Reply<TransactionBody & Problem>;
const money = (minor: number) => (minor / 100).toFixed(2);

/** What the model says of a movement: 201 and the new state, or the code of the refusal. */
function decide(wallet: ModelWallet, signed: number, floor = wallet.floor): string {
  const after = wallet.balance + signed;
  if (after >= floor) return '201';
  if (signed > 0) return 'minimum_balance_unmet';
  return after < 0 ? 'insufficient_funds' : 'below_minimum_balance';
}

function move(wallet: ModelWallet, signed: number): void {
  wallet.balance += signed;
  wallet.entries += 1;
}

/** One call: against the service, then against the model. */
class Call implements fc.AsyncCommand<Model, Service> {
  constructor(
    private readonly kind: 'credit' | 'debit' | 'transfer',
    private readonly from: number,
    private readonly to: number,
    private readonly minor: number,
    private readonly floor: number | undefined,
    private readonly key: string | undefined,
  ) {}

  check = () => this.kind !== 'transfer' || this.from !== this.to;

  async run(model: Model, { api }: Service): Promise<void> {
    const [from, to] = [model.wallets[this.from]!, model.wallets[this.to]!];
    const key = this.key && `${model.wallets[0]!.id}-${this.key}`;
    const reply = await this.send(api, from, to, key);
    const request = `${this.kind} ${this.from} ${this.kind === 'transfer' ? this.to : ''} ${this.minor} ${this.floorSent()}`;
    const known = key === undefined ? undefined : model.keys.get(key);
    if (known) return this.expectReplay(reply, known, request);
    const expected = this.expected(from, to);
    expect([this.toString(), reply.body.code ?? String(reply.status)]).toEqual([this.toString(), expected]);
    if (expected === '201') this.apply(from, to);
    if (key !== undefined)
      model.keys.set(key, { request, status: reply.status, text: reply.body.detail ?? reply.text });
    for (const wallet of new Set([from, to])) {
      const { balance, entry_count, minimum_balance } = await api.wallet(wallet.id);
      expect([balance, entry_count, minimum_balance]).toEqual([
        money(wallet.balance),
        wallet.entries,
        money(wallet.floor),
      ]);
    }
  }

  toString = () =>
    `${this.kind}(${this.from}, ${this.to}, ${money(this.minor)}, floor ${this.floorSent()}, key ${this.key})`;

  private floorSent = () => (this.kind === 'debit' ? this.floor : undefined);

  private send(api: Service['api'], from: ModelWallet, to: ModelWallet, key?: string): Promise<Answer> {
    if (this.kind === 'credit') return api.credit(from.id, money(this.minor), {}, key);
    if (this.kind === 'transfer') return api.transfer(from.id, to.id, money(this.minor), {}, key);
    const extra = this.floor === undefined ? {} : { minimum_balance: money(this.floor) };
    return api.debit(from.id, money(this.minor), extra, key);
  }

  private expected(from: ModelWallet, to: ModelWallet): string {
    if (this.kind === 'credit') return decide(from, this.minor);
    const paying = decide(from, -this.minor, this.floorSent());
    if (this.kind === 'debit') return paying;
    const reasons = [paying, decide(to, this.minor)].filter((reason) => reason !== '201');
    // Where both wallets have a reason, the first of the error table is told.
    return reasons.includes('minimum_balance_unmet') ? 'minimum_balance_unmet' : (reasons[0] ?? '201');
  }

  private apply(from: ModelWallet, to: ModelWallet): void {
    move(from, this.kind === 'credit' ? this.minor : -this.minor);
    if (this.kind === 'transfer') move(to, this.minor);
    if (this.floorSent() !== undefined) from.floor = Math.min(from.floor, this.floorSent()!);
  }

  private expectReplay(reply: Answer, known: { request: string; status: number; text: string }, request: string): void {
    if (known.request !== request) return expect(reply.body.code).toBe('idempotency_key_reused');
    expect([reply.status, reply.body.detail ?? reply.text]).toEqual([known.status, known.text]);
    expect(reply.headers.get('idempotency-replayed')).toBe('true');
  }
}

describe('the model', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterAll(() => service.stop());

  it(`agrees with the service over ${RUNS} runs of ${COMMANDS} calls`, async () => {
    const wallet = fc.integer({ min: 0, max: 2 });
    const minor = fc.oneof(fc.integer({ min: 1, max: 30_000 }), fc.constantFrom(1, 100, 5_000, 10_000));
    const floor = fc.option(fc.integer({ min: -2_000, max: 8_000 }), { nil: undefined, freq: 4 });
    const key = fc.option(fc.constantFrom('k1', 'k2', 'k3', 'k4'), { nil: undefined, freq: 3 });
    const kind = fc.constantFrom('credit' as const, 'credit' as const, 'debit' as const, 'transfer' as const);
    const call = fc.tuple(kind, wallet, wallet, minor, floor, key).map((args) => new Call(...args));
    let calls = 0;
    const property = fc.asyncProperty(fc.commands([call], { maxCommands: COMMANDS, size: 'max' }), async (commands) => {
      const floors = [0, 5_000, -2_000];
      const opened = await Promise.all(
        floors.map((f) => service.api.newWallet(undefined, { minimum_balance: money(f) })),
      );
      const model: Model = {
        wallets: opened.map(({ id }, i) => ({ id, balance: 0, floor: floors[i]!, entries: 0 })),
        keys: new Map(),
      };
      await fc.asyncModelRun(() => ({ model, real: service }), commands);
      calls += [...commands].length;
    });
    const seed = Number(process.env.MODEL_SEED ?? Date.now());
    console.log(`model test: seed ${seed} (repeat with MODEL_SEED=${seed})`);
    await fc.assert(property, { numRuns: RUNS, seed });
    console.log(`model test: ${RUNS} runs, ${calls} calls, 0 differences`);
    expect(await service.database.problems()).toEqual([]);
  }, 300_000);
});
