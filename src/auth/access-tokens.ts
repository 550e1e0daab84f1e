/**
 * Access tokens: who a signed-in person is, signed (RFC 9068 and 8725). A token says which session it is of, so that it
 * ends with the session and not only by its own time.
 */
import { Inject, Injectable } from '@nestjs/common';
import type { JWTPayload } from 'jose';
import { JOSEError, JWTExpired } from 'jose/errors';
import { SignJWT } from 'jose/jwt/sign';
import { jwtVerify } from 'jose/jwt/verify';
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import type { Known } from './known.js';
import { SigningKeys } from './signing-keys.js';
import type { Turn } from './turns.js';

/** What else we sign (receipts) is never taken for a token. */
const TYPE = 'at+jwt';
/** How far ahead the clock of another process may be. */
const CLOCK_SECONDS = 60;
const NO_SCOPES: ReadonlySet<never> = new Set();

@Injectable()
export class AccessTokens {
  constructor(
    private readonly dataSource: DataSource,
    private readonly keys: SigningKeys,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** A new token of a session, good for ACCESS_TOKEN_SECONDS. */
  async issue(userId: string, sessionId: string): Promise<string> {
    const { kid, privateKey } = await this.keys.signer();
    const now = Math.floor(Date.now() / 1_000);
    return new SignJWT({ sid: sessionId })
      .setProtectedHeader({ alg: 'EdDSA', typ: TYPE, kid })
      .setIssuer(this.config.tokenIssuer)
      .setAudience(this.config.tokenAudience)
      .setSubject(userId)
      .setJti(randomUUID())
      .setIssuedAt(now)
      .setExpirationTime(now + this.config.accessTokenSeconds)
      .sign(privateKey);
  }

  /**
   * Whom a token stands for, while its session lasts.
   * @param turn asks the database when it may.
   * @throws {Problem} `unauthenticated`, `token_expired`
   */
  async authenticate(token: string, turn: Turn): Promise<Known> {
    const { sub: userId, sid, exp } = await this.verify(token);
    const sessionId = sid as string;
    const [session]: RawRow[] = await turn(() => this.dataSource.query(FIND, [sessionId, userId]));
    if (!session) throw new Problem('unauthenticated', 'The session has ended.');
    return {
      scope: `user:${userId}`,
      scopes: NO_SCOPES,
      userId,
      sessionId,
      credentialId: sessionId,
      // A session that is past its time is not ended by anybody: what ends it must not be missed.
      goodUntil: Math.min(exp! * 1_000, session.expires_at.getTime()),
      requestsPerMinute: this.config.requestsPerMinutePerson,
    };
  }

  /** SECURITY: algorithm, type and keys are ours to say; `jwk`, `jku` and `x5c` of the header are never looked at. */
  private async verify(token: string): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.keyOf(kid), {
        algorithms: ['EdDSA'],
        typ: TYPE,
        issuer: this.config.tokenIssuer,
        audience: this.config.tokenAudience,
        requiredClaims: ['sub', 'sid', 'jti', 'iat', 'exp'],
      });
      if (payload.iat! > Date.now() / 1_000 + CLOCK_SECONDS) throw refused();
      return payload;
    } catch (error) {
      if (error instanceof JWTExpired) throw new Problem('token_expired', 'The access token has expired.');
      // What only the token can be at fault for; a database that does not answer is another matter.
      throw error instanceof JOSEError ? refused() : error;
    }
  }

  private async keyOf(kid: string | undefined) {
    const jwk = typeof kid === 'string' ? await this.keys.find(kid) : undefined;
    if (!jwk) throw refused();
    return jwk;
  }
}

const FIND =
  'SELECT expires_at FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > now()';

function refused(): Problem {
  return new Problem('unauthenticated', 'The access token is not good.');
}
