/**
 * The statements that are being read from this process. SECURITY: each holds a page of lines, some 0.4 MB, for as long as its reader
 * likes, and no deadline ends what has begun: a person with a few hundred open ones would have the memory of everybody.
 */
import { Injectable } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { OPERATOR, type Principal } from '../caller.js';
import { Problem } from '../errors.js';

const OF_PERSON_MAX = 5;
const OF_PROCESS_MAX = 200;
/** Whatever persons do, servers and operators have some; and whatever one of those does, the others have. */
const OF_OTHERS_MAX = OF_PROCESS_MAX + 50;
const OF_KEY_MAX = 200;
const RETRY_AFTER_SECONDS = 5;

@Injectable()
export class Downloads {
  private readonly underWay = new Set<Pick<Principal, 'scope'>>();

  /**
   * Begins one, and counts it until it is closed.
   * @throws {Problem} `rate_limited` for a person or a key with too many, `overloaded`
   */
  async begin(open: () => Promise<Readable>, caller: Principal): Promise<Readable> {
    this.demandRoom(caller);
    const place = { scope: caller.scope };
    this.underWay.add(place);
    try {
      const content = await open();
      return content.once('close', () => this.underWay.delete(place));
    } catch (error) {
      this.underWay.delete(place);
      throw error;
    }
  }

  private demandRoom({ scope, userId }: Principal): void {
    const again = { retryAfterSeconds: RETRY_AFTER_SECONDS };
    if (this.underWay.size >= (userId === undefined ? OF_OTHERS_MAX : OF_PROCESS_MAX)) {
      throw new Problem('overloaded', `This process has ${this.underWay.size} statements under way.`, again);
    }
    if (scope === OPERATOR.scope) return;
    const own = [...this.underWay].filter((place) => place.scope === scope).length;
    if (own < (userId === undefined ? OF_KEY_MAX : OF_PERSON_MAX)) return;
    throw new Problem('rate_limited', `You have ${own} statements under way: read them to their end first.`, again);
  }
}
