/** The keys of receipts: the one that signs, and those that did. */
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { KeyObject } from 'node:crypto';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import { keptSecret } from '../kept-secret.js';
import { privateKeyOf, publicJwk, publicJwkOf, type PublicJwk } from './jws.js';

const KEY_FILE = 'receipt.key';

@Injectable()
export class ReceiptKeys {
  private readonly logger = new Logger(ReceiptKeys.name);
  private made?: Promise<Buffer>;

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /**
   * The key that signs.
   * @throws {Problem} `receipts_not_configured` in production without RECEIPT_KEY, where every process and every
   *   restart must sign alike and a file on one machine's disk is no place for that. 501, as waiting does not help.
   */
  async privateKey(): Promise<KeyObject> {
    const { receiptKeySeed, production } = this.config;
    if (receiptKeySeed) return privateKeyOf(receiptKeySeed);
    if (production) throw new Problem('receipts_not_configured', 'RECEIPT_KEY is not set.');
    this.made ??= keptSecret(this.config.dataDir, KEY_FILE);
    try {
      return privateKeyOf(await this.made);
    } catch (error) {
      this.made = undefined;
      this.logger.warn(`No receipts can be signed: ${(error as Error).message}`);
      throw new Problem('receipts_not_configured', 'RECEIPT_KEY is not set, and the data folder cannot keep a key.');
    }
  }

  /** All public keys, the current one first. Where nothing can be signed, what was signed can still be verified. */
  async publicKeys(): Promise<PublicJwk[]> {
    const retired = this.config.receiptKeysRetired.map(publicJwk);
    const current = await this.privateKey().then(publicJwkOf, () => undefined);
    if (!current) return retired;
    return [current, ...retired.filter(({ kid }) => kid !== current.kid)];
  }
}
