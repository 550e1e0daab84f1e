/** The audit log: what operators did, written in the transaction that did it, so that neither is there without the other. */
import { Injectable } from '@nestjs/common';
import { And, DataSource, LessThan, MoreThanOrEqual, type FindOperator, type QueryRunner } from 'typeorm';
import { originOf, type Caller } from '../caller.js';
import { namesOf, rowsOf, valuesOf, type Columns } from '../database/columns.js';
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
    await runPrepared(runner, INSERT_ACTS, [...valuesOf(ACT, acts), at ?? null]);
  }

  /** What was done, latest first. */
  async list(query: ListAuditLogQuery): Promise<Page<AuditEntryBody>> {
    const after = readCursor('audit-log', query.cursor, CURSOR_ID);
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
    return pageOf('audit-log', rows, query.limit, ({ id }) => id, auditEntryBody);
  }
}

const ACT: Columns<CallersAct> = {
  id: ['uuid', () => newId()],
  actor: ['text', (act) => act.actor],
  action: ['text', (act) => act.action],
  object_type: ['text', (act) => act.objectType],
  object_id: ['text', (act) => act.objectId],
  reason: ['text', (act) => act.reason],
  details: ['jsonb', (act) => act.details],
  address: ['text', (act) => act.address],
  request_id: ['text', (act) => act.requestId],
};

const INSERT_ACTS: Prepared = {
  name: 'insert_acts',
  text: `
  INSERT INTO audit_log (${namesOf(ACT)}, created_at)
  SELECT a.*, coalesce($10::timestamptz, clock_now()) FROM ${rowsOf(ACT)} a`,
};
