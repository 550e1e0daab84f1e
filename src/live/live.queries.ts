/** The SQL of live balances. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { eventId, type EventPlace } from '../events/event-id.js';
import type { EventType } from '../events/event-types.js';
import { formatAmount } from '../money.js';
import { WalletCurrencies } from '../wallets/wallet-currencies.js';
import { expiredHeldSql } from '../wallets/wallet.entity.js';
import type { LiveBalanceBody } from './live.dto.js';

/** A message of a stream. */
export interface Change {
  walletId: string;
  /** Of its event; of a wallet without events nothing. */
  place?: EventPlace;
  /** As it goes over the wire. */
  message: string;
}

@Injectable()
export class LiveQueries {
  constructor(
    private readonly dataSource: DataSource,
    private readonly currencies: WalletCurrencies,
  ) {}

  /** What happened to these wallets after a position and up to another, in order. */
  async between(after: bigint, until: bigint, walletIds: string[]): Promise<Change[]> {
    return this.changes(await this.dataSource.query(BETWEEN, [String(after), String(until), walletIds]));
  }

  /** What happened to a wallet after a place, in order. */
  async ofWallet(walletId: string, { batch, ordinal }: EventPlace, most: number): Promise<Change[]> {
    return this.changes(await this.dataSource.query(OF_WALLET, [walletId, String(batch), ordinal, most]));
  }

  /** How a wallet stands, and its last event at that moment. @throws {Problem} `wallet_not_found`, `system_wallet` */
  async standing(walletId: string): Promise<Change> {
    await this.currencies.of(walletId);
    const [row]: RawRow[] = await this.dataSource.query(STANDING, [walletId]);
    return (await this.changes([row!]))[0]!;
  }

  /** Whether what came right after an event is still kept. */
  async isKept({ batch }: EventPlace): Promise<boolean> {
    const [row]: RawRow[] = await this.dataSource.query(IS_KEPT, [String(batch)]);
    return row!.is_kept;
  }

  private async changes(rows: RawRow[]): Promise<Change[]> {
    const changes: Change[] = [];
    for (const row of rows) {
      const { subject_id: walletId, version, type, object_id: objectId, at, created_at: createdAt } = row;
      const known = this.currencies.of(walletId);
      const currency = typeof known === 'string' ? known : await known;
      const [balance, held] = [BigInt(row.balance), BigInt(row.held)];
      const money = (minor: bigint) => formatAmount(minor, currency);
      const body: LiveBalanceBody = {
        ...{ wallet_id: walletId, currency, balance: money(balance), held: money(held) },
        ...{ available: money(balance - held), version, timestamp: (at as Date).toISOString() },
        ...{ type: type as EventType | null, object_id: objectId },
      };
      const place = row.batch === null ? undefined : { batch: BigInt(row.batch), ordinal: row.ordinal as number };
      const id = place ? `id: ${eventId(place, createdAt)}\n` : '';
      changes.push({ walletId, place, message: `${id}event: balance\ndata: ${JSON.stringify(body)}\n\n` });
    }
    return changes;
  }
}

const CHANGE =
  'e.subject_id, e.batch, e.ordinal, e.type, e.object_id, e.version, e.balance, e.held, b.created_at, b.created_at AS at';

/** By what is new, not by wallet: a thousand streams on idle wallets then cost nothing. Hence materialized. */
const BETWEEN = `
  WITH fresh AS MATERIALIZED (
    SELECT b.position, ${CHANGE} FROM outbox_batches b JOIN outbox e ON e.batch = b.id
     WHERE b.position > $1 AND b.position <= $2 AND e.balance IS NOT NULL)
  SELECT * FROM fresh WHERE subject_id = ANY($3::uuid[]) ORDER BY position, ordinal`;

const OF_WALLET = `
  SELECT ${CHANGE} FROM outbox e JOIN outbox_batches b ON b.id = e.batch
   WHERE e.subject_id = $1 AND (e.batch, e.ordinal) > ($2, $3) AND e.balance IS NOT NULL
   ORDER BY e.batch, e.ordinal LIMIT $4`;

/** One statement, hence one moment. */
const STANDING = `
  SELECT w.id AS subject_id, e.batch, e.ordinal, NULL AS type, NULL AS object_id, w.version, w.balance,
         w.held - (${expiredHeldSql('w')}) AS held, b.created_at, clock_now() AS at
    FROM wallets w
    LEFT JOIN LATERAL (
      SELECT batch, ordinal FROM outbox WHERE subject_id = w.id ORDER BY batch DESC, ordinal DESC LIMIT 1) e ON true
    LEFT JOIN outbox_batches b ON b.id = e.batch
   WHERE w.id = $1`;

/** A database that was restored may not have come as far as a reader has. */
const IS_KEPT = `
  SELECT coalesce($1 BETWEEN (SELECT min(id) FROM outbox_batches) AND (SELECT max(id) FROM outbox_batches), false) AS is_kept`;
