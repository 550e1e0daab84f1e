/** One import, from the first line to the summary. */
import type { INestApplicationContext } from '@nestjs/common';
import { OPERATOR } from '../caller.js';
import { writeFileSync } from 'node:fs';
import type { Config } from '../config.js';
import { formatAmount, parseAmount } from '../money.js';
import { TransactionsService } from '../transactions/transactions.service.js';
import { ExternalWallets } from '../wallets/external-wallets.js';
import { WalletCurrencies } from '../wallets/wallet-currencies.js';
import { WalletsService } from '../wallets/wallets.service.js';
import { AccountWallets, inParallel } from './account-wallets.js';
import type { CsvReader } from './csv.reader.js';
import type { ImportOptions } from './import.options.js';
import type { Movement } from './movement.js';
import { Progress } from './progress.js';
import { csvLine, Rejects } from './rejects.js';
import { Tally } from './tally.js';
import { ImportStopped, WavePoster } from './wave.poster.js';

export interface ImportResult {
  tally: Tally;
  wallets: AccountWallets;
  rejects: Rejects;
  /** Why it ended before the end of the file. */
  stopped?: string;
}

interface Wave {
  movements: Movement[];
  bytesRead: number;
}

/** Posts the movements of an open file. @param isStopping whether the person has asked to stop. */
export class Importer {
  private readonly wallets: AccountWallets;
  private readonly poster: WavePoster;
  private readonly walletsService: WalletsService;
  private readonly tally: Tally;
  private readonly rejects: Rejects;
  private readonly progress: Progress;
  /** A wave fills one group of the posting engine and fits its queue. */
  private readonly waveSize: number;

  constructor(
    service: INestApplicationContext,
    private readonly reader: CsvReader,
    private readonly options: ImportOptions,
    private readonly config: Config,
    private readonly isStopping: () => boolean,
  ) {
    const { currency, minimumBalance, source } = options;
    this.walletsService = service.get(WalletsService, { strict: false });
    this.wallets = new AccountWallets(
      this.walletsService,
      { ...OPERATOR, scope: `import:${source}` },
      {
        currency,
        minimumBalance,
        minimumBalanceMinor:
          minimumBalance === undefined ? undefined : parseAmount(minimumBalance, currency, { signed: true }),
        concurrency: config.databasePoolSizeMax - 1,
      },
    );
    this.tally = new Tally(currency);
    this.rejects = new Rejects(options.rejects, options.delimiter, reader.headings);
    this.progress = new Progress(options.fileBytes);
    this.poster = new WavePoster(
      service.get(TransactionsService, { strict: false }),
      service.get(WalletCurrencies, { strict: false }),
      service.get(ExternalWallets, { strict: false }),
      { currency, source, isStopping, log: (line) => this.progress.say(line) },
    );
    this.waveSize = Math.min(config.groupSizeMax, config.queueLengthMax);
  }

  /** Reads and posts until the end of the file or until it is stopped; then writes the report. */
  async run(): Promise<ImportResult> {
    const { tally, wallets, rejects } = this;
    let stopped: string | undefined;
    try {
      await this.postAll();
      if (this.isStopping()) stopped = 'Stopped on request';
      tally.finish();
      if (this.options.report !== undefined) await this.poster.insist(() => this.writeReport(this.options.report!));
    } catch (error) {
      if (!(error instanceof ImportStopped)) throw error;
      stopped = error.message;
      tally.finish();
    } finally {
      this.progress.stop();
      rejects.close();
      await this.reader.close();
    }
    return { tally, wallets, rejects, stopped };
  }

  /** Reads a wave and opens its wallets while the one before is committing. */
  private async postAll(): Promise<void> {
    let underWay: Promise<void> = Promise.resolve();
    try {
      for await (const wave of this.waves()) {
        await this.poster.insist(() => this.wallets.provide(wave.movements.map(({ accountId }) => accountId)));
        await underWay;
        if (this.isStopping()) return;
        underWay = this.postWave(wave);
        // It is awaited a few lines on; until then its failure has an owner.
        underWay.catch(() => undefined);
      }
    } finally {
      await underWay;
    }
  }

  private async postWave({ movements, bytesRead }: Wave): Promise<void> {
    await this.poster.post(movements, this.wallets.ids, (movement, outcome) => {
      this.tally.settle(movement, outcome);
      if (outcome.kind === 'refused') this.rejects.add(movement.line, outcome.reason, movement.fields);
    });
    this.progress.update(bytesRead, this.tally.settledCount);
  }

  private async *waves(): AsyncGenerator<Wave> {
    let movements: Movement[] = [];
    for await (const row of this.reader.rows()) {
      if ('bad' in row) {
        this.tally.badLines += 1;
        this.rejects.add(row.bad.line, row.bad.reason, row.bad.fields);
      } else if (movements.push(row.movement) === this.waveSize) {
        yield { movements, bytesRead: this.reader.bytesRead };
        movements = [];
      }
      if (this.isStopping()) return;
    }
    if (movements.length > 0) yield { movements, bytesRead: this.reader.bytesRead };
  }

  /** Balances as the database has them after all, not as the import added them up. */
  private async writeReport(path: string): Promise<void> {
    const rows: string[] = [];
    const accounts = [...this.wallets.ids].map(([accountId, walletId], place) => ({ accountId, walletId, place }));
    await inParallel(accounts, this.config.databasePoolSizeMax, async ({ accountId, walletId, place }) => {
      const { balance, currency } = await this.walletsService.read(walletId);
      rows[place] = csvLine([accountId, walletId, formatAmount(balance, currency)]);
    });
    writeFileSync(path, csvLine(['account_id', 'wallet_id', 'balance']) + rows.join(''));
  }
}
