/** Totals of a wallet over days, as a whole and by interval. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { formatAmount } from '../money.js';
import { WalletsService } from '../wallets/wallets.service.js';
import { addDays, daysMeant, startsOf } from './calendar.js';
import { standingsBefore, totalsBetween, type Totals } from './standings.js';
import type { SummaryBody, SummaryQuery, TotalsBody } from './summary.dto.js';

@Injectable()
export class SummaryService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wallets: WalletsService,
  ) {}

  /** @throws {Problem} `wallet_not_found`; `validation_failed` on days upside down, zones unknown, intervals too many */
  async read(walletId: string, query: SummaryQuery): Promise<SummaryBody> {
    const { basis, interval, time_zone } = query;
    const { id, currency } = await this.wallets.read(walletId);
    const means = { wholeDays: interval !== undefined, effective: basis === 'effective' };
    const { startDay, endDay } = await daysMeant(this.dataSource, id, query, means);
    const starts = interval === undefined ? [startDay ?? '-infinity'] : startsOf(interval, startDay!, endDay);
    const bounds = { days: [...starts, addDays(endDay, 1)], timeZone: time_zone };
    const standings = await standingsBefore(this.dataSource, id, bounds, basis);
    const intervals = starts.map((start, i) => ({
      start_date: start,
      end_date: i + 1 < starts.length ? addDays(starts[i + 1]!, -1) : endDay,
      ...totalsBody(totalsBetween(standings[i]!, standings[i + 1]!), currency),
    }));
    return {
      wallet_id: id,
      currency,
      start_date: startDay ?? null,
      end_date: endDay,
      time_zone,
      basis,
      ...totalsBody(totalsBetween(standings[0]!, standings.at(-1)!), currency),
      ...(interval === undefined ? {} : { intervals }),
    };
  }
}

/** Totals as the answers show them. */
export function totalsBody(totals: Totals, currency: string): TotalsBody {
  return {
    opening_balance: formatAmount(totals.openingMinor, currency),
    total_credit: formatAmount(totals.creditMinor, currency),
    total_debit: formatAmount(totals.debitMinor, currency),
    closing_balance: formatAmount(totals.closingMinor, currency),
    entry_count: totals.entryCount,
  };
}
