/** Access tokens: who a signed-in person is, signed. */
import { Injectable } from '@nestjs/common';
import { Problem } from '../errors.js';
import type { Known } from './known.js';

@Injectable()
export class AccessTokens {
  /** @throws {Problem} `unauthenticated`, `token_expired` */
  authenticate(_token: string): Promise<Known> {
    return Promise.reject(new Problem('unauthenticated', 'The access token is not good.'));
  }
}
