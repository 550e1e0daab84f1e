/**
 * What is a person's own. Somebody else's object is answered like one that does not exist, to the letter. The owner of a
 * wallet never changes, and so is kept in memory.
 */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import type { Own } from './access.js';

/** About 150 bytes each. */
const WALLETS_KEPT_MAX = 100_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

@Injectable()
export class Ownership {
  private readonly owners = new Map<string, string | null>();

  constructor(private readonly dataSource: DataSource) {}

  /**
   * Refuses what is not the person's. What is no id is for the validation to refuse.
   * @throws {Problem} what an absent object would be answered with.
   */
  check(own: Exclude<Own, 'self'>, id: unknown, userId: string): Promise<void> | undefined {
    // Nearly always, and at once.
    if (own === 'wallet_id' && this.owners.get(id as string) === userId) return undefined;
    return typeof id === 'string' && UUID.test(id) ? this.lookUp(own, id, userId) : undefined;
  }

  private async lookUp(own: Exclude<Own, 'self'>, id: string, userId: string): Promise<void> {
    switch (own) {
      case 'user_id':
        if (id !== userId) throw new Problem('user_not_found', `There is no user ${id}.`);
        return;
      case 'wallet_id':
        return this.checkWallet(id, userId);
      case 'hold_id': {
        const [hold]: RawRow[] = await this.dataSource.query('SELECT wallet_id FROM holds WHERE id = $1', [id]);
        if (hold && (await this.isOwn(hold.wallet_id, userId))) return;
        throw new Problem('hold_not_found', `There is no hold ${id}.`);
      }
      case 'schedule_id': {
        const [schedule]: RawRow[] = await this.dataSource.query('SELECT user_id FROM schedules WHERE id = $1', [id]);
        if (schedule?.user_id === userId) return;
        throw new Problem('schedule_not_found', `There is no schedule ${id}.`);
      }
      case 'transaction_id': {
        const entries: RawRow[] = await this.dataSource.query(
          'SELECT wallet_id FROM entries WHERE transaction_id = $1',
          [id],
        );
        const owners = await this.ownersOf(entries.map((entry): string => entry.wallet_id));
        if ([...owners.values()].includes(userId)) return;
        throw new Problem('transaction_not_found', `There is no transaction ${id}.`);
      }
    }
  }

  /** @throws {Problem} `wallet_not_found` */
  async checkWallet(id: string, userId: string): Promise<void> {
    if (!(await this.isOwn(id, userId))) throw new Problem('wallet_not_found', `There is no wallet ${id}.`);
  }

  async isOwn(walletId: string, userId: string): Promise<boolean> {
    return (this.owners.get(walletId) ?? (await this.ownersOf([walletId])).get(walletId)) === userId;
  }

  /** The owners of wallets; null of the house and of the world outside. Wallets that do not exist are left out. */
  async ownersOf(walletIds: string[]): Promise<Map<string, string | null>> {
    const missing = walletIds.filter((id) => !this.owners.has(id));
    const found = new Map<string, string | null>();
    if (missing.length > 0) {
      const rows: RawRow[] = await this.dataSource.query('SELECT id, user_id FROM wallets WHERE id = ANY($1::uuid[])', [
        missing,
      ]);
      for (const { id, user_id } of rows) found.set(id, user_id);
    }
    for (const id of walletIds) {
      const owner = this.owners.get(id);
      if (owner !== undefined) found.set(id, owner);
    }
    for (const [id, owner] of found) this.keep(id, owner);
    return found;
  }

  private keep(walletId: string, owner: string | null): void {
    if (this.owners.size >= WALLETS_KEPT_MAX) this.owners.delete(this.owners.keys().next().value!);
    this.owners.set(walletId, owner);
  }
}
