/**
 * What waits to be committed, in two lanes. Whoever arrives goes into the passing lane, whose groups pass over a wallet
 * that another transaction has locked. What was passed over twice waits for its wallets in the blocking lane, and so does
 * whatever names one of them after it: nobody overtakes on a wallet, and nobody queues behind a wallet of others.
 */
import { isExternalWalletId } from '../wallets/external-wallets.js';
import { walletIdsOf } from './ledger.js';
import type { Instruction, InstructionOutcome } from './posting.engine.js';

export type Lane = 'passing' | 'blocking';

export interface Waiting {
  instruction: Instruction;
  resolve: (outcome: InstructionOutcome) => void;
  reject: (error: unknown) => void;
  /** How often a group has passed over it. */
  passedOver: number;
}

/** The second time shows that it was no coincidence. */
const PASSED_OVER_MAX = 2;

export class PostingQueue {
  /** Postings in both lanes; a batch counts as many as it has. */
  length = 0;
  private readonly lanes: Record<Lane, Waiting[]> = { passing: [], blocking: [] };
  /** Wallets of what is in the blocking lane or was taken from it, with how many name each. */
  private readonly blocked = new Map<string, number>();

  add(waiting: Waiting): void {
    this.lanes.passing.push(waiting);
    this.length += sizeOf(waiting);
  }

  isEmpty(lane: Lane): boolean {
    return this.lanes[lane].length === 0;
  }

  /** As many instructions as have `sizeMax` postings in all; a larger batch is a group of its own. */
  take(lane: Lane, sizeMax: number): Waiting[] {
    if (lane === 'passing' && this.blocked.size > 0) {
      this.lanes.passing = this.lanes.passing.filter((waiting) => !this.namesBlocked(waiting) || !this.block(waiting));
    }
    const queue = this.lanes[lane];
    let size = 0;
    let end = 0;
    while (end < queue.length) {
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
  }

  /** What was taken from the blocking lane is done. */
  unblock(group: Waiting[]): void {
    for (const id of group.flatMap(customerWalletIdsOf)) {
      const others = this.blocked.get(id)! - 1;
      if (others === 0) this.blocked.delete(id);
      else this.blocked.set(id, others);
    }
  }

  private namesBlocked(waiting: Waiting): boolean {
    return customerWalletIdsOf(waiting).some((id) => this.blocked.has(id));
  }

  private block(waiting: Waiting): true {
    for (const id of customerWalletIdsOf(waiting)) this.blocked.set(id, (this.blocked.get(id) ?? 0) + 1);
    this.lanes.blocking.push(waiting);
    return true;
  }
}

function sizeOf({ instruction }: Waiting): number {
  return instruction.postings.length;
}

function customerWalletIdsOf({ instruction }: Waiting): string[] {
  return instruction.postings
    .flatMap((posting) => (posting.kind === 'refused' ? [] : walletIdsOf(posting)))
    .filter((id) => !isExternalWalletId(id));
}
