/** Whom an API key stands for, and when it was last used. */
import { Inject, Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import { hashOf, isWellFormed } from './api-key.secret.js';
import { networks } from './auth.config.js';
import type { Known } from './known.js';
import type { Turn } from './turns.js';

const WRITE_USES_AFTER_MS = 10_000;
const MINUTE_MS = 60_000;
/** A Date's last millisecond. */
const FOREVER_MS = 8.64e15;

@Injectable()
export class ApiKeys implements BeforeApplicationShutdown {
  private readonly logger = new Logger(ApiKeys.name);
  /** Minutes since 1970 of the last use that was noted, by key. */
  private readonly noted = new Map<string, number>();
  private readonly unwritten = new Set<string>();
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * @param turn asks the database when it may.
   * @throws {Problem} `unauthenticated` on what is no key, or no longer one.
   */
  async authenticate(secret: string, turn: Turn): Promise<Known> {
    if (!isWellFormed(secret)) throw new Problem('unauthenticated', 'This is no API key: it is mistyped or cut off.');
    const [key]: RawRow[] = await turn(() => this.dataSource.query(FIND, [hashOf(secret)]));
    if (!key) throw new Problem('unauthenticated', 'The API key is unknown, revoked or expired.');
    return {
      scope: `key:${key.id}`,
      scopes: new Set(key.scopes),
      credentialId: key.id,
      version: key.version,
      goodUntil: key.good_until?.getTime() ?? FOREVER_MS,
      ...(key.allowed_addresses.length > 0 && { allowed: networks(key.allowed_addresses) }),
      requestsPerMinute: key.requests_per_minute ?? this.config.requestsPerMinuteKey,
    };
  }

  /** Notes that a key is in use, to the minute. Written later, and for all keys together: no request waits for it. */
  used(keyId: string): void {
    const minute = Math.floor(Date.now() / MINUTE_MS);
    if (this.noted.get(keyId) === minute) return;
    this.noted.set(keyId, minute);
    this.unwritten.add(keyId);
    this.timer ??= setTimeout(() => void this.writeUses(), WRITE_USES_AFTER_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.writeUses();
  }

  private async writeUses(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.unwritten.size === 0) return;
    const ids = [...this.unwritten].sort();
    this.unwritten.clear();
    const minutes = ids.map((id) => new Date(this.noted.get(id)! * MINUTE_MS));
    // It is an aid to operators: where it cannot be written, the next use will be.
    await this.dataSource.query(WRITE_USES, [ids, minutes]).catch((error: unknown) => {
      for (const id of ids) this.noted.delete(id);
      this.logger.warn(`the last use of ${ids.length} API keys was not written: ${(error as Error).message}`);
    });
  }
}

/** Good until whatever ends first. Each half looks at one unique index. */
const FIND = `
  SELECT id, version, scopes, allowed_addresses, requests_per_minute, least(expires_at, secret_expires_at) AS good_until FROM (
    SELECT *, NULL::timestamptz AS secret_expires_at FROM api_keys WHERE secret_hash = $1
    UNION ALL
    SELECT *, previous_expires_at FROM api_keys WHERE previous_hash = $1) k
   WHERE revoked_at IS NULL AND coalesce(least(expires_at, secret_expires_at) > now(), true)`;

/** Leaves `updated_at` alone: it tells every process to look the key up again. */
const WRITE_USES = `
  UPDATE api_keys k SET last_used_at = used.at FROM unnest($1::uuid[], $2::timestamptz[]) AS used(id, at) WHERE k.id = used.id`;
