/** Holds: money that is set aside now and taken later. What they do to wallets is decided in hold.rules.ts. */
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Caller } from '../caller.js';
import { Clock } from '../clock/clock.js';
import { CONFIG, HOLD_DAYS_MAX, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import type { Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import { formatAmount } from '../money.js';
import { CURSOR_ID, CURSOR_VERSION, pageOf, readCursor, type Page, type PageQuery } from '../paging.js';
import { ExternalWallets } from '../wallets/external-wallets.js';
import { WalletCurrencies } from '../wallets/wallet-currencies.js';
import { readAmount } from '../wallets/wallets.service.js';
import { holdState } from './hold.store.js';
import {
  holdBody,
  type CaptureDto,
  type ChangeHoldDto,
  type HoldBody,
  type HoldChangeBody,
  type ListHoldsQuery,
  type ReserveDto,
} from './holds.dto.js';
import type { HoldState, Posted, Posting } from './ledger.js';
import { PostingService } from './posting.service.js';
import type { TransactionBody } from './transactions.dto.js';
import { instantOf, notesOf } from './transactions.service.js';

const DAY_MS = 24 * 3_600_000;

@Injectable()
export class HoldsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly postings: PostingService,
    private readonly currencies: WalletCurrencies,
    private readonly externals: ExternalWallets,
    private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Sets money of a wallet aside. */
  async reserve(walletId: string, dto: ReserveDto, caller: Caller, isDryRun: boolean): Promise<Answer<HoldBody>> {
    const currency = await this.currencies.of(walletId);
    const amountMinor = readAmount('amount', dto.amount, currency);
    const asked = this.expiryOf(dto.expires_at);
    const notes = notesOf(dto);
    const build = (): Posting => ({
      ...{ kind: 'reserve', id: newId(), actor: caller.scope, walletId, amountMinor, ...notes },
      expiresAt: asked ?? new Date(this.clock.now() + this.config.holdDaysDefault * DAY_MS),
      ifMatch: guard(walletId, caller),
    });
    const request = ['hold', walletId, amountMinor, asked, ...Object.values(notes)];
    return this.postings.other(caller, request, build, present(201, currency), isDryRun);
  }

  /** Raises, lowers or extends a hold. `If-Match` is the hold's. */
  async change(holdId: string, dto: ChangeHoldDto, caller: Caller, isDryRun: boolean): Promise<Answer<HoldBody>> {
    const { walletId, currency } = await this.find(holdId);
    const amountMinor = dto.amount === undefined ? undefined : readAmount('amount', dto.amount, currency);
    const expiresAt = this.expiryOf(dto.expires_at);
    if (amountMinor === undefined && !expiresAt) throw Problem.field('amount', 'or expires_at is needed');
    const build = (): Posting => ({
      ...{ kind: 'change_hold', id: newId(), actor: caller.scope, holdId, walletId, amountMinor, expiresAt },
      ifMatch: guard(walletId, caller),
    });
    const request = ['hold.change', holdId, amountMinor, expiresAt];
    return known(holdId, await this.postings.other(caller, request, build, present(200, currency), isDryRun));
  }

  /** Takes money of a hold, to another wallet or outside. `If-Match` is the hold's. */
  async capture(holdId: string, dto: CaptureDto, caller: Caller, isDryRun: boolean): Promise<Answer<TransactionBody>> {
    const { walletId, currency } = await this.find(holdId);
    const { to_wallet_id: to, final: isFinal } = dto;
    if (to === walletId) throw Problem.field('to_wallet_id', 'must be another wallet than the one of the hold');
    const toCurrency = to === undefined ? currency : await this.currencies.of(to);
    if (toCurrency !== currency) {
      throw new Problem('currency_mismatch', `The hold is in ${currency}, the other wallet holds ${toCurrency}.`);
    }
    const toWalletId = to ?? (await this.externals.idFor(currency));
    const amountMinor = dto.amount === undefined ? undefined : readAmount('amount', dto.amount, currency);
    const notes = notesOf(dto);
    const effectiveAt = instantOf(dto.effective_at);
    const { captureTolerancePercent: tolerancePercent } = this.config;
    const build = (): Posting => ({
      ...{ kind: 'capture', id: newId(), actor: caller.scope, holdId, walletId, toWalletId, amountMinor, isFinal },
      ...{ tolerancePercent, effectiveAt, ...notes },
      ifMatch: guard(walletId, caller),
    });
    const request = ['capture', holdId, to, amountMinor, isFinal, ...Object.values(notes), effectiveAt];
    return this.postings.transaction(caller, request, build, isDryRun);
  }

  /** Ends a hold; what is left of it is free again. `If-Match` is the hold's. */
  async void(holdId: string, caller: Caller, isDryRun: boolean): Promise<Answer<HoldBody>> {
    const { walletId, currency } = await this.find(holdId);
    const build = (): Posting => ({
      ...{ kind: 'void', id: newId(), actor: caller.scope, holdId, walletId },
      ifMatch: guard(walletId, caller),
    });
    return known(holdId, await this.postings.other(caller, ['void', holdId], build, present(201, currency), isDryRun));
  }

  /** @throws {Problem} `hold_not_found` */
  async read(holdId: string): Promise<HoldBody> {
    const hold = await this.find(holdId);
    return holdBody(hold, hold.currency);
  }

  /** The holds of a wallet, newest first. @throws {Problem} `wallet_not_found` */
  async list(walletId: string, query: ListHoldsQuery): Promise<Page<HoldBody>> {
    const currency = await this.currencies.of(walletId);
    const parameters: unknown[] = [walletId, query.limit + 1];
    const bind = (value: unknown) => `$${parameters.push(value)}`;
    const list = `holds/${walletId}`;
    const after = readCursor(list, query.cursor, CURSOR_ID);
    const where = ['wallet_id = $1'];
    if (after !== undefined) where.push(`id < ${bind(after)}`);
    if (query.status !== undefined) where.push(`${STATUS_NOW} = ${bind(query.status)}`);
    const rows: RawRow[] = await this.dataSource.query(
      `${SELECT_HOLD} WHERE ${where.join(' AND ')} ORDER BY id DESC LIMIT $2`,
      parameters,
    );
    return pageOf(
      list,
      rows,
      query.limit,
      (row) => row.id,
      (row) => holdBody(holdNow(row), currency),
    );
  }

  /** What happened to a hold, latest first. @throws {Problem} `hold_not_found` */
  async changes(holdId: string, query: PageQuery): Promise<Page<HoldChangeBody>> {
    const { currency } = await this.find(holdId);
    const list = `changes/${holdId}`;
    const after = readCursor(list, query.cursor, CURSOR_VERSION) ?? '999999999';
    const rows: RawRow[] = await this.dataSource.query(
      'SELECT * FROM hold_changes WHERE hold_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3',
      [holdId, after, query.limit + 1],
    );
    return pageOf(
      list,
      rows,
      query.limit,
      (row) => String(row.version),
      (row) => holdChangeBody(row, currency),
    );
  }

  /**
   * That it is to come is for the rules to say: the request that repeats a key may come after that time.
   * @throws {Problem} on a time that is more than a year away
   */
  private expiryOf(text: string | undefined): Date | undefined {
    const expiresAt = instantOf(text);
    if (!expiresAt) return undefined;
    const fromNowMs = expiresAt.getTime() - this.clock.now();
    if (fromNowMs > HOLD_DAYS_MAX * DAY_MS) throw Problem.field('expires_at', `must be within ${HOLD_DAYS_MAX} days`);
    return expiresAt;
  }

  private async find(holdId: string): Promise<HoldState & { currency: string }> {
    const [row]: RawRow[] = await this.dataSource.query(`${SELECT_HOLD} WHERE id = $1`, [holdId]);
    if (!row) throw new Problem('hold_not_found', `There is no hold ${holdId}.`);
    return { ...holdNow(row), currency: await this.currencies.of(row.wallet_id) };
  }
}

/** A hold past its time has expired, whether or not anything has written that down yet. */
const STATUS_NOW = `CASE WHEN status = 'active' AND expires_at <= clock_now() THEN 'expired' ELSE status END`;
const SELECT_HOLD = `SELECT *, ${STATUS_NOW} AS status_now FROM holds`;

function holdNow(row: RawRow): HoldState {
  return { ...holdState(row), status: row.status_now };
}

function holdChangeBody(row: RawRow, currency: string): HoldChangeBody {
  return {
    version: row.version,
    action: row.action,
    status: row.status,
    amount: formatAmount(BigInt(row.amount), currency),
    captured: formatAmount(BigInt(row.captured), currency),
    expires_at: row.expires_at.toISOString(),
    transaction_id: row.transaction_id,
    actor: row.actor,
    created_at: row.created_at.toISOString(),
  };
}

/** A dry run leaves ids out; this hold has its own already. */
function known(id: string, answer: Answer<HoldBody>): Answer<HoldBody> {
  return { ...answer, body: { ...{ id }, ...answer.body } };
}

function present(statusCode: number, currency: string) {
  return ({ holdStep }: Posted) => ({ statusCode, body: holdBody(holdStep!.hold, currency) });
}

function guard(walletId: string, { ifMatch: version }: Caller) {
  return version === undefined ? undefined : { walletId, version };
}
