/** What a person sees of a transaction, in which others may have a part. */
import { Injectable } from '@nestjs/common';
import { Ownership } from '../auth/ownership.js';
import type { Principal } from '../caller.js';
import type { TransactionBody } from './transactions.dto.js';

type Seen = Pick<TransactionBody, 'type' | 'entries'>;

@Injectable()
export class PersonView {
  constructor(private readonly ownership: Ownership) {}

  /**
   * Transactions as the caller may see them. A person sees the entries of their own wallets; of a transfer also which wallet
   * is at the other side, but not what is in it. Servers and operators see all.
   */
  async of<Body extends Seen>(bodies: Body[], { userId }: Principal): Promise<Body[]> {
    if (userId === undefined) return bodies;
    const owners = await this.ownership.ownersOf(bodies.flatMap(({ entries }) => entries.map((e) => e.wallet_id)));
    return bodies.map((body) => {
      const entries = body.entries.flatMap((entry) => {
        if (owners.get(entry.wallet_id) === userId) return [entry];
        return body.type === 'transfer' ? [{ ...entry, seq: null, balance_after: null }] : [];
      });
      return { ...body, entries };
    });
  }
}
