/**
 * Whom a credential stands for. What has been found out once is kept in memory, as a signature takes 100 µs to check and
 * a key a trip to the database, where a debit in all takes 150. That sessions and keys end is learnt from the database:
 * whatever has ended since is asked for by the first request after two seconds, which does not wait for the answer; the
 * first after four does. So an idle service asks nothing, a busy one once in two seconds, and nobody passes on knowledge
 * that is older than four seconds. What this process itself has ended, it forgets at once.
 */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import { AccessTokens } from './access-tokens.js';
import { API_KEY_PREFIX } from './api-key.secret.js';
import { ApiKeys } from './api-keys.js';
import type { Known } from './known.js';
import { RequestLimits } from './request-limits.js';
import { newTurns, type Turn } from './turns.js';

/** About 1 KB each. Whoever fell out is looked up again. */
const KEPT_MAX = 20_000;
const ASK_AFTER_MS = 2_000;
const WAIT_AFTER_MS = 4_000;
/** A transaction may commit this long after the time that it wrote. */
const LATE_COMMIT_SECONDS = 60;

interface Kept {
  credential: string;
  known: Known;
}

@Injectable()
export class Principals {
  /** By the end of the credential. */
  private readonly kept = new Map<string, Kept>();
  /** Counts what was forgotten: what was looked up meanwhile is not kept. */
  private forgotten = 0;
  private askedAt = -Infinity;
  private since?: Date;
  private asking?: Promise<void>;
  private readonly turn = newTurns();

  constructor(
    private readonly dataSource: DataSource,
    private readonly tokens: AccessTokens,
    private readonly apiKeys: ApiKeys,
    private readonly limits: RequestLimits,
  ) {}

  /**
   * @param address where it comes from, which is soon refused to try others where this one is not good; left out where it
   *   was good before.
   * @throws {Problem} `unauthenticated` or `token_expired` where the credential is not, or no longer, good; `rate_limited`
   */
  of(credential: string, address?: string): Known | Promise<Known> {
    const known = this.knownAs(credential);
    if (known === undefined || known.goodUntil <= Date.now()) return this.lookUp(credential, address);
    const age = performance.now() - this.askedAt;
    if (age < ASK_AFTER_MS) return known;
    const asked = this.ask();
    if (age < WAIT_AFTER_MS) {
      asked.catch(() => undefined); // whoever comes after the wait is told
      return known;
    }
    return asked.then(() => this.knownAs(credential) ?? this.lookUp(credential, address));
  }

  private knownAs(credential: string): Known | undefined {
    const kept = this.kept.get(endOf(credential));
    return kept?.credential === credential ? kept.known : undefined;
  }

  /** Sessions or API keys have ended or changed: what they may do is found out anew. */
  forget(credentialIds: string[]): void {
    this.forgetOthers(new Map(credentialIds.map((id) => [id, undefined])));
  }

  /** @param versions which each of the credentials has now; what is kept of that very version stays. */
  private forgetOthers(versions: Map<string, number | null | undefined>): void {
    if (versions.size === 0) return;
    this.forgotten += 1;
    for (const [end, { known }] of this.kept) {
      if (!versions.has(known.credentialId)) continue;
      if (known.version === undefined || versions.get(known.credentialId) !== known.version) this.kept.delete(end);
    }
  }

  private async lookUp(credential: string, address?: string): Promise<Known> {
    if (address !== undefined) this.limits.assertTrusted(address);
    // Each question covers the time since the last: so nothing is kept that was found out before the first.
    if (!this.since) await this.ask();
    const { forgotten } = this;
    const turn: Turn = (ask) =>
      this.turn(() => {
        if (address !== undefined) this.limits.assertTrusted(address);
        return ask();
      });
    const known = await this.authenticate(credential, turn).catch((error: unknown) => {
      // An expired token is what every client presents once in ten minutes.
      if (address !== undefined && error instanceof Problem && error.code === 'unauthenticated')
        this.limits.countBad(address);
      throw error;
    });
    if (known.goodUntil <= Date.now()) throw new Problem('unauthenticated', 'The credentials have expired.');
    if (forgotten === this.forgotten) {
      if (this.kept.size >= KEPT_MAX) this.kept.delete(this.kept.keys().next().value!);
      this.kept.set(endOf(credential), { credential, known });
    }
    return known;
  }

  private authenticate(credential: string, turn: Turn): Promise<Known> {
    return credential.startsWith(API_KEY_PREFIX)
      ? this.apiKeys.authenticate(credential, turn)
      : this.tokens.authenticate(credential, turn);
  }

  /** Asks what has ended since the last time. */
  private ask(): Promise<void> {
    this.asking ??= this.askDatabase().finally(() => (this.asking = undefined));
    return this.asking;
  }

  private async askDatabase(): Promise<void> {
    const startedAt = performance.now();
    const [row]: RawRow[] = await this.dataSource.query(CHANGED, [this.since ?? null]);
    const since = new Date(row!.now.getTime() - LATE_COMMIT_SECONDS * 1_000);
    if (this.since && since < this.since) {
      // The database's clock was set back, and what has changed since is older than what was asked for.
      this.forgotten += 1;
      this.kept.clear();
    }
    this.forgetOthers(new Map(Object.entries(row!.versions as Record<string, number | null>)));
    this.since = since;
    this.askedAt = startedAt;
  }
}

/** Enough to tell credentials apart, and of a token part of the signature. To hash all 430 characters of one took 2 µs. */
function endOf(credential: string): string {
  return credential.slice(-32);
}

/** A key that is new has changed as well, and may be known already: its version tells. Sessions only ever end. */
const CHANGED = `
  SELECT now() AS now, coalesce(json_object_agg(id, version), '{}') AS versions FROM (
    SELECT id, NULL::integer AS version FROM sessions
     WHERE ended_at > coalesce($1, now() - interval '${LATE_COMMIT_SECONDS} seconds')
    UNION ALL
    SELECT id, version FROM api_keys
     WHERE updated_at > coalesce($1, now() - interval '${LATE_COMMIT_SECONDS} seconds')) changed`;
