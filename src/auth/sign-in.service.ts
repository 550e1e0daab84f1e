/** Signing in: a phone number is proven with a one-time code, and a session begins; it lasts as long as it is renewed. */
import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Caller } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { inTransaction } from '../database/transaction.js';
import { Problem } from '../errors.js';
import { UsersService } from '../users/users.service.js';
import { AccessTokens } from './access-tokens.js';
import { demandAwaited, type IsAwaited } from './awaited.js';
import { CodeDispatch } from './code-dispatch.js';
import { codeRefused, OneTimeCodes } from './one-time-codes.js';
import { RefreshTokens } from './refresh-tokens.js';
import { SendLimits } from './send-limits.js';
import { SessionsService } from './sessions.service.js';
import type { CodeBody, SignInDto, TokensBody } from './sign-in.dto.js';

interface Renewed {
  userId: string;
  sessionId: string;
  token: string;
  expiresAt: Date;
}

@Injectable()
export class SignInService {
  private readonly logger = new Logger(SignInService.name);

  constructor(
    private readonly dataSource: DataSource,
    private readonly users: UsersService,
    private readonly codes: OneTimeCodes,
    private readonly dispatch: CodeDispatch,
    private readonly limits: SendLimits,
    private readonly sessions: SessionsService,
    private readonly refreshTokens: RefreshTokens,
    private readonly accessTokens: AccessTokens,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Makes a code and has it sent. Known and unknown numbers are treated alike.
   * @throws {Problem} `validation_failed`, `rate_limited`, `sign_in_not_configured`, `overloaded`
   */
  async askForCode(text: string, { address = '' }: Caller, isAwaited: IsAwaited): Promise<CodeBody> {
    const phoneNumber = this.users.phoneNumber(text);
    this.dispatch.assertReady();
    await this.limits.countCode(phoneNumber, address, isAwaited);
    const code = await this.codes.create(phoneNumber);
    // Whoever was told to ask again has a code of that request.
    demandAwaited(isAwaited);
    this.dispatch.assertReady();
    this.dispatch.begin(code);
    return { id: code.id, expires_at: code.expiresAt.toISOString() };
  }

  /** Trades a code for a session. @throws {Problem} `rate_limited`, `code_refused` */
  async signIn(
    { code_id, code }: SignInDto,
    { address = '' }: Caller,
    isAwaited: IsAwaited,
    userAgent?: string,
  ): Promise<TokensBody> {
    await this.limits.countTry(address, isAwaited);
    const phoneNumber = await this.codes.check(code_id, code);
    const begun = await inTransaction(this.dataSource, async (runner): Promise<Renewed> => {
      await this.codes.consume(runner, code_id);
      const user = await this.users.ofProvenNumber(phoneNumber, runner);
      if (user?.status !== 'active') throw codeRefused();
      const session = await this.sessions.begin(runner, user.id, { userAgent, address });
      const token = await this.refreshTokens.create(runner, session.id);
      demandAwaited(isAwaited);
      return { userId: user.id, sessionId: session.id, token, expiresAt: session.expiresAt };
    });
    return this.tokens(begun);
  }

  /**
   * Renews a session. A token that comes again when its successor is in use ends it.
   * @throws {Problem} `rate_limited`, `refresh_token_refused`
   */
  async refresh(token: string, { address = '' }: Caller, isAwaited: IsAwaited): Promise<TokensBody> {
    await this.limits.countTry(address, isAwaited);
    const rotation = await inTransaction(this.dataSource, async (runner) => {
      const found = await this.refreshTokens.rotate(runner, token);
      if (found.outcome === 'reused') await this.sessions.endReused(runner, found.sessionId);
      else demandAwaited(isAwaited); // what ends a session that was stolen is done in any case
      return found;
    });
    if (rotation.outcome === 'renewed') return this.tokens(rotation);
    if (rotation.outcome === 'reused') {
      this.sessions.forget([rotation.sessionId]);
      this.logger.warn(`a refresh token of session ${rotation.sessionId} was used twice; the session has been ended`);
    }
    throw new Problem('refresh_token_refused', 'The refresh token is not, or no longer, good.');
  }

  private async tokens({ userId, sessionId, token, expiresAt }: Renewed): Promise<TokensBody> {
    return {
      access_token: await this.accessTokens.issue(userId, sessionId),
      token_type: 'Bearer',
      expires_in: this.config.accessTokenSeconds,
      refresh_token: token,
      refresh_expires_at: this.refreshTokens.expiry(expiresAt).toISOString(),
      session_id: sessionId,
      user_id: userId,
    };
  }
}
