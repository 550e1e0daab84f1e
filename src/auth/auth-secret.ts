/** AUTH_SECRET, and the keys that are derived from it: one for each purpose, so that none can be used for another. */
import { Inject, Injectable, Logger } from '@nestjs/common';
import { createHmac, hkdfSync } from 'node:crypto';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import { keptSecret } from '../kept-secret.js';

const SECRET_FILE = 'auth.key';

/** What a key is for. */
export type Purpose = 'one-time codes' | 'limits' | 'signing keys' | 'webhook secrets';

@Injectable()
export class AuthSecret {
  private readonly logger = new Logger(AuthSecret.name);
  private readonly keys = new Map<Purpose, Buffer>();
  private kept?: Promise<Buffer>;

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /**
   * 32 bytes for one purpose (HKDF-SHA256).
   * @throws {Problem} `sign_in_not_configured` without AUTH_SECRET where the data folder cannot keep one.
   */
  async key(purpose: Purpose): Promise<Buffer> {
    let key = this.keys.get(purpose);
    if (key) return key;
    key = Buffer.from(hkdfSync('sha256', await this.secret(), '', `asper-wallet ${purpose}`, 32));
    this.keys.set(purpose, key);
    return key;
  }

  /** HMAC-SHA256 of a text under the key of a purpose. @throws {Problem} `sign_in_not_configured` */
  async mac(purpose: Purpose, text: string): Promise<Buffer> {
    return createHmac('sha256', await this.key(purpose))
      .update(text)
      .digest();
  }

  private async secret(): Promise<Buffer> {
    if (this.config.authSecret) return this.config.authSecret;
    this.kept ??= keptSecret(this.config.dataDir, SECRET_FILE);
    try {
      return await this.kept;
    } catch (error) {
      this.kept = undefined;
      this.logger.warn(`Nobody can sign in, and no webhook be signed: ${(error as Error).message}`);
      throw new Problem('sign_in_not_configured', 'AUTH_SECRET is not set, and the data folder cannot keep one.');
    }
  }
}
