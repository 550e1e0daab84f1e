/** The wallet of each account: one of the house (no user), with the account's id as its label. */
import type { Caller } from '../caller.js';
import { Problem } from '../errors.js';
import type { WalletsService } from '../wallets/wallets.service.js';

export interface AccountWalletsOptions {
  currency: string;
  /** Floor of the wallets that are opened; left out, the service's default. */
  minimumBalance?: string;
  /** The same in minor units, to tell where a wallet that is there already has another. */
  minimumBalanceMinor?: bigint;
  /** Wallets looked up and opened at the same time. Each takes a database connection, and the postings need one. */
  concurrency: number;
}

export class AccountWallets {
  /** Wallet ids by account id: the one thing that grows with the file, by some 200 bytes an account. */
  readonly ids = new Map<string, string>();
  openedCount = 0;
  /** Wallets that were there with another minimum balance than the one asked for. They are left as they are. */
  otherFloorCount = 0;

  constructor(
    private readonly wallets: WalletsService,
    private readonly caller: Caller,
    private readonly options: AccountWalletsOptions,
  ) {}

  /** Sees to it that each of the accounts has a wallet. May be repeated after a failure. */
  async provide(accountIds: Iterable<string>): Promise<void> {
    const missing = [...new Set(accountIds)].filter((id) => !this.ids.has(id));
    const found = new Map<string, string>();
    try {
      await inParallel(missing, this.options.concurrency, async (accountId) => {
        found.set(accountId, (await this.find(accountId)) ?? (await this.open(accountId)));
      });
    } finally {
      // In the order of the file, whoever was faster: the report is in this order.
      for (const accountId of missing) if (found.has(accountId)) this.ids.set(accountId, found.get(accountId)!);
    }
  }

  private async find(accountId: string): Promise<string | undefined> {
    const wallet = await this.wallets.findByName(undefined, this.options.currency, accountId);
    const { minimumBalanceMinor } = this.options;
    if (wallet && minimumBalanceMinor !== undefined && wallet.minimumBalance !== minimumBalanceMinor) {
      this.otherFloorCount += 1;
    }
    return wallet?.id;
  }

  private async open(accountId: string): Promise<string> {
    const { currency, minimumBalance } = this.options;
    try {
      const { body } = await this.wallets.open(
        { currency, label: accountId, minimum_balance: minimumBalance },
        this.caller,
      );
      this.openedCount += 1;
      return body.id;
    } catch (error) {
      // Another import of the same accounts runs beside this one and was faster.
      const id = error instanceof Problem && error.code === 'wallet_exists' ? await this.find(accountId) : undefined;
      if (id === undefined) throw error;
      return id;
    }
  }
}

/** Runs `work` on all items, so many at a time. The first failure is thrown once those under way have ended. */
export async function inParallel<T>(
  items: readonly T[],
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const worker = async () => {
    while (next < items.length && !failed) {
      await work(items[next++]!).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(concurrency, items.length) }, worker));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}
