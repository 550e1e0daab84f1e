/** The keys of receipts: the one that signs, and those that did. */
import { Inject, Injectable, Logger } from '@nestjs/common';
import { randomBytes, type KeyObject } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CONFIG, type Config } from '../config.js';
import { chooseDataDir, makeDataDir } from '../database/embedded.folder.js';
import { Problem } from '../errors.js';
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
    this.made ??= seedOfFolder(this.config.dataDir);
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

/**
 * The seed in the data folder, made at its first use. A file is linked into place complete or not at all, and only
 * where there is none, so two processes that begin at once sign with the same key.
 */
async function seedOfFolder(wanted: string | undefined): Promise<Buffer> {
  const { dataDir, account } = await chooseDataDir(wanted);
  await makeDataDir(dataDir, account);
  const file = path.join(dataDir, KEY_FILE);
  const own = `${file}.${randomBytes(8).toString('hex')}`;
  try {
    await writeFile(own, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
    await link(own, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(own, { force: true });
  }
  const seed = Buffer.from(await readFile(file, 'utf8'), 'base64');
  if (seed.length !== 32) throw new Error(`${file} does not hold 32 bytes in base64`);
  return seed;
}
