/** The calls of the model test: each goes to the service and to the model, and both must agree. */
import { expect } from '@jest/globals';
import fc from 'fast-check';
import type { Reply } from '../support/client.js';
import type { Service } from '../support/service.js';
import {
  available,
  capture,
  changeHold,
  move,
  reserve,
  rest,
  reverse,
  voidHold,
  type Model,
  type ModelTransaction,
  type ModelWallet,
} from './model.js';

type Answer = Reply<{ id?: string; code?: string; detail?: string }>;
type Api = Service['api'];
export const money = (minor: number) => (minor / 100).toFixed(2);
const any = <T>(list: T[], n: number): T | undefined => list[n % Math.max(1, list.length)];

/** What a call does to the service, and to the model. */
interface Plan {
  /** What makes it the same request. */
  request: string;
  send(api: Api, key?: string): Promise<Reply<never>>;
  /** @param reply of the service, for the ids that it chose. */
  apply(reply: Answer): string;
}

/** One call of the sequence. `plan` looks at the model as it is then; nothing to do, nothing planned. */
export class Call implements fc.AsyncCommand<Model, Service> {
  constructor(
    private readonly name: string,
    private readonly args: readonly unknown[],
    private readonly plan: (model: Model) => Plan | undefined,
    private readonly key?: string,
  ) {}

  check = (model: Readonly<Model>) => this.plan(model) !== undefined;
  toString = () => `${this.name}(${this.args.join(', ')})${this.key ? ` key ${this.key}` : ''}`;

  async run(model: Model, { api }: Service): Promise<void> {
    const plan = this.plan(model)!;
    const { request } = plan;
    const key = this.key && `${model.wallets[0]!.id}-${this.key}`;
    const reply = (await plan.send(api, key)) as Answer;
    const text = reply.body.detail ?? reply.text;
    const known = key === undefined ? undefined : model.keys.get(key);
    if (known && known.request !== request) expect(reply.body.code).toBe('idempotency_key_reused');
    else if (known) {
      expect([reply.status, text]).toEqual([known.status, known.text]);
      expect(reply.headers.get('idempotency-replayed')).toBe('true');
    } else {
      const expected = plan.apply(reply);
      expect([this.toString(), reply.body.code ?? String(reply.status)]).toEqual([this.toString(), expected]);
      if (key !== undefined) model.keys.set(key, { request, status: reply.status, text });
    }
    await compare(model, api);
  }
}

async function compare(model: Model, api: Api): Promise<void> {
  for (const wallet of model.wallets) {
    const {
      balance,
      held,
      available: left,
      shortfall,
      entry_count,
      minimum_balance,
      status,
    } = await api.wallet(wallet.id);
    expect({ balance, held, left, shortfall, entry_count, minimum_balance, status }).toEqual({
      balance: money(wallet.balance),
      held: money(wallet.held),
      left: money(available(wallet)),
      shortfall: money(wallet.shortfall),
      entry_count: wallet.entries,
      minimum_balance: money(wallet.floor),
      status: wallet.status,
    });
  }
}

function remember(model: Model, reply: Answer, type: string, legs: Array<[ModelWallet | undefined, number]>): void {
  if (reply.status !== 201 || !reply.body.id) return;
  const transaction: ModelTransaction = { id: reply.body.id, type, legs: [] };
  transaction.legs = legs.map(([wallet, amount]) => ({ wallet, amount, reversed: 0 }));
  model.transactions.push(transaction);
}

const wallet = fc.integer({ min: 0, max: 2 });
const minor = fc.oneof(fc.integer({ min: 1, max: 30_000 }), fc.constantFrom(1, 100, 5_000, 10_000));
const floor = fc.option(fc.integer({ min: -2_000, max: 8_000 }), { nil: undefined, freq: 4 });
const reason = fc.option(fc.constant('a test'), { nil: undefined, freq: 4 });
const key = fc.option(fc.constantFrom('k1', 'k2', 'k3', 'k4'), { nil: undefined, freq: 3 });
const pick = fc.nat(50);

const credits = fc.tuple(wallet, minor, key).map(
  ([w, amount, k]) =>
    new Call('credit', [w, money(amount)], (model) => ({
      request: `credit ${w} ${amount}`,
      send: (api, sent) => api.credit(model.wallets[w]!.id, money(amount), {}, sent) as never,
      apply: (reply) => {
        const to = model.wallets[w]!;
        const result = move([[to, amount]]);
        remember(model, reply, 'credit', [[undefined, -amount], [to, amount]]); // prettier-ignore
        return result;
      },
    }), k), // prettier-ignore
);

