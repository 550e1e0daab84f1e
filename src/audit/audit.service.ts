/** The audit log: what operators did, written in the transaction that did it, so that neither is there without the other. */
import { Injectable } from '@nestjs/common';
import { And, DataSource, LessThan, MoreThanOrEqual, type FindOperator, type QueryRunner } from 'typeorm';
import { originOf, type Caller } from '../caller.js';
import { jsonArrayOf, textArrayOf } from '../database/array-literal.js';
import { runPrepared, type Prepared } from '../database/prepared.js';
import { newId } from '../ids.js';
import { CURSOR_ID, pageOf, readCursor, type Page } from '../paging.js';
import { AuditEntry, type AuditAction, type AuditObject } from './audit-entry.entity.js';
import { auditEntryBody, type AuditEntryBody, type ListAuditLogQuery } from './audit.dto.js';

/** What was done, to what, and why. SECURITY: `details` are shown to whoever reads the log; no secret belongs there. */
export interface Act {
  action: AuditAction;
  objectType: AuditObject;
  objectId: string;
  reason?: string;
  details?: Record<string, unknown>;
}

/** An act, by whom and from where. */
export interface CallersAct extends Act {
  actor: string;
  address?: string;
  requestId?: string;
}

@Injectable()
export class AuditService {
  constructor(private readonly dataSource: DataSource) {}

  /** Writes down an act of the caller, in the transaction of `runner`. */
  record(runner: QueryRunner, caller: Caller, act: Act): Promise<void> {
    return this.recordAll(runner, [{ ...act, actor: caller.scope, ...originOf(caller) }]);
  }

  /**
   * Writes down acts in one statement, in the transaction of `runner`.
   * @param at when they were done; by default when the transaction began.
   */
  async recordAll(runner: QueryRunner, acts: CallersAct[], at?: Date): Promise<void> {
    await runPrepared(runner, INSERT_ACTS, [
      acts.map(() => newId()),
      textArrayOf(acts, (act) => act.actor),
      textArrayOf(acts, (act) => act.action),
      textArrayOf(acts, (act) => act.objectType),
      textArrayOf(acts, (act) => act.objectId),
      textArrayOf(acts, (act) => act.reason),
      jsonArrayOf(acts, (act) => act.details),
      textArrayOf(acts, (act) => act.address),
      textArrayOf(acts, (act) => act.requestId),
      at ?? null,
    ]);
  }

  /** What was done, latest first. */
  async list(query: ListAuditLogQuery): Promise<Page<AuditEntryBody>> {
    const after = readCursor(query.cursor, CURSOR_ID);
    const times = [
      ...(query.created_from === undefined ? [] : [MoreThanOrEqual(new Date(query.created_from))]),
      ...(query.created_before === undefined ? [] : [LessThan(new Date(query.created_before))]),
    ] as FindOperator<Date>[];
    const rows = await this.dataSource.manager.find(AuditEntry, {
      where: {
        ...(query.actor === undefined ? {} : { actor: query.actor }),
        ...(query.action === undefined ? {} : { action: query.action }),
        ...(query.object_type === undefined ? {} : { objectType: query.object_type }),
        ...(query.object_id === undefined ? {} : { objectId: query.object_id }),
        ...(times.length === 0 ? {} : { createdAt: And(...times) }),
        ...(after === undefined ? {} : { id: LessThan(after) }),
      },
      order: { id: 'DESC' },
      take: query.limit + 1,
    });
    return pageOf(rows, query.limit, ({ id }) => id, auditEntryBody);
  }
}

const INSERT_ACTS: Prepared = {
  name: 'insert_acts',
  text: `
  INSERT INTO audit_log (id, actor, action, object_type, object_id, reason, details, address, request_id, created_at)
  SELECT *, coalesce($10::timestamptz, clock_now())
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::text[],
                $9::text[])`,
};
