/**
 * External wallets: the world outside, the other side of every credit and debit. There is one for each currency
 * and stripe, and a process uses one stripe, so processes do not queue behind one row. Their sum is what came in
 * less what went out.
 */
import { Inject, Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import { Wallet } from './wallet.entity.js';

@Injectable()
export class ExternalWallets {
  private readonly known = new Map<string, string | Promise<string>>();

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Id of this process's external wallet of a currency. Created at the first use, then answered from memory. */
  idFor(currency: string): string | Promise<string> {
    const known = this.known.get(currency);
    if (known !== undefined) return known;
    const creating = this.create(currency);
    this.known.set(currency, creating);
    creating.then(
      (id) => this.known.set(currency, id),
      () => this.known.delete(currency),
    );
    return creating;
  }

  private async create(currency: string): Promise<string> {
    const id = externalWalletId(currency, this.config.externalStripe);
    await this.dataSource
      .createQueryBuilder()
      .insert()
      .into(Wallet)
      .values({
        id,
        userId: null,
        kind: 'external',
        currency,
        label: `external:${this.config.externalStripe}`,
        status: 'active',
        balance: 0n,
        held: 0n,
        minimumBalance: 0n,
        entryCount: 0,
        metadata: null,
      })
      .orIgnore()
      .execute();
    return id;
  }
}

/**
 * The id of an external wallet follows from its currency and stripe, so that two processes which create it at once
 * meet on the primary key. It has the form of a UUID v7 of the year 1970, with hash bits where chance would be.
 */
export function externalWalletId(currency: string, stripe: number): string {
  const hash = createHash('sha256').update(`external ${currency} ${stripe}`).digest('hex');
  return `${OF_1970}${hash.slice(0, 3)}-8${hash.slice(3, 6)}-${hash.slice(6, 18)}`;
}

/** Tells external wallets from those of customers, whose ids are of this century. */
export function isExternalWalletId(id: string): boolean {
  return id.startsWith(OF_1970);
}

const OF_1970 = '00000000-0000-7';
