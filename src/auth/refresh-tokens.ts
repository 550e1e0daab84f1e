/**
 * Refresh tokens: 256 random bits, good once, kept as SHA-256.
 *
 * Whoever presents one gets its successor. An answer can be lost, so for ten seconds, and until the successor is used, a
 * repeat gets the same successor again. It is HMAC(salt, token): only whoever has the token can make it, the database
 * alone cannot. Any later use means that two have the token, and one of them stole it: the session ends.
 */
import { Inject, Injectable } from '@nestjs/common';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { QueryRunner } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { RefreshToken } from './session.entity.js';

const PREFIX = 'asper_rt_';
const LOST_ANSWER_SECONDS = 10;
const DAY_MS = 86_400_000;

/** What came of presenting a refresh token. */
export type Rotation =
  | { outcome: 'renewed'; token: string; sessionId: string; userId: string; expiresAt: Date }
  | { outcome: 'refused' }
  | { outcome: 'reused'; sessionId: string };

@Injectable()
export class RefreshTokens {
  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /** The first token of a session. */
  async create(runner: QueryRunner, sessionId: string): Promise<string> {
    return this.insert(runner, randomBytes(32), sessionId);
  }

  /** When a session ends that is not renewed again. */
  expiry(sessionExpiresAt: Date, lastUsedAt = new Date()): Date {
    return new Date(Math.min(sessionExpiresAt.getTime(), lastUsedAt.getTime() + this.config.sessionIdleDays * DAY_MS));
  }

  /** Trades a token for its successor. Token and session are locked: the uses of one session come one after another. */
  async rotate(runner: QueryRunner, token: string): Promise<Rotation> {
    const hash = hashOf(token);
    const [row]: RawRow[] = await runner.query(FIND, [hash, this.config.sessionIdleDays]);
    if (!row?.is_good) return { outcome: 'refused' };
    const renewed = { outcome: 'renewed', sessionId: row.id, userId: row.user_id, expiresAt: row.expires_at } as const;
    if (row.used_at) {
      const successor = PREFIX + successorOf(token, row.successor_salt).toString('base64url');
      const [unused]: RawRow[] = await runner.query('SELECT FROM refresh_tokens WHERE hash = $1 AND used_at IS NULL', [
        hashOf(successor),
      ]);
      return row.is_recent && unused ? { ...renewed, token: successor } : { outcome: 'reused', sessionId: row.id };
    }
    const salt = randomBytes(32);
    const successor = await this.insert(runner, successorOf(token, salt), row.id);
    await runner.query('UPDATE refresh_tokens SET used_at = now(), successor_salt = $2 WHERE hash = $1', [hash, salt]);
    await runner.query('UPDATE sessions SET last_used_at = now() WHERE id = $1', [row.id]);
    return { ...renewed, token: successor };
  }

  private async insert(runner: QueryRunner, secret: Buffer, sessionId: string): Promise<string> {
    const token = PREFIX + secret.toString('base64url');
    await runner.manager.insert(RefreshToken, { hash: hashOf(token), sessionId });
    return token;
  }
}

const FIND = `
  -- Not long after either: a server's clock that was set back would make the use of an hour ago a recent one.
  SELECT t.used_at, t.successor_salt,
         t.used_at BETWEEN now() - interval '${LOST_ANSWER_SECONDS} seconds' AND now() + interval '${LOST_ANSWER_SECONDS} seconds'
           AS is_recent,
         s.id, s.user_id, s.expires_at,
         s.ended_at IS NULL AND s.expires_at > now() AND s.last_used_at > now() - make_interval(days => $2)
           AND u.status = 'active' AS is_good
    FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
   WHERE t.hash = $1
     FOR UPDATE OF t, s`;

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function successorOf(token: string, salt: Buffer): Buffer {
  return createHmac('sha256', salt).update(token).digest();
}
