/** Which deliveries may be sent now. Pure. */

/** A delivery that waits. */
export interface Waiting {
  id: string;
  subjectIds: readonly string[];
  /** By the clock that `now` is of, in milliseconds. */
  nextAttemptAt: number;
}

/**
 * Goes through deliveries in their order. One waits for every earlier one that concerns a wallet of its own, so that each
 * wallet's events arrive in order; one that fails holds up its wallets and no other.
 */
export class DeliveryOrder<Delivery extends Waiting> {
  private readonly blocked = new Set<string>();
  /** When the first of those that wait for nothing but their time may be sent. */
  dueAt = Infinity;

  constructor(private readonly underWay: ReadonlySet<string>) {}

  /** How many wallets wait. */
  get size(): number {
    return this.blocked.size;
  }

  /** @returns those of the next deliveries, in order, that may be sent now; at most so many. */
  next(deliveries: Iterable<Delivery>, most: number, now: number): Delivery[] {
    const free: Delivery[] = [];
    for (const delivery of deliveries) {
      if (free.length >= most) break;
      const { id, subjectIds, nextAttemptAt } = delivery;
      const isFree = !subjectIds.some((subject) => this.blocked.has(subject));
      if (isFree && !this.underWay.has(id)) {
        if (nextAttemptAt <= now) free.push(delivery);
        else this.dueAt = Math.min(this.dueAt, nextAttemptAt);
      }
      for (const subject of subjectIds) this.blocked.add(subject);
    }
    return free;
  }
}
