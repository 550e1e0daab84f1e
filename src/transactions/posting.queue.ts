/**
 * What waits to be committed, in two lanes. Whoever arrives goes into the passing lane, whose groups pass over a wallet
 * that another transaction has locked. What was passed over twice waits for its wallets in the blocking lane, and so does
 * whatever names one of them after it: nobody overtakes on a customer's wallet, and nobody queues behind a wallet of
 * others. Both lanes may be at work at once, so what one of them has taken shares no customer's wallet with the other.
 */
import { Problem } from '../errors.js';
import { isExternalWalletId } from '../wallets/external-wallets.js';
import { walletIdsOf } from './ledger.js';
import type { Instruction, InstructionOutcome } from './posting.engine.js';
import type { Trace } from '../tracing/spans.js';

export type Lane = 'passing' | 'blocking';
/** A group of either lane may put something into the other: whoever did begins it, as nothing else may come that does. */
export const OTHER_LANE = { passing: 'blocking', blocking: 'passing' } as const;

export interface Waiting {
  instruction: Instruction;
  resolve: (outcome: InstructionOutcome) => void;
  reject: (error: unknown) => void;
  /** When it arrived: `performance.now()`. */
  since: number;
  /** How often a group has passed over it. */
  passedOver: number;
  /** The span of the request that it came with, where that is kept. */
  trace?: Trace;
}

/** How often what waits is held against its time. */
const CHECK_EVERY_MS = 250;
/** The second time shows that it was no coincidence. */
const PASSED_OVER_MAX = 2;

export class PostingQueue {
  /** Postings in both lanes; a batch counts as many as it has, one of many legs as one for each two. */
  length = 0;
  private readonly lanes: Record<Lane, Waiting[]> = { passing: [], blocking: [] };
  /** Wallets of what is in the blocking lane or was taken from it, with how many name each. */
  private readonly blocked = new Map<string, number>();
  private timer?: NodeJS.Timeout;

  /** @param limits how many postings may wait, and how long each. */
  constructor(private readonly limits: { lengthMax: number; waitMsMax: number }) {}

  get isFull(): boolean {
    return this.length >= this.limits.lengthMax;
  }

  /** @throws {Problem} `overloaded` when it is full */
  add(waiting: Waiting): void {
    if (this.isFull) throw overloaded('The queue of postings is full.');
    this.lanes.passing.push(waiting);
    this.length += sizeOf(waiting);
    this.watch();
  }

  isEmpty(lane: Lane): boolean {
    return this.lanes[lane].length === 0;
  }

  /** As many instructions as have `sizeMax` postings in all; a larger batch is a group of its own. */
  take(lane: Lane, sizeMax: number): Waiting[] {
    const endMax = lane === 'passing' && this.blocked.size > 0 ? this.moveBlocked() : this.lanes[lane].length;
    const queue = this.lanes[lane];
    let size = 0;
    let end = 0;
    while (end < endMax) {
      size += sizeOf(queue[end]!);
      if (end > 0 && size > sizeMax) break;
      end += 1;
    }
    const group = queue.splice(0, end);
    for (const waiting of group) this.length -= sizeOf(waiting);
    return group;
  }

  /** Takes back what a group has passed over, before what came later. */
  putBack(group: Waiting[]): void {
    const again: Waiting[] = [];
    for (const waiting of group) {
      this.length += sizeOf(waiting);
      waiting.passedOver += 1;
      if (waiting.passedOver < PASSED_OVER_MAX) again.push(waiting);
      else this.block(waiting);
    }
    this.lanes.passing.unshift(...again);
    this.watch();
  }

  private watch(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.refuseLate(performance.now() - this.limits.waitMsMax);
      if (this.length > 0) this.watch();
    }, CHECK_EVERY_MS).unref();
  }

  /** Behind a group that the database keeps for long, what waits is told so in time. Nothing of it was begun. */
  refuseLate(before: number): void {
    for (const lane of ['passing', 'blocking'] as const) {
      const late = this.lanes[lane].filter(({ since }) => since < before);
      if (late.length === 0) continue;
      this.lanes[lane] = this.lanes[lane].filter(({ since }) => since >= before);
      if (lane === 'blocking') this.unblock(late);
      for (const waiting of late) {
        this.length -= sizeOf(waiting);
        waiting.reject(overloaded('The posting waited too long, and was not begun.'));
      }
    }
  }

  /** What was taken from the blocking lane is done. */
  unblock(group: Waiting[]): void {
    for (const id of group.flatMap(({ instruction }) => customerWalletIdsOf(instruction))) {
      const others = this.blocked.get(id)! - 1;
      if (others === 0) this.blocked.delete(id);
      else this.blocked.set(id, others);
    }
  }

  /**
   * Moves what names a blocked wallet to the other lane, up to the first that would overtake there what stays here before
   * it: that one is moved when those are done.
   * @returns how many there are before it.
   */
  private moveBlocked(): number {
    const queue = this.lanes.passing;
    const staying: Waiting[] = [];
    const ahead = new Set<string>();
    let next = 0;
    for (; next < queue.length; next++) {
      const ids = customerWalletIdsOf(queue[next]!.instruction);
      if (!ids.some((id) => this.blocked.has(id))) {
        staying.push(queue[next]!);
        for (const id of ids) ahead.add(id);
      } else if (ids.some((id) => ahead.has(id))) break;
      else this.block(queue[next]!);
    }
    this.lanes.passing = [...staying, ...queue.slice(next)];
    return staying.length;
  }

  private block(waiting: Waiting): void {
    for (const id of customerWalletIdsOf(waiting.instruction)) this.blocked.set(id, (this.blocked.get(id) ?? 0) + 1);
    this.lanes.blocking.push(waiting);
  }
}

function overloaded(detail: string): Problem {
  return new Problem('overloaded', detail, { retryAfterSeconds: 1 });
}

/**
 * How much work it is, in postings of two legs: a group of 2,048 journals of 500 legs would keep the process and the database for
 * minutes. Holds and states count as one.
 */
export function sizeOf({ instruction }: Waiting): number {
  let size = 0;
  for (const posting of instruction.postings) {
    const legs =
      posting.kind === 'movement' ? posting.legs : posting.kind === 'reversal' ? posting.original.entries : [];
    size += Math.max(1, Math.ceil(legs.length / 2));
  }
  return size;
}

/**
 * Which of a group can be decided, where not all of its wallets could be locked: what names one that could not is passed
 * over, and so is what comes after it and shares another wallet with it.
 */
export function withoutPassedOver(group: Instruction[], locked: { has(walletId: string): boolean }): Instruction[] {
  const passedOver = new Set<string>();
  return group.filter((instruction) => {
    const ids = customerWalletIdsOf(instruction);
    if (ids.every((id) => locked.has(id) && !passedOver.has(id))) return true;
    for (const id of ids) passedOver.add(id);
    return false;
  });
}

function customerWalletIdsOf({ postings }: Instruction): string[] {
  return postings
    .flatMap((posting) => (posting.kind === 'refused' ? [] : walletIdsOf(posting)))
    .filter((id) => !isExternalWalletId(id));
}
