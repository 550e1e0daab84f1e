/**
 * Law 2 from a wallet's first moment: a row that comes with a balance, hash or entries is held against its history at COMMIT, as one that
 * is changed. The service inserts empty wallets only, for which this costs nothing.
 *
 * And the trigger on entries asks whether anything is wrong before it looks for what: 10.3 to 11.3 µs a debit in groups instead of 12.2,
 * and 27 µs less for a lonely one.
 *
 * And the triggers cannot be deceived by temporary tables of the names of real ones.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { BROKEN, OnePass1764500000000 } from './1764500000000-one-pass.js';
import { Settle1764550000000, UNSETTLED } from './1764550000000-settle.js';

export class FromNothing1764600000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(UP);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      DROP TRIGGER wallets_begin_with_nothing ON wallets;
      DROP FUNCTION wallet_is_unsettled;
      ${OF_PUBLIC.map((name) => `ALTER FUNCTION ${name}() RESET search_path;`).join('\n      ')}`);
    await new OnePass1764500000000().up(queryRunner);
    const settle = new Settle1764550000000();
    await settle.down(queryRunner);
    await settle.up(queryRunner);
  }
}

/** The laws of the database that act as whoever writes. */
const OF_PUBLIC = ['entries_hold_the_laws', 'transactions_have_events', 'holds_add_up', 'held_is_holds'];

const UP = `
  -- By transaction as well: rows that come and go under one key leave dead versions of it, which each next one walks while any snapshot is
  -- open. With LOCKING=optimistic a debit of one wallet went from 7.8 to 23 ms within 8,000 of them.
  ALTER TABLE unsettled_wallets DROP CONSTRAINT unsettled_wallets_pkey,
    ADD COLUMN xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ADD CONSTRAINT unsettled_wallets_pkey PRIMARY KEY (xact, wallet_id);

  CREATE OR REPLACE FUNCTION balances_are_history() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
  BEGIN
    IF EXISTS (SELECT FROM new_wallets w ${UNSETTLED}) THEN
      INSERT INTO unsettled_wallets (wallet_id)
      SELECT DISTINCT w.id FROM new_wallets w ${UNSETTLED}
         AND (w.id, w.balance, w.credited, w.entry_count, coalesce(w.last_hash, ''))
             NOT IN (SELECT id, balance, credited, entry_count, coalesce(last_hash, '') FROM old_wallets)
      ON CONFLICT (xact, wallet_id) DO UPDATE SET wallet_id = excluded.wallet_id;
    END IF;
    RETURN NULL;
  END $$;

  CREATE OR REPLACE FUNCTION balance_is_history() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
  DECLARE
    broken record;
  BEGIN
    SELECT w.balance, w.entry_count INTO broken FROM wallets w ${UNSETTLED} AND w.id = NEW.wallet_id;
    IF FOUND THEN
      RAISE EXCEPTION 'wallet % has balance % and % entries, and its last entry does not say so',
        NEW.wallet_id, broken.balance, broken.entry_count USING ERRCODE = 'AW002';
    END IF;
    DELETE FROM unsettled_wallets WHERE xact = NEW.xact AND wallet_id = NEW.wallet_id;
    RETURN NULL;
  END $$;

  CREATE FUNCTION wallet_is_unsettled() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = public, pg_temp AS $$
  BEGIN
    INSERT INTO unsettled_wallets (wallet_id) VALUES (NEW.id)
    ON CONFLICT (xact, wallet_id) DO UPDATE SET wallet_id = excluded.wallet_id;
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
  END $$;

  -- Whoever may make temporary tables could make one that these would take for the real one.
  ${OF_PUBLIC.map((name) => `ALTER FUNCTION ${name}() SET search_path = public, pg_temp;`).join('\n  ')}`;