const debits = fc.tuple(wallet, minor, floor, reason, key).map(
  ([w, amount, asked, why, k]) =>
    new Call('debit', [w, money(amount), asked, why], (model) => ({
      request: `debit ${w} ${amount} ${asked} ${asked === undefined || why}`,
      send: (api, sent) => {
        const extra = asked === undefined ? {} : { minimum_balance: money(asked), reason: why };
        return api.debit(model.wallets[w]!.id, money(amount), extra, sent) as never;
      },
      apply: (reply) => {
        const from = model.wallets[w]!;
        if (asked !== undefined && asked < from.floor && why === undefined) return 'minimum_balance_not_lowered';
        const result = move([[from, -amount]], { floor: asked });
        remember(model, reply, 'debit', [[from, -amount], [undefined, amount]]); // prettier-ignore
        return result;
      },
    }), k), // prettier-ignore
);

const transfers = fc.tuple(wallet, fc.integer({ min: 1, max: 2 }), minor, key).map(
  ([w, step, amount, k]) =>
    new Call('transfer', [w, (w + step) % 3, money(amount)], (model) => {
      const [from, to] = [model.wallets[w]!, model.wallets[(w + step) % 3]!];
      return {
        request: `transfer ${w} ${step} ${amount}`,
        send: (api, sent) => api.transfer(from.id, to.id, money(amount), {}, sent) as never,
        apply: (reply) => {
          const result = move([[from, -amount], [to, amount]]); // prettier-ignore
          remember(model, reply, 'transfer', [[from, -amount], [to, amount]]); // prettier-ignore
          return result;
        },
      };
    }, k), // prettier-ignore
);

const splits = fc.tuple(wallet, minor, minor, key).map(
  ([w, first, second, k]) =>
    new Call('split', [w, money(first), money(second)], (model) => {
      const [from, a, b] = [0, 1, 2].map((i) => model.wallets[(w + i) % 3]!);
      const legs: Array<[ModelWallet, number]> = [[from!, -first - second], [a!, first], [b!, second]]; // prettier-ignore
      return {
        request: `split ${w} ${first} ${second}`,
        send: (api, sent) =>
          api.journal(
            legs.map(([{ id }, amount]) => [id, money(amount)]),
            {},
            sent,
          ) as never,
        apply: (reply) => {
          const result = move(legs);
          remember(model, reply, 'journal', legs);
          return result;
        },
      };
    }, k), // prettier-ignore
);

const holds = fc.tuple(wallet, minor, key).map(
  ([w, amount, k]) =>
    new Call('hold', [w, money(amount)], (model) => ({
      request: `hold ${w} ${amount}`,
      send: (api, sent) => api.hold(model.wallets[w]!.id, money(amount), {}, sent) as never,
      apply: (reply) => {
        const from = model.wallets[w]!;
        const result = reserve(from, amount);
        if (result === '201') model.holds.push({ id: reply.body.id!, wallet: from, amount, captured: 0, status: 'active' });
        return result;
      },
    }), k), // prettier-ignore
);

const captures = fc
  .tuple(pick, fc.option(minor, { nil: undefined }), fc.boolean(), fc.option(wallet, { nil: undefined }))
  .map(
    ([n, asked, isFinal, w]) =>
    new Call('capture', [n, asked, isFinal, w], (model) => {
      const hold = any(model.holds, n);
      const to = w === undefined ? undefined : model.wallets[w];
      if (!hold || to === hold.wallet || (asked === undefined && hold.status !== 'active')) return undefined;
      const amount = asked ?? rest(hold);
      const extra = { ...(asked === undefined ? {} : { amount: money(asked) }), ...(to ? { to_wallet_id: to.id } : {}) };
      return {
        request: `capture ${n} ${asked} ${isFinal} ${w}`,
        send: (api, sent) => api.capture(hold.id, { ...extra, final: isFinal }, sent) as never,
        apply: (reply) => {
          const result = capture(hold, amount, to, isFinal);
          remember(model, reply, 'capture', [[hold.wallet, -amount], [to, amount]]); // prettier-ignore
          return result;
        },
      };
    }), // prettier-ignore
  );

