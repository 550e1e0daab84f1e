/** What a person sees of a transaction, in which others may have a part. */
import { Injectable } from '@nestjs/common';
import { Ownership } from '../auth/ownership.js';
import type { Principal } from '../caller.js';
import { formatAmount, minorOf } from '../money.js';
import type { TransactionBody } from './transactions.dto.js';

type Seen = Pick<TransactionBody, 'type' | 'entries' | 'amount' | 'currency' | 'actor'>;

@Injectable()
export class PersonView {
  constructor(private readonly ownership: Ownership) {}

  /**
   * Transactions as the caller may see them. A person sees the entries of their own wallets; of a transfer also which wallet
   * is at the other side, but not what is in it, nor who has it. Where entries are left out, the amount is their own part. Servers and
   * operators see all.
   */
  async of<Body extends Seen>(bodies: Body[], { userId }: Principal): Promise<Body[]> {
    if (userId === undefined) return bodies;
    const owners = await this.ownership.ownersOf(bodies.flatMap(({ entries }) => entries.map((e) => e.wallet_id)));
    const self = `user:${userId}`;
    return bodies.map((whole) => {
      const body = whole.actor.startsWith('user:') && whole.actor !== self ? { ...whole, actor: 'user' } : whole;
      const entries = body.entries.flatMap((entry) => {
        if (owners.get(entry.wallet_id) === userId) return [entry];
        return body.type === 'transfer' ? [{ ...entry, seq: null, balance_after: null }] : [];
      });
      if (entries.length === body.entries.length || body.currency === null) return { ...body, entries };
      const part = movedBy(entries).get(body.currency) ?? 0n;
      return { ...body, amount: formatAmount(part, body.currency), entries };
    });
  }
}

/** What entries move, in minor units by currency: as much as comes in, or goes out where they are only a part and that is more. */
export function movedBy(entries: Seen['entries']): Map<string, bigint> {
  const [into, outOf] = [new Map<string, bigint>(), new Map<string, bigint>()];
  for (const { amount, currency } of entries) {
    const minor = minorOf(amount);
    const [side, more] = minor > 0n ? [into, minor] : [outOf, -minor];
    side.set(currency, (side.get(currency) ?? 0n) + more);
  }
  for (const [currency, minor] of outOf) if (minor > (into.get(currency) ?? 0n)) into.set(currency, minor);
  return into;
}
