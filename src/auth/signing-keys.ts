/**
 * The keys that access tokens are signed with. They live in the database, so that all processes have the same ones.
 *
 * SECURITY: the private half is sealed under AUTH_SECRET, bound to the `kid`, which is the thumbprint of the public half.
 * A key that does not open is none of ours: whoever can only read the database cannot sign, and whoever can write to it
 * cannot slip in a key of their own. Another AUTH_SECRET ends all access tokens at once.
 */
import { Injectable, Logger } from '@nestjs/common';
import { randomBytes, type KeyObject } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { privateKeyOf, publicJwkOf, type PublicJwk } from '../receipts/jws.js';
import { AuthSecret } from './auth-secret.js';
import { seal, unseal } from './seal.js';
import { SigningKey } from './signing-key.entity.js';

/** A key set may be cached for this long; so may ours be. */
export const KEY_SET_SECONDS = 60;
/** From the making of a key until it signs: by then nobody has a key set without it. */
export const SIGNS_AFTER_SECONDS = 90;
/** Keys that nobody knows are asked for again at most this often, whatever callers make up. */
const RELOAD_MS = 1_000;
/** A key is of no use when its successor has signed for this long: a token's life, a stale key set, and slack. */
const RETIRE_SECONDS = 600 + KEY_SET_SECONDS + 240;

interface OpenKey {
  jwk: PublicJwk;
  privateKey: KeyObject;
  signsFrom: Date;
}

@Injectable()
export class SigningKeys {
  private readonly logger = new Logger(SigningKeys.name);
  /** In the order of preference: the one that signs last first. */
  private keys = new Map<string, OpenKey>();
  private loadedAt = -Infinity;
  private loading?: Promise<void>;
  private making?: Promise<void>;

  constructor(
    private readonly dataSource: DataSource,
    private readonly secret: AuthSecret,
  ) {}

  /** The key that a `kid` names, or nothing where it is none of ours. Garbage waits its turn, and asks once a second. */
  async find(kid: string): Promise<PublicJwk | undefined> {
    const askedAt = performance.now();
    await this.noOlderThan(KEY_SET_SECONDS * 1_000);
    // Until they were read after it was asked for. Once round is not always enough: a timer may end a moment early, and a reading
    // that was under way may have begun before another process made the key.
    while (!this.keys.has(kid) && this.loadedAt < askedAt) {
      await delay(Math.max(0, this.loadedAt + RELOAD_MS - performance.now()));
      await this.noOlderThan(RELOAD_MS);
    }
    return this.keys.get(kid)?.jwk;
  }

  /** The key that signs now; made where there is none. */
  async signer(): Promise<{ kid: string; privateKey: KeyObject }> {
    await this.noOlderThan(KEY_SET_SECONDS * 1_000);
    if (!this.current()) {
      this.making ??= this.make().finally(() => (this.making = undefined));
      await this.making;
    }
    const { jwk, privateKey } = this.current()!;
    return { kid: jwk.kid, privateKey };
  }

  /** All public keys, also of the next one to sign. */
  async publicKeys(): Promise<PublicJwk[]> {
    await this.signer(); // whoever keeps an empty set for a minute would refuse the first tokens
    await this.noOlderThan(RELOAD_MS);
    return [...this.keys.values()].map(({ jwk }) => jwk);
  }

  /**
   * Makes the next key, and deletes those that nothing good is signed with any more, as is done each quarter of an hour.
   * @param afterSeconds when it begins to sign.
   */
  async rotate(afterSeconds: number): Promise<{ kid: string; signsFrom: Date; deleted: number }> {
    const { kid, signsFrom } = await this.add(afterSeconds);
    const [, deleted]: [unknown, number] = await this.dataSource.query(RETIRE_KEYS);
    return { kid, signsFrom, deleted };
  }

  private async make(): Promise<void> {
    await this.add(0);
    await this.load();
  }

  private current(): OpenKey | undefined {
    const now = new Date();
    return [...this.keys.values()].find(({ signsFrom }) => signsFrom <= now);
  }

  private async noOlderThan(ageMs: number): Promise<void> {
    if (performance.now() - this.loadedAt < ageMs) return;
    this.loading ??= this.load().finally(() => (this.loading = undefined));
    await this.loading;
  }

  private async load(): Promise<void> {
    const startedAt = performance.now();
    const sealing = await this.secret.key('signing keys');
    const rows = await this.dataSource.manager.find(SigningKey, { order: { signsFrom: 'DESC', kid: 'ASC' } });
    const opened = rows.flatMap((row): Array<[string, OpenKey]> => {
      const key = openKey(row, sealing);
      return key ? [[row.kid, key]] : [];
    });
    if (opened.length < rows.length && opened.length === 0) {
      this.logger.warn('No signing key opens with this AUTH_SECRET: access tokens of another one are refused.');
    }
    this.keys = new Map(opened);
    this.loadedAt = startedAt;
  }

  private async add(afterSeconds: number): Promise<{ kid: string; signsFrom: Date }> {
    const seed = randomBytes(32);
    const { kid, x } = publicJwkOf(privateKeyOf(seed));
    const sealedPrivate = seal(seed, kid, await this.secret.key('signing keys'));
    const signsFrom = new Date(Date.now() + afterSeconds * 1_000);
    await this.dataSource.manager.insert(SigningKey, { kid, publicKey: x, sealedPrivate, signsFrom });
    return { kid, signsFrom };
  }
}

export const RETIRE_KEYS = `
  DELETE FROM signing_keys AS old WHERE EXISTS (
    SELECT FROM signing_keys AS successor
     WHERE successor.signs_from > old.signs_from
       AND successor.signs_from < now() - interval '${RETIRE_SECONDS} seconds')`;

/** A row as a key, or nothing where it was not sealed by us, or its names do not belong to it. */
function openKey({ kid, publicKey, sealedPrivate, signsFrom }: SigningKey, sealing: Buffer): OpenKey | undefined {
  const seed = unseal(sealedPrivate, kid, sealing);
  if (!seed) return undefined;
  const privateKey = privateKeyOf(seed);
  const jwk = publicJwkOf(privateKey);
  return jwk.kid === kid && jwk.x === publicKey ? { jwk, privateKey, signsFrom } : undefined;
}
