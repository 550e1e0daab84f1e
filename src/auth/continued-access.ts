/** For answers that go on and on: whether whoever was let in once still would be. */
import { Injectable } from '@nestjs/common';
import type { KnownRequest } from '../caller.js';
import { Problem } from '../errors.js';
import { credentialOf, isWithin } from './access.guard.js';
import { Principals } from './principals.js';
import type { Scope } from './scopes.js';

@Injectable()
export class ContinuedAccess {
  constructor(private readonly principals: Principals) {}

  /**
   * What to ask again later. It keeps the credential, and nothing else of the request.
   * @param scope what an API key must have; what is a person's own stays so.
   */
  of(request: KnownRequest, scope: Scope): () => Promise<boolean> {
    const credential = credentialOf(request);
    const { ip } = request;
    if (credential === undefined) return () => Promise.resolve(true); // in open mode
    return async () => {
      try {
        const { userId, scopes, allowed, goodUntil } = await this.principals.of(credential);
        if (goodUntil <= Date.now() || (allowed && !isWithin(allowed, ip))) return false;
        return userId !== undefined || scopes.has(scope);
      } catch (error) {
        // A database that is away says nothing of anybody's rights, and there is nothing to tell meanwhile.
        return !(error instanceof Problem && error.status === 401);
      }
    };
  }
}
