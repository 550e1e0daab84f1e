/** The audit log: what operators did, written in the transaction that did it, so that neither is there without the other. */
import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import type { Caller } from '../caller.js';
import { newId } from '../ids.js';
import { AuditEntry } from './audit-entry.entity.js';

/** `noun.verb` in the past tense. */
export type AuditAction =
  | 'api_key.created'
  | 'api_key.rotated'
  | 'api_key.revoked'
  | 'sessions.ended'
  | 'transaction.reversed'
  | 'user.activated'
  | 'user.suspended'
  | 'wallet.closed'
  | 'wallet.floor_lowered'
  | 'wallet.frozen'
  | 'wallet.limited'
  | 'wallet.unfrozen';

/** What was done, to what, and why. SECURITY: `details` are shown to whoever reads the log; no secret belongs there. */
export interface Act {
  action: AuditAction;
  objectType: 'api_key' | 'transaction' | 'user' | 'wallet';
  objectId: string;
  reason?: string;
  details?: Record<string, unknown>;
}

@Injectable()
export class AuditService {
  /** Writes down an act of the caller, in the transaction of `runner`. */
  async record(runner: QueryRunner, caller: Caller, act: Act): Promise<void> {
    await runner.manager.insert(AuditEntry, {
      id: newId(),
      actor: caller.scope,
      action: act.action,
      objectType: act.objectType,
      objectId: act.objectId,
      reason: act.reason ?? null,
      details: (act.details ?? null) as object,
      address: caller.address ?? null,
      requestId: caller.requestId ?? null,
      createdAt: () => 'now()',
    });
  }
}
