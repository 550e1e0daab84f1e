/** Sessions: a person who signed in on a device, until it ends. What has ended here is forgotten here at once. */
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, IsNull, LessThan, MoreThan, type QueryRunner } from 'typeorm';
import { AuditService } from '../audit/audit.service.js';
import type { Caller } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { inTransaction } from '../database/transaction.js';
import { Problem } from '../errors.js';
import { IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { CURSOR_ID, pageOf, readCursor, type Page, type PageQuery } from '../paging.js';
import { User } from '../users/user.entity.js';
import { Principals } from './principals.js';
import { RefreshTokens } from './refresh-tokens.js';
import { Session, type SessionEnd } from './session.entity.js';
import { sessionBody, type SessionBody, type SessionsEndedBody } from './sessions.dto.js';

const USER_AGENT_LENGTH_MAX = 200;
const DAY_MS = 86_400_000;

/** Where a person signs in from, as they say. */
export interface Device {
  userAgent?: string;
  address?: string;
}

@Injectable()
export class SessionsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly principals: Principals,
    private readonly refreshTokens: RefreshTokens,
    private readonly idempotency: IdempotencyService,
    private readonly audit: AuditService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Begins a session in the transaction of `runner`. */
  async begin(runner: QueryRunner, userId: string, { userAgent, address }: Device): Promise<Session> {
    const session = {
      id: newId(),
      userId,
      // oxlint-disable-next-line no-control-regex
      userAgent: userAgent?.replace(/[\u0000-\u001f\u007f]/g, ' ').slice(0, USER_AGENT_LENGTH_MAX) ?? null,
      address: address ?? null,
      expiresAt: new Date(Date.now() + this.config.sessionDaysMax * DAY_MS),
    };
    await runner.manager.insert(Session, session);
    return runner.manager.findOneByOrFail(Session, { id: session.id });
  }

  /** The caller's sessions that have not ended, newest first. */
  async list({ userId, sessionId }: Caller, query: PageQuery): Promise<Page<SessionBody>> {
    const after = readCursor('sessions', query.cursor, CURSOR_ID);
    const rows = await this.dataSource.manager.find(Session, {
      where: {
        userId: userId!,
        endedAt: IsNull(),
        expiresAt: MoreThan(new Date()),
        lastUsedAt: MoreThan(new Date(Date.now() - this.config.sessionIdleDays * DAY_MS)),
        ...(after ? { id: LessThan(after) } : {}),
      },
      order: { id: 'DESC' },
      take: query.limit + 1,
    });
    const present = (row: Session) =>
      sessionBody(row, this.refreshTokens.expiry(row.expiresAt, row.lastUsedAt), row.id === sessionId);
    return pageOf('sessions', rows, query.limit, (row) => row.id, present);
  }

  /** Ends one session of the caller. @throws {Problem} `session_not_found`, also for somebody else's. */
  async end({ userId }: Caller, id: string): Promise<SessionsEndedBody> {
    const ended = await inTransaction(this.dataSource, (runner) =>
      endSessions(runner, 'id = $2 AND user_id = $3', 'logout', [id, userId]),
    );
    if (ended.length === 0) throw new Problem('session_not_found', `There is no session ${id}.`);
    return this.forget(ended);
  }

  /** Ends all sessions of the caller. */
  async endEverywhere({ userId }: Caller): Promise<SessionsEndedBody> {
    const ended = await inTransaction(this.dataSource, (runner) => this.endOfUser(runner, userId!, 'logout'));
    return this.forget(ended);
  }

  /** Ends all sessions of a user, by an operator. @throws {Problem} `user_not_found` */
  async endByOperator(userId: string, reason: string, caller: Caller): Promise<Answer<SessionsEndedBody>> {
    let ended: string[] = [];
    const answer = await this.idempotency.record(caller, ['sessions.end', userId, reason], async (runner) => {
      ended = await this.endOfUser(runner, userId, 'operator');
      const details = { sessions: ended.length };
      await this.audit.record(runner, caller, {
        action: 'sessions.ended',
        objectType: 'user',
        objectId: userId,
        reason,
        details,
      });
      return { ended_sessions: ended.length };
    });
    this.forget(ended);
    return answer;
  }

  /**
   * Ends all sessions of a user in the transaction of `runner`. The lock waits for whoever is just signing in. When it has
   * committed, tell `forget`.
   * @returns the sessions' ids. @throws {Problem} `user_not_found`
   */
  async endOfUser(runner: QueryRunner, userId: string, reason: SessionEnd): Promise<string[]> {
    const user = await runner.manager.findOne(User, { where: { id: userId }, lock: { mode: 'for_no_key_update' } });
    if (!user) throw new Problem('user_not_found', `There is no user ${userId}.`);
    return endSessions(runner, 'user_id = $2', reason, [userId]);
  }

  /** Ends a session whose refresh token came a second time, in the transaction of `runner`. */
  async endReused(runner: QueryRunner, id: string): Promise<void> {
    await endSessions(runner, 'id = $2', 'token_reused', [id]);
  }

  /** Makes this process look again at what was done with these sessions; others learn it within four seconds. */
  forget(ids: string[]): SessionsEndedBody {
    this.principals.forget(ids);
    return { ended_sessions: ids.length };
  }
}

async function endSessions(runner: QueryRunner, where: string, reason: SessionEnd, values: unknown[]) {
  const [rows]: [RawRow[]] = await runner.query(
    `UPDATE sessions SET ended_at = now(), end_reason = $1
      WHERE ${where} AND ended_at IS NULL AND expires_at > now() RETURNING id`,
    [reason, ...values],
  );
  return rows.map(({ id }): string => id);
}
