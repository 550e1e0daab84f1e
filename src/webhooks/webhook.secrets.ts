/** The secrets of endpoints, sealed under AUTH_SECRET and bound to their endpoint. */
import { Injectable } from '@nestjs/common';
import { AuthSecret } from '../auth/auth-secret.js';
import { seal, unseal } from '../auth/seal.js';
import type { WebhookEndpoint } from './webhook.entities.js';

type Sealed = Pick<WebhookEndpoint, 'id' | 'sealedSecret' | 'previousSecret' | 'previousExpiresAt'>;

@Injectable()
export class WebhookSecrets {
  constructor(private readonly secret: AuthSecret) {}

  async seal(secret: Buffer, endpointId: string): Promise<Buffer> {
    return seal(secret, endpointId, await this.secret.key('webhook secrets'));
  }

  /**
   * The secrets that sign now: the newest first, and the one before where its time is not over. None where the newest
   * cannot be opened any more, because AUTH_SECRET was replaced.
   */
  async of({ id, sealedSecret, previousSecret, previousExpiresAt }: Sealed): Promise<Buffer[] | undefined> {
    const key = await this.secret.key('webhook secrets');
    const secret = unseal(sealedSecret, id, key);
    if (!secret) return undefined;
    const isOverlap = previousSecret && previousExpiresAt! > new Date();
    // After AUTH_SECRET was replaced the one before cannot be opened, and its receivers could not be served anyway.
    const previous = isOverlap ? unseal(previousSecret, id, key) : undefined;
    return previous ? [secret, previous] : [secret];
  }
}
