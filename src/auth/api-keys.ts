/** API keys: what servers and operators call with. */
import { Injectable } from '@nestjs/common';
import { Problem } from '../errors.js';
import type { Known } from './known.js';

export const API_KEY_PREFIX = 'asper_key_';

@Injectable()
export class ApiKeys {
  /** @throws {Problem} `unauthenticated` */
  authenticate(_secret: string): Promise<Known> {
    return Promise.reject(new Problem('unauthenticated', 'The API key is not good.'));
  }
}
