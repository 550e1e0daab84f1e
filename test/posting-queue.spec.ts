/** The two lanes of the queue, driven as the engine drives them, against all orders in which things can happen. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Instruction } from '../src/transactions/posting.engine.js';
import { PostingQueue, withoutPassedOver, type Lane, type Waiting } from '../src/transactions/posting.queue.js';

const EXTERNAL = '00000000-0000-7abc-8def-000000000001';
const WALLETS = ['a', 'b', 'c', 'd', 'e'];

/** An instruction of movements, each between two of these wallets. */
function waiting(id: string, walletIds: string[]): Waiting {
  const postings = walletIds.map((walletId, i) => ({
    ...{ kind: 'movement' as const, type: 'journal' as const, id: `${id}.${i}`, actor: '', currency: 'INR' },
    amountMinor: 1n,
    legs: [
      { walletId, amountMinor: -1n },
      { walletId: walletIds[i + 1] ?? EXTERNAL, amountMinor: 1n },
    ],
  }));
  const nobody = () => undefined;
  return { instruction: { id, scope: '', postings }, resolve: nobody, reject: nobody, since: 0, passedOver: 0 };
}

const LIMITS = { lengthMax: 1_000_000, waitMsMax: 60_000 };
const idsOf = (group: Waiting[]) => group.map(({ instruction }) => instruction.id);

/** What has arrived, in order, and what has become of it. */
interface Model {
  arrived: Array<{ id: string; walletIds: string[]; state: 'waiting' | Lane | 'done' }>;
}

/** The queue, and the group that each lane has under way. */
class Real {
  readonly queue = new PostingQueue(LIMITS);
  readonly underWay: Partial<Record<Lane, Waiting[]>> = {};

  blockedWallets(): Map<string, number> {
    return (this.queue as unknown as { blocked: Map<string, number> }).blocked;
  }
}

function assertLengths(model: Model, { queue }: Real): void {
  const waits = model.arrived.filter(({ state }) => state === 'waiting');
  expect(queue.length).toBe(waits.reduce((sum, { walletIds }) => sum + walletIds.length, 0));
  expect(queue.isEmpty('passing') && queue.isEmpty('blocking')).toBe(waits.length === 0);
}

/** Nobody is done while somebody who came before and shares a wallet is not. */
function finish(model: Model, id: string): void {
  const place = model.arrived.findIndex((one) => one.id === id);
  const one = model.arrived[place]!;
  const overtaken = model.arrived
    .slice(0, place)
    .filter(({ state, walletIds }) => state !== 'done' && walletIds.some((other) => one.walletIds.includes(other)));
  expect(overtaken).toEqual([]);
  one.state = 'done';
}

type Command = fc.Command<Model, Real>;

class Arrive implements Command {
  constructor(private readonly walletIds: string[]) {}
  check = () => true;
  run(model: Model, real: Real): void {
    const id = `${model.arrived.length}`;
    model.arrived.push({ id, walletIds: this.walletIds, state: 'waiting' });
    real.queue.add(waiting(id, this.walletIds));
    assertLengths(model, real);
  }
  toString = () => `Arrive(${this.walletIds.join()})`;
}

class Take implements Command {
  constructor(
    private readonly lane: Lane,
    private readonly sizeMax: number,
  ) {}
  check = (model: Readonly<Model>) => model.arrived.every(({ state }) => state !== this.lane);
  run(model: Model, real: Real): void {
    const wasEmpty = real.queue.isEmpty(this.lane);
    const group = real.queue.take(this.lane, this.sizeMax);
    // Otherwise the engine would go round for ever.
    expect(group.length > 0 || !real.queue.isEmpty('blocking') || wasEmpty).toBe(true);
    const size = group.reduce((sum, { instruction }) => sum + instruction.postings.length, 0);
    expect(group.length <= 1 || size <= this.sizeMax).toBe(true);
    const taken = group.map(({ instruction }) => model.arrived[Number(instruction.id)]!);
    expect(taken.filter(({ state }) => state !== 'waiting')).toEqual([]);
    for (const one of taken) one.state = this.lane;
    real.underWay[this.lane] = group;
    assertLengths(model, real);
    const [passing, blocking] = (['passing', 'blocking'] as const).map((lane) =>
      model.arrived.filter(({ state }) => state === lane).flatMap(({ walletIds }) => walletIds),
    );
    expect(passing!.filter((id) => blocking!.includes(id))).toEqual([]);
  }
  toString = () => `Take(${this.lane}, ${this.sizeMax})`;
}

