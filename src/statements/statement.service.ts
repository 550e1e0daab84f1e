/** Statements of a wallet over days: fixed as a range of entries first, then written while they are read. */
import { Injectable, Logger } from '@nestjs/common';
import { Readable } from 'node:stream';
import { DataSource } from 'typeorm';
import type { Principal } from '../caller.js';
import { Problem } from '../errors.js';
import type { User } from '../users/user.entity.js';
import { UsersService } from '../users/users.service.js';
import type { Wallet } from '../wallets/wallet.entity.js';
import { WalletsService } from '../wallets/wallets.service.js';
import { addDays, daysMeant } from './calendar.js';
import { Downloads } from './downloads.js';
import { pagesOf, type HistoryRow, type SeqRange } from './history.js';
import { standingsBefore, totalsBetween, type Totals } from './standings.js';
import { csvOf, csvPagesOf } from './statement.csv.js';
import type { StatementQuery, StatementType } from './statement.dto.js';
import { jsonOf } from './statement.json.js';
import { pdfOf } from './statement.pdf.js';

/** What every form of a statement shows. Opening + the lines = closing. */
export interface Statement<Line = HistoryRow> {
  wallet: Wallet;
  /** Null for a wallet of the house. */
  holder: User | null;
  /** Null: from the beginning. */
  startDay: string | null;
  endDay: string;
  timeZone: string;
  /** From this instant, null for the beginning, to just before that one. */
  from: Date | null;
  before: Date | null;
  totals: Totals;
  /** The lines in the order of posting, a page at a time. To be read once. */
  pages: AsyncIterable<Line[]>;
}

export interface Download {
  type: StatementType;
  fileName: string;
  content: Readable;
}

/** 20,000 lines are 420 pages and take 9 s to lay out, 22 ms a page; nobody reads more. */
export const PDF_LINES_MAX = 20_000;

/**
 * How a form is named, gets its lines and writes them. The first page is read before anything is written: what fails there is
 * still a problem with a status of its own.
 */
function form<Line>(
  extension: string,
  read: (dataSource: DataSource, range: SeqRange, currency: string) => AsyncGenerator<Line[], void>,
  write: (statement: Statement<Line>) => AsyncIterable<string | Buffer>,
) {
  const begin = async (dataSource: DataSource, { statement, range }: Opened) => {
    const pages = await begun(read(dataSource, range, statement.wallet.currency));
    return Readable.from(write({ ...statement, pages }), { objectMode: false });
  };
  return { extension, begin };
}

const FORMS = {
  'application/json': form('json', pagesOf, jsonOf),
  'text/csv': form('csv', csvPagesOf, csvOf),
  'application/pdf': form('pdf', pagesOf, pdfOf),
} satisfies Record<StatementType, ReturnType<typeof form>>;

/** A statement whose lines are known and not read yet. */
interface Opened {
  statement: Omit<Statement, 'pages'>;
  range: SeqRange;
}

@Injectable()
export class StatementService {
  private readonly logger = new Logger('Statement');

  constructor(
    private readonly dataSource: DataSource,
    private readonly wallets: WalletsService,
    private readonly users: UsersService,
    private readonly downloads: Downloads,
  ) {}

  /**
   * A statement as a stream that reads no further than it is drained, and stops where its reader goes away. What fails
   * once it has begun destroys it, and with it the connection: half a statement never ends like a whole one.
   * @throws {Problem} `wallet_not_found`; `validation_failed` on days upside down, zones unknown, a PDF too long; `rate_limited`,
   *   `overloaded` where too many are under way
   */
  async write(walletId: string, query: StatementQuery, type: StatementType, caller: Principal): Promise<Download> {
    const opened = await this.open(walletId, query);
    const { statement } = opened;
    if (type === 'application/pdf' && statement.totals.entryCount > PDF_LINES_MAX) {
      const most = `spans more than ${PDF_LINES_MAX} lines, the most a PDF has`;
      throw Problem.field('start_date', `${most}: ask for fewer days, or for text/csv`);
    }
    const { extension, begin } = FORMS[type];
    const content = await this.downloads.begin(() => begin(this.dataSource, opened), caller);
    content.once('error', (error) => this.logger.error(`a statement of ${walletId} was cut: ${error.stack}`));
    const days = [statement.startDay, statement.endDay].filter((day) => day !== null).join('-');
    return { type, fileName: `statement-${walletId}-${days}.${extension}`, content };
  }

  private async open(walletId: string, query: StatementQuery): Promise<Opened> {
    const wallet = await this.wallets.read(walletId);
    const means = { wholeDays: false, effective: false };
    const { startDay, endDay } = await daysMeant(this.dataSource, walletId, query, means);
    const bounds = { days: [startDay ?? '-infinity', addDays(endDay, 1)], timeZone: query.time_zone };
    const [opening, closing] = await standingsBefore(this.dataSource, walletId, bounds);
    const statement = {
      wallet,
      holder: wallet.userId === null ? null : await this.users.read(wallet.userId),
      startDay: startDay ?? null,
      endDay,
      timeZone: query.time_zone,
      from: opening!.instant,
      before: closing!.instant,
      totals: totalsBetween(opening!, closing!),
    };
    return { statement, range: { walletId, afterSeq: opening!.count, lastSeq: closing!.count } };
  }
}

/** The pages, the first of them read already. */
async function begun<T>(pages: AsyncGenerator<T, void>): Promise<AsyncIterable<T>> {
  const first = await pages.next();
  return (async function* () {
    if (first.done) return;
    yield first.value;
    yield* pages;
  })();
}
