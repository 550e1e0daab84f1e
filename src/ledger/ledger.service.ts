/** What operators ask of the ledger as a whole. Read only. */
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import { formatAmount } from '../money.js';
import { expiredHeldSql } from '../wallets/wallet.entity.js';
import { checkBody, type CheckBody, type CurrencyBalanceBody, type TrialBalanceBody } from './ledger.dto.js';
import { checkLedger } from './ledger.checker.js';

@Injectable()
export class LedgerService {
  /** A check takes a connection and a processor for as long as it runs: one at a time, and who asks the same shares it. */
  private running?: { walletId: string | undefined; body: Promise<CheckBody> };

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Re-derives every law from the rows, of one wallet or of all.
   * @throws {Problem} `wallet_not_found`, `ledger_too_large`; `overloaded` while another check runs
   */
  async check(walletId: string | undefined): Promise<CheckBody> {
    if (this.running && this.running.walletId !== walletId) {
      throw new Problem('overloaded', 'Another check is running.', { retryAfterSeconds: 5 });
    }
    this.running ??= { walletId, body: this.runCheck(walletId).finally(() => (this.running = undefined)) };
    return this.running.body;
  }

  private async runCheck(walletId: string | undefined): Promise<CheckBody> {
    const { ledgerCheckEntriesMax: max, limitTimeZone } = this.config;
    const [{ entries }] = await this.dataSource.query(
      'SELECT count(*)::int AS entries FROM (SELECT FROM entries WHERE $1::uuid IS NULL OR wallet_id = $1 LIMIT $2) e',
      [walletId ?? null, max + 1],
    );
    if (entries > max) {
      const what = walletId === undefined ? 'The ledger' : `Wallet ${walletId}`;
      throw new Problem('ledger_too_large', `${what} has more than ${max.toLocaleString('en-US')} entries.`);
    }
    const result = await checkLedger(this.dataSource, { walletId, limitTimeZone });
    if (walletId !== undefined && result.walletCount + result.entryCount === 0) {
      throw new Problem('wallet_not_found', `There is no wallet ${walletId}.`);
    }
    return checkBody(result);
  }

  /** All money by currency and kind of owner, from the balances of the wallets, in one snapshot. */
  async trialBalance(): Promise<TrialBalanceBody> {
    const rows: RawRow[] = await this.dataSource.query(TRIAL_BALANCE);
    const currencies = rows.filter(({ currency }) => currency !== null).map(currencyBalance);
    return {
      is_balanced: currencies.every(({ is_balanced }) => is_balanced),
      at: (rows[0]!.at as Date).toISOString(),
      currencies,
    };
  }
}

function currencyBalance(row: RawRow): CurrencyBalanceBody {
  const money = (minor: string) => formatAmount(BigInt(minor), row.currency);
  const balanceOf = (prefix: string) => BigInt(row[`${prefix}_balance`]);
  const totalMinor = balanceOf('people') + balanceOf('house') + balanceOf('external');
  const side = (prefix: string) => ({
    wallets: Number(row[`${prefix}_wallets`]),
    balance: money(row[`${prefix}_balance`]),
    held: money(row[`${prefix}_held`]),
  });
  return {
    currency: row.currency,
    people: side('people'),
    house: side('house'),
    external: money(row.external_balance),
    total: formatAmount(totalMinor, row.currency),
    total_debit: money(row.debited),
    total_credit: money(row.credited),
    is_balanced: totalMinor === 0n && row.debited === row.credited,
  };
}

const totals = (name: string, who: string) => `
  count(*) FILTER (WHERE ${who}) AS ${name}_wallets,
  coalesce(sum(balance) FILTER (WHERE ${who}), 0)::text AS ${name}_balance,
  coalesce(sum(held - expired) FILTER (WHERE ${who}), 0)::text AS ${name}_held`;

/** The row with the time is always there, also where there is no wallet yet. */
const TRIAL_BALANCE = `
  SELECT clock.at, t.* FROM (SELECT clock_now() AS at) clock LEFT JOIN (
    SELECT currency,
           ${totals('people', `kind = 'customer' AND user_id IS NOT NULL`)},
           ${totals('house', `kind = 'customer' AND user_id IS NULL`)},
           ${totals('external', `kind = 'external'`)},
           sum(credited)::text AS credited, sum(credited - balance)::text AS debited
      FROM (SELECT *, ${expiredHeldSql('w')} AS expired FROM wallets w) w GROUP BY currency
  ) t ON true ORDER BY currency`;
