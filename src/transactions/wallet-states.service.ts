/** Freezing, unfreezing and closing wallets. They take their turn among the postings, as they decide what may pass. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { originOf, type Caller } from '../caller.js';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import type { Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { CURSOR_ID, pageOf, readCursor, type Page, type PageQuery } from '../paging.js';
import { WalletCurrencies } from '../wallets/wallet-currencies.js';
import type { ChangeStatus, Posted, StatusChange } from './ledger.js';
import { PostingService } from './posting.service.js';
import {
  statusChangeBody,
  type CloseDto,
  type FreezeDto,
  type ReasonDto,
  type StatusChangeBody,
} from './wallet-states.dto.js';

@Injectable()
export class WalletStatesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly postings: PostingService,
    private readonly currencies: WalletCurrencies,
  ) {}

  /** Lets nothing out of a wallet, or nothing in or out. A frozen one may be frozen anew with the other mode. */
  freeze(walletId: string, { reason, mode }: FreezeDto, caller: Caller, isDryRun: boolean) {
    return this.change(walletId, { status: 'frozen', freezeMode: mode, reason }, caller, isDryRun);
  }

  unfreeze(walletId: string, { reason }: ReasonDto, caller: Caller, isDryRun: boolean) {
    return this.change(walletId, { status: 'active', reason }, caller, isDryRun);
  }

  /** Closes a wallet for good, empty or swept into another one. */
  async close(walletId: string, dto: CloseDto, caller: Caller, isDryRun: boolean): Promise<Answer<StatusChangeBody>> {
    const { reason, sweep_to_wallet_id: to } = dto;
    if (to === walletId) throw Problem.field('sweep_to_wallet_id', 'must be another wallet');
    if (to !== undefined) {
      const [currency, toCurrency] = [await this.currencies.of(walletId), await this.currencies.of(to)];
      if (toCurrency !== currency) {
        throw new Problem('currency_mismatch', `The wallet holds ${currency}, the one to sweep into ${toCurrency}.`);
      }
    }
    return this.change(walletId, { status: 'closed', reason }, caller, isDryRun, to);
  }

  /** Who changed the status of a wallet, when and why; latest first. @throws {Problem} `wallet_not_found` */
  async list(walletId: string, query: PageQuery): Promise<Page<StatusChangeBody>> {
    await this.currencies.of(walletId);
    const list = `status-changes/${walletId}`;
    const after = readCursor(list, query.cursor, CURSOR_ID) ?? 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    const rows: RawRow[] = await this.dataSource.query(
      'SELECT * FROM wallet_status_changes WHERE wallet_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3',
      [walletId, after, query.limit + 1],
    );
    return pageOf(
      list,
      rows,
      query.limit,
      (row) => row.id,
      (row) => statusChangeBody(statusChange(row)),
    );
  }

  private async change(
    walletId: string,
    to: Pick<ChangeStatus, 'status' | 'freezeMode' | 'reason'>,
    caller: Caller,
    isDryRun: boolean,
    sweepTo?: string,
  ): Promise<Answer<StatusChangeBody>> {
    await this.currencies.of(walletId); // it exists, and is nobody's but a customer's
    const build = (): ChangeStatus => ({
      ...{ kind: 'status', id: newId(), actor: caller.scope, origin: originOf(caller), walletId, ...to },
      sweepTo: sweepTo === undefined ? undefined : { walletId: sweepTo, transactionId: newId() },
      ifMatch: caller.ifMatch === undefined ? undefined : { walletId, version: caller.ifMatch },
    });
    const present = ({ statusChange }: Posted) => ({ statusCode: 201, body: statusChangeBody(statusChange!) });
    const request = ['status', walletId, to.status, to.freezeMode, to.reason, sweepTo];
    const answer = await this.postings.other(caller, request, build, present, isDryRun);
    return isDryRun ? { ...answer, body: { ...answer.body, transaction_id: null } } : answer;
  }
}

function statusChange(row: RawRow): StatusChange {
  return {
    id: row.id,
    walletId: row.wallet_id,
    status: row.status,
    freezeMode: row.freeze_mode,
    reason: row.reason,
    actor: row.actor,
    transactionId: row.transaction_id,
    createdAt: row.created_at,
  };
}