/** A group of the passing lane is committed, but for what names a wallet that others have. */
class Pass implements Command {
  constructor(private readonly free: string[]) {}
  check = (model: Readonly<Model>) => model.arrived.some(({ state }) => state === 'passing');
  run(model: Model, real: Real): void {
    const group = real.underWay.passing!;
    const ready = withoutPassedOver(
      group.map(({ instruction }) => instruction),
      new Set(this.free),
    );
    for (const { id } of ready) finish(model, id);
    const passedOver = group.filter(({ instruction }) => !ready.includes(instruction));
    for (const id of idsOf(passedOver)) model.arrived[Number(id)]!.state = 'waiting';
    real.queue.putBack(passedOver);
    assertLengths(model, real);
  }
  toString = () => `Pass(${this.free.join()})`;
}

/** A group of the blocking lane is done, however it ended. */
class Unblock implements Command {
  check = (model: Readonly<Model>) => model.arrived.some(({ state }) => state === 'blocking');
  run(model: Model, real: Real): void {
    for (const id of idsOf(real.underWay.blocking!)) finish(model, id);
    real.queue.unblock(real.underWay.blocking!);
    assertLengths(model, real);
  }
  toString = () => 'Unblock';
}

const anyWallets = fc.uniqueArray(fc.constantFrom(...WALLETS), { minLength: 1, maxLength: 3 });
const anyCommand = [
  anyWallets.map((walletIds) => new Arrive(walletIds)),
  fc
    .record({ lane: fc.constantFrom<Lane>('passing', 'blocking'), size: fc.integer({ min: 1, max: 6 }) })
    .map(({ lane, size }) => new Take(lane, size)),
  fc.subarray(WALLETS).map((free) => new Pass(free)),
  fc.constant(new Unblock()),
];

describe('the queue of postings', () => {
  it('loses nothing, does nothing twice, and nobody overtakes on a wallet, whatever is locked when', () => {
    const property = fc.property(fc.commands(anyCommand, { maxCommands: 40, size: 'max' }), (commands) => {
      const model: Model = { arrived: [] };
      const real = new Real();
      fc.modelRun(() => ({ model, real }), commands);
      // Then every lock is gone, and whatever is left comes through.
      const rest = [new Pass(WALLETS), new Unblock(), new Take('passing', 6), new Take('blocking', 6)];
      for (let round = 0; model.arrived.some(({ state }) => state !== 'done'); round++) {
        expect(round).toBeLessThan(200);
        for (const command of rest) if (command.check(model)) command.run(model, real);
      }
      expect(real.queue.length).toBe(0);
      expect(real.blockedWallets()).toEqual(new Map());
    });
    fc.assert(property, { numRuns: 500 });
  });

  it('passes over what comes after on its other wallets too, and lets the rest through', () => {
    const group = [['a', 'b'], ['b', 'c'], ['c'], ['d'], ['a']].map((walletIds, i) => waiting(`${i}`, walletIds));
    const instructions: Instruction[] = group.map(({ instruction }) => instruction);
    const ready = withoutPassedOver(instructions, new Set(['b', 'c', 'd']));
    expect(ready.map(({ id }) => id)).toEqual(['3']);
  });

  it('has what was passed over wait the second time, with what comes after it on its wallets, and no others', () => {
    const queue = new PostingQueue(LIMITS);
    for (const [i, walletIds] of [['a', 'b'], ['b'], ['c'], [EXTERNAL]].entries())
      queue.add(waiting(`${i}`, walletIds));
    for (const left of [['2', '3'], []]) {
      const group = queue.take('passing', 100);
      const passedOver = group.slice(0, 2);
      expect(idsOf(group.slice(2))).toEqual(left);
      queue.putBack(passedOver);
    }
    queue.add(waiting('4', ['b']));
    queue.add(waiting('5', ['c']));
    expect(idsOf(queue.take('passing', 100))).toEqual(['5']);
    const blocking = queue.take('blocking', 100);
    expect(idsOf(blocking)).toEqual(['0', '1', '4']);
    queue.unblock(blocking);
    queue.add(waiting('6', ['a']));
    expect(idsOf(queue.take('passing', 100))).toEqual(['6']);
  });

  it('moves nothing to the other lane before what came earlier on its other wallets', () => {
    const queue = new PostingQueue(LIMITS);
    queue.add(waiting('0', ['a']));
    for (let time = 1; time <= 2; time++) queue.putBack(queue.take('passing', 100));
    for (const [i, walletIds] of [['b'], ['a', 'b'], ['c']].entries()) queue.add(waiting(`${i + 1}`, walletIds));
    expect(idsOf(queue.take('passing', 100))).toEqual(['1']);
    expect(idsOf(queue.take('blocking', 100))).toEqual(['0']);
    expect(idsOf(queue.take('passing', 100))).toEqual(['3']);
    expect(idsOf(queue.take('blocking', 100))).toEqual(['2']);
  });
});