const holdChanges = fc.tuple(pick, minor).map(
  ([n, amount]) =>
    new Call('changeHold', [n, money(amount)], (model) => {
      const hold = any(model.holds, n);
      if (!hold) return undefined;
      return {
        request: `change ${n} ${amount}`,
        send: (api) => api.changeHold(hold.id, { amount: money(amount) }) as never,
        apply: () => changeHold(hold, amount),
      };
    }), // prettier-ignore
);

const voids = pick.map(
  (n) =>
    new Call('void', [n], (model) => {
      const hold = any(model.holds, n);
      if (!hold) return undefined;
      return {
        request: `void ${n}`,
        send: (api, sent) => api.void(hold.id, sent) as never,
        apply: () => voidHold(hold),
      };
    }), // prettier-ignore
);

const reversals = fc.tuple(pick, fc.option(minor, { nil: undefined }), fc.boolean(), key).map(
  ([n, part, allowNegative, k]) =>
    new Call('reverse', [n, part, allowNegative], (model) => {
      const transaction = any(model.transactions, n);
      if (!transaction) return undefined;
      const extra: Record<string, unknown> = { on_shortfall: allowNegative ? 'allow_negative' : 'refuse' };
      if (part !== undefined && transaction.legs.length === 2) extra.amount = money(part);
      return {
        request: `reverse ${transaction.id} ${JSON.stringify(extra)}`,
        send: (api, sent) => api.reverse(transaction.id, extra, sent) as never,
        apply: (reply) => {
          const result = reverse(transaction, part, allowNegative);
          remember(model, reply, 'reversal', []);
          return result;
        },
      };
    }, k), // prettier-ignore
);

const freezes = fc.tuple(wallet, fc.constantFrom('debits' as const, 'all' as const, undefined)).map(
  ([w, mode]) =>
    new Call(mode ? 'freeze' : 'unfreeze', [w, mode], (model) => ({
      request: `freeze ${w} ${mode}`,
      send: (api, sent) =>
        api.setStatus(model.wallets[w]!.id, mode ? 'freeze' : 'unfreeze', mode ? { mode } : {}, sent) as never,
      apply: () => {
        const of = model.wallets[w]!;
        if (!mode && of.status !== 'frozen') return 'wallet_not_frozen';
        Object.assign(of, { status: mode ? 'frozen' : 'active', freezeMode: mode ?? null });
        return '201';
      },
    })), // prettier-ignore
);

const limits = fc.tuple(wallet, fc.option(minor, { nil: undefined })).map(
  ([w, max]) =>
    new Call('limit', [w, max], (model) => {
      const of = model.wallets[w]!;
      // Limits begin with what left today already, which this model does not keep: they are set once, at the start.
      if (of.entries > 0 || of.dailyMax !== undefined || max === undefined) return undefined;
      return {
        request: `limit ${w} ${max}`,
        send: (api) => api.call('PUT', `/v1/wallets/${of.id}/limits`, { daily_total: money(max * 5), reason: 'a test' }),
        apply: () => {
          of.dailyMax = max * 5;
          return '200';
        },
      };
    }), // prettier-ignore
);

const asking = fc.tuple(wallet, minor).map(
  ([w, amount]) =>
    new Call('ask', [w, money(amount)], (model) => ({
      request: `ask ${w} ${amount}`,
      send: (api) => api.post(`/v1/wallets/${model.wallets[w]!.id}/debits?dry_run=true`, { amount: money(amount) }),
      apply: () => {
        const copy = { ...model.wallets[w]! };
        return move([[copy, -amount]]) === '201' ? '200' : move([[{ ...model.wallets[w]! }, -amount]]);
      },
    })), // prettier-ignore
);

/** Calls in about the mix of a product: mostly money, sometimes an operator. */
export const anyCall: fc.Arbitrary<fc.AsyncCommand<Model, Service>> = fc.oneof(
  { weight: 6, arbitrary: credits },
  { weight: 4, arbitrary: debits },
  { weight: 4, arbitrary: transfers },
  { weight: 2, arbitrary: splits },
  { weight: 4, arbitrary: holds },
  { weight: 4, arbitrary: captures },
  { weight: 2, arbitrary: holdChanges },
  { weight: 2, arbitrary: voids },
  { weight: 4, arbitrary: reversals },
  { weight: 1, arbitrary: freezes },
  { weight: 1, arbitrary: limits },
  { weight: 1, arbitrary: asking },
);
