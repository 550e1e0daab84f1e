/** Setting and reading the limits of a wallet. They are checked in limit.rules.ts, under the wallet's lock. */
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type QueryRunner } from 'typeorm';
import { AuditService } from '../audit/audit.service.js';
import type { Caller } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { guardedUpdate } from '../database/guarded-update.js';
import type { RawRow } from '../database/raw-row.js';
import { inTransaction } from '../database/transaction.js';
import { Outbox } from '../events/outbox.service.js';
import { formatAmount } from '../money.js';
import { dayStartSql } from '../time-zone.js';
import { Wallet } from '../wallets/wallet.entity.js';
import { lockCustomerWallet, readAmount, WalletsService } from '../wallets/wallets.service.js';
import { turnPage } from './limit.rules.js';
import { limitState, SELECT_LIMITS } from './wallet-state.store.js';
import type { LimitsBody, LimitsDto, PeriodBody } from './wallet-states.dto.js';

@Injectable()
export class LimitsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wallets: WalletsService,
    private readonly audit: AuditService,
    private readonly outbox: Outbox,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Replaces all limits of a wallet. What was debited today and this month counts from the start.
   * @throws {Problem} `wallet_not_found`, `system_wallet`, `wallet_closed`, `precondition_failed`
   */
  set(walletId: string, dto: LimitsDto, caller: Caller): Promise<LimitsBody> {
    return inTransaction(this.dataSource, async (runner) => {
      const wallet = await lockCustomerWallet(runner, walletId);
      const maxima = maximaOf(dto, wallet.currency);
      const limited = maxima.some((max) => max !== null);
      await guardedUpdate(runner, Wallet, wallet, { limited }, caller.ifMatch);
      if (limited) await runner.query(SET_LIMITS, [walletId, this.config.limitTimeZone, ...maxima]);
      else await runner.query('DELETE FROM wallet_limits WHERE wallet_id = $1', [walletId]);
      const limits = await this.present({ ...wallet, version: wallet.version + 1 }, runner);
      await this.audit.record(runner, caller, {
        ...{ action: 'wallet.limited', objectType: 'wallet', objectId: walletId, reason: dto.reason },
        details: detailsOf(limits),
      });
      const subject = {
        id: walletId,
        version: limits.version,
        balanceMinor: wallet.balance,
        heldMinor: wallet.held - wallet.expired,
      };
      await this.outbox.record(runner, [
        { type: 'wallet.limits_changed', objectId: walletId, subjects: [subject], body: limits },
      ]);
      return limits;
    });
  }

  /** @throws {Problem} `wallet_not_found` */
  async read(walletId: string): Promise<LimitsBody> {
    return this.present(await this.wallets.read(walletId));
  }

  private async present(wallet: Wallet, runner?: QueryRunner): Promise<LimitsBody> {
    const zone = this.config.limitTimeZone;
    const [calendar]: RawRow[] = await (runner ?? this.dataSource).query(CALENDAR, [zone]);
    const [row]: RawRow[] = await (runner ?? this.dataSource).query(`${SELECT_LIMITS} WHERE wallet_id = $1`, [
      wallet.id,
    ]);
    const limits = row && limitState(row);
    if (limits) turnPage(limits, calendar!.today);
    const period = (totalMax?: bigint | null, total?: bigint, countMax?: number | null, count?: number) =>
      periodBody(wallet.currency, totalMax ?? null, total ?? null, countMax ?? null, count ?? null);
    const l = limits;
    return {
      wallet_id: wallet.id,
      currency: wallet.currency,
      time_zone: zone,
      daily: {
        ...period(l?.dailyTotalMaxMinor, l?.dayTotalMinor, l?.dailyCountMax, l?.dayCount),
        resets_at: calendar!.next_day.toISOString(),
      },
      monthly: {
        ...period(l?.monthlyTotalMaxMinor, l?.monthTotalMinor, l?.monthlyCountMax, l?.monthCount),
        resets_at: calendar!.next_month.toISOString(),
      },
      version: wallet.version,
    };
  }
}

function maximaOf(dto: LimitsDto, currency: string) {
  const total = (field: 'daily_total' | 'monthly_total') =>
    dto[field] == null ? null : readAmount(field, dto[field], currency);
  return [total('daily_total'), dto.daily_count ?? null, total('monthly_total'), dto.monthly_count ?? null];
}

/** What the limits are now, by the names of the request. */
function detailsOf({ daily, monthly, currency }: LimitsBody) {
  return {
    daily_total: daily.total_max,
    daily_count: daily.count_max,
    monthly_total: monthly.total_max,
    monthly_count: monthly.count_max,
    currency,
  };
}

function periodBody(
  currency: string,
  totalMax: bigint | null,
  total: bigint | null,
  countMax: number | null,
  count: number | null,
): Omit<PeriodBody, 'resets_at'> {
  const money = (minor: bigint | null) => (minor === null ? null : formatAmount(minor, currency));
  return {
    total_max: money(totalMax),
    total_used: money(total),
    total_left: totalMax === null ? null : money(totalMax > total! ? totalMax - total! : 0n),
    count_max: countMax,
    count_used: count,
    count_left: countMax === null ? null : Math.max(0, countMax - count!),
  };
}

const CALENDAR = `
  SELECT local.today::text AS today, ${dayStartSql('(local.today + 1)', '$1')} AS next_day,
         ${dayStartSql(`(date_trunc('month', local.today) + interval '1 month')::date`, '$1')} AS next_month
    FROM (SELECT (clock_time() AT TIME ZONE $1)::date AS today OFFSET 0) local`;

/**
 * With the first limit, what left the wallet this month is counted once; from then on the engine keeps count. It is the day when the
 * wallet is locked, not when the transaction began to wait for that: a debit in between may be of the next day.
 */
const SET_LIMITS = `
  INSERT INTO wallet_limits (wallet_id, daily_total_max, daily_count_max, monthly_total_max, monthly_count_max,
                             day, day_total, day_count, month, month_total, month_count)
  SELECT $1::uuid, $3::bigint, $4::int, $5::bigint, $6::int,
         local.day, coalesce(sum(-e.amount) FILTER (WHERE e.is_today), 0),
         count(DISTINCT e.transaction_id) FILTER (WHERE e.is_today),
         local.month, coalesce(sum(-e.amount), 0), count(DISTINCT e.transaction_id)
    FROM (SELECT today AS day, date_trunc('month', today)::date AS month
            FROM (SELECT (clock_time() AT TIME ZONE $2)::date AS today OFFSET 0) now OFFSET 0) local
    LEFT JOIN LATERAL (
      SELECT e.amount, e.transaction_id, e.created_at >= ${dayStartSql('local.day', '$2')} AS is_today
        FROM entries e JOIN transactions t ON t.id = e.transaction_id
       WHERE e.wallet_id = $1 AND e.seq > entries_before($1, ${dayStartSql('local.month', '$2')}, false)
         AND e.amount < 0 AND t.type <> 'reversal'
    ) e ON true
   GROUP BY local.day, local.month
  ON CONFLICT (wallet_id) DO UPDATE
    SET daily_total_max = excluded.daily_total_max, daily_count_max = excluded.daily_count_max,
        monthly_total_max = excluded.monthly_total_max, monthly_count_max = excluded.monthly_count_max`;
