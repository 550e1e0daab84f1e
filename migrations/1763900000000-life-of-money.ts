/**
 * Holds, reversals, many legs, wallet states, limits, and a history that can be read at any instant and proved.
 *
 * Why entries grew by 50 bytes:
 *   credited_after: all that came in so far. With balance_after it makes the totals between any two entries a matter
 *     of two rows, however many lie between. Posting times never run backwards within a wallet, so the entry at an
 *     instant is found by halving (`entries_before`), and no index by time has to be written with every entry;
 *   hash: the chain of tamper evidence (src/transactions/entry.hash.ts);
 *   effective_at: only where it differs from the posting time, with an index over just those.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';
import {
  BALANCE_IS_HISTORY,
  BALANCE_IS_HISTORY_TRIGGER,
  ENTRIES_HOLD_THE_LAWS,
} from './1763800000000-create-ledger.js';
import { CHAIN_START, entryHash, transactionDigest } from '../src/transactions/entry.hash.js';

export class LifeOfMoney1763900000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(TABLES);
    await fillHistory(queryRunner);
    await queryRunner.query(LAWS);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(DOWN);
  }
}

const TABLES = `
  ALTER TABLE wallets
    ADD COLUMN credited bigint NOT NULL DEFAULT 0,
    ADD COLUMN shortfall bigint NOT NULL DEFAULT 0 CONSTRAINT wallets_shortfall_not_negative CHECK (shortfall >= 0),
    ADD COLUMN last_hash bytea,
    ADD COLUMN holds_expire_at timestamptz,
    ADD COLUMN freeze_mode text CONSTRAINT wallets_freeze_mode_known CHECK (freeze_mode IN ('debits', 'all')),
    ADD COLUMN limited boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT wallets_frozen_has_mode CHECK ((status = 'frozen') = (freeze_mode IS NOT NULL)),
    ADD CONSTRAINT wallets_closed_is_empty CHECK (status <> 'closed' OR (balance = 0 AND held = 0)),
    DROP CONSTRAINT wallets_floor_holds,
    -- Law 3. A reversal that an operator allows below the floor is kept as a shortfall, which only shrinks.
    ADD CONSTRAINT wallets_floor_holds
      CHECK (kind = 'external' OR entry_count = 0 OR balance - held >= minimum_balance - shortfall);

  ALTER TABLE transactions
    ALTER COLUMN amount DROP NOT NULL,
    ALTER COLUMN currency DROP NOT NULL,
    ADD COLUMN hold_id uuid,
    ADD COLUMN reason text,
    DROP CONSTRAINT transactions_type_known,
    ADD CONSTRAINT transactions_type_known
      CHECK (type IN ('credit', 'debit', 'transfer', 'journal', 'capture', 'reversal')),
    ADD CONSTRAINT transactions_amount_has_currency CHECK ((amount IS NULL) = (currency IS NULL)),
    ADD CONSTRAINT transactions_reversal_names_original CHECK ((type = 'reversal') = (reverses_id IS NOT NULL)),
    ADD CONSTRAINT transactions_capture_names_hold CHECK ((type = 'capture') = (hold_id IS NOT NULL));
  CREATE INDEX transactions_reverses_id_idx ON transactions (reverses_id) WHERE reverses_id IS NOT NULL;
  CREATE INDEX transactions_hold_id_idx ON transactions (hold_id) WHERE hold_id IS NOT NULL;

  ALTER TABLE entries
    ADD COLUMN leg smallint,
    ADD COLUMN credited_after bigint,
    ADD COLUMN effective_at timestamptz,
    ADD COLUMN hash bytea;

  CREATE TABLE holds (
    id           uuid        NOT NULL CONSTRAINT holds_pkey PRIMARY KEY,
    wallet_id    uuid        NOT NULL,
    amount       bigint      NOT NULL CONSTRAINT holds_amount_positive CHECK (amount > 0),
    captured     bigint      NOT NULL DEFAULT 0 CONSTRAINT holds_captured_not_negative CHECK (captured >= 0),
    status       text        NOT NULL
      CONSTRAINT holds_status_known CHECK (status IN ('active', 'captured', 'voided', 'expired')),
    expires_at   timestamptz NOT NULL,
    description  text,
    reference    text,
    metadata     jsonb,
    actor        text        NOT NULL,
    version      integer     NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT holds_active_has_rest CHECK (status <> 'active' OR captured < amount)
  );
  CREATE INDEX holds_wallet_id_idx ON holds (wallet_id, id);
  CREATE INDEX holds_active_idx ON holds (wallet_id, expires_at) WHERE status = 'active';
  CREATE INDEX holds_expiry_idx ON holds (expires_at) WHERE status = 'active';

  -- What happened to a hold, one row a step.
  CREATE TABLE hold_changes (
    hold_id         uuid        NOT NULL,
    version         integer     NOT NULL,
    action          text        NOT NULL
      CONSTRAINT hold_changes_action_known CHECK (action IN ('created', 'changed', 'captured', 'voided', 'expired')),
    amount          bigint      NOT NULL,
    captured        bigint      NOT NULL,
    status          text        NOT NULL,
    expires_at      timestamptz NOT NULL,
    transaction_id  uuid,
    actor           text        NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT hold_changes_pkey PRIMARY KEY (hold_id, version)
  );

  -- Who froze, released or closed a wallet, when and why.
  CREATE TABLE wallet_status_changes (
    id              uuid        NOT NULL,
    wallet_id       uuid        NOT NULL,
    status          text        NOT NULL,
    freeze_mode     text,
    reason          text        NOT NULL,
    actor           text        NOT NULL,
    transaction_id  uuid,
    created_at      timestamptz NOT NULL,
    CONSTRAINT wallet_status_changes_pkey PRIMARY KEY (wallet_id, id)
  );

  -- Limits of a wallet and what is used of them; a row only where there are any.
  CREATE TABLE wallet_limits (
    wallet_id            uuid    NOT NULL CONSTRAINT wallet_limits_pkey PRIMARY KEY,
    daily_total_max      bigint,
    daily_count_max      integer,
    monthly_total_max    bigint,
    monthly_count_max    integer,
    day                  date    NOT NULL,
    day_total            bigint  NOT NULL DEFAULT 0,
    day_count            integer NOT NULL DEFAULT 0,
    month                date    NOT NULL,
    month_total          bigint  NOT NULL DEFAULT 0,
    month_count          integer NOT NULL DEFAULT 0
  );
`;

const PAGE_SIZE = 5_000;

/** Gives entries that exist already their leg, running total and hash. */
async function fillHistory(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
    ALTER TABLE entries DISABLE TRIGGER entries_append_only;
    UPDATE entries e SET leg = x.leg, credited_after = x.credited_after, effective_at = x.effective_at
      FROM (SELECT e.wallet_id, e.seq, nullif(t.effective_at, e.created_at) AS effective_at,
                   row_number() OVER (PARTITION BY e.transaction_id ORDER BY e.amount, e.wallet_id) - 1 AS leg,
                   sum(greatest(e.amount, 0)) OVER (PARTITION BY e.wallet_id ORDER BY e.seq) AS credited_after
              FROM entries e JOIN transactions t ON t.id = e.transaction_id) x
     WHERE e.wallet_id = x.wallet_id AND e.seq = x.seq`);
  let last = { walletId: '00000000-0000-0000-0000-000000000000', seq: '0', hash: CHAIN_START };
  for (;;) {
    const rows: Array<Record<string, string> & { effective_at: Date; created_at: Date; metadata: null }> =
      await queryRunner.query(
        `SELECT t.*, e.wallet_id, e.seq, e.leg, e.amount AS entry_amount, e.balance_after
           FROM entries e JOIN transactions t ON t.id = e.transaction_id
          WHERE (e.wallet_id, e.seq) > ($1, $2) ORDER BY e.wallet_id, e.seq LIMIT ${PAGE_SIZE}`,
        [last.walletId, last.seq],
      );
    const hashes = rows.map((row) => {
      const digest = transactionDigest({
        id: row.id!,
        type: row.type as 'credit',
        currency: row.currency!,
        amountMinor: BigInt(row.amount!),
        description: row.description!,
        reference: row.reference!,
        metadata: row.metadata,
        actor: row.actor!,
        reversesId: null,
        holdId: null,
        reason: null,
        effectiveAt: row.effective_at,
        createdAt: row.created_at,
      });
      const walletId = row.wallet_id!;
      const hash = entryHash(walletId === last.walletId ? last.hash : CHAIN_START, digest, {
        walletId,
        seq: Number(row.seq),
        leg: Number(row.leg),
        amountMinor: BigInt(row.entry_amount!),
        balanceAfterMinor: BigInt(row.balance_after!),
      });
      last = { walletId, seq: row.seq!, hash };
      return hash;
    });
    await queryRunner.query(
      `UPDATE entries e SET hash = decode(x.hash, 'hex') FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS x (wallet_id, seq, hash)
        WHERE e.wallet_id = x.wallet_id AND e.seq = x.seq`,
      [rows.map((row) => row.wallet_id), rows.map((row) => row.seq), hashes],
    );
    if (rows.length < PAGE_SIZE) break;
  }
  await queryRunner.query(`
    UPDATE wallets w SET credited = e.credited_after, last_hash = e.hash
      FROM entries e WHERE e.wallet_id = w.id AND e.seq = w.entry_count;
    ALTER TABLE entries ENABLE TRIGGER entries_append_only`);
}

/** Laws 1 and 2, from here until entries are checked in one pass. */
export const ENTRIES_CONTINUE_HISTORY = `
  -- As before, and: the running total follows, and posting times never run backwards.
  CREATE OR REPLACE FUNCTION entries_hold_the_laws() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    broken uuid;
  BEGIN
    SELECT e.transaction_id INTO broken
      FROM new_entries e
      LEFT JOIN LATERAL (SELECT currency FROM wallets WHERE id = e.wallet_id OFFSET 0) w ON true
      GROUP BY e.transaction_id, w.currency HAVING sum(e.amount) <> 0 OR w.currency IS NULL LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'the entries of transaction % do not add up to zero in wallets that exist', broken
        USING ERRCODE = 'AW001';
    END IF;
    SELECT e.wallet_id INTO broken
      FROM new_entries e
      CROSS JOIN LATERAL (SELECT entry_count FROM wallets WHERE id = e.wallet_id OFFSET 0) w
      LEFT JOIN LATERAL (
        SELECT seq, balance_after, credited_after, created_at FROM entries
         WHERE wallet_id = e.wallet_id AND seq = e.seq - 1 OFFSET 0
      ) before ON true
      WHERE e.seq > w.entry_count OR coalesce(before.balance_after, 0) + e.amount <> e.balance_after
         OR coalesce(before.credited_after, 0) + greatest(e.amount, 0) <> e.credited_after
         OR before.created_at > e.created_at OR (before.seq IS NULL AND e.seq <> 1)
      LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'the entries of wallet % do not continue its history', broken
        USING ERRCODE = 'AW002';
    END IF;
    RETURN NULL;
  END $$;`;

/** Law 2 of a wallet, from here until many are looked at together. */
export const WALLET_IS_HISTORY = `
  -- As before, and: the running total and the last hash are those of the last entry.
  CREATE OR REPLACE FUNCTION balance_is_history() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF NOT EXISTS (SELECT FROM entries WHERE wallet_id = NEW.id AND seq = NEW.entry_count
                     AND balance_after = NEW.balance AND credited_after = NEW.credited AND hash = NEW.last_hash)
       OR EXISTS (SELECT FROM entries WHERE wallet_id = NEW.id AND seq = NEW.entry_count + 1) THEN
      RAISE EXCEPTION 'wallet % has balance % and % entries, and its last entry does not say so',
        NEW.id, NEW.balance, NEW.entry_count USING ERRCODE = 'AW002';
    END IF;
    RETURN NULL;
  END $$;`;

export const WALLET_IS_HISTORY_TRIGGER = `
  CREATE CONSTRAINT TRIGGER wallets_balance_is_history
    AFTER UPDATE OF balance, entry_count, credited, last_hash ON wallets
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.balance <> NEW.balance OR OLD.entry_count <> NEW.entry_count OR OLD.credited <> NEW.credited
          OR OLD.last_hash IS DISTINCT FROM NEW.last_hash)
    EXECUTE FUNCTION balance_is_history();`;

const LAWS = `
  ALTER TABLE entries
    ALTER COLUMN leg SET NOT NULL,
    ALTER COLUMN credited_after SET NOT NULL,
    ALTER COLUMN hash SET NOT NULL;
  CREATE INDEX entries_effective_at_idx ON entries (wallet_id, effective_at) INCLUDE (amount, created_at)
    WHERE effective_at IS NOT NULL;

  CREATE TRIGGER hold_changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON hold_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
  CREATE TRIGGER wallet_status_changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON wallet_status_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
  CREATE TRIGGER holds_never_deleted BEFORE DELETE OR TRUNCATE ON holds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

  ${ENTRIES_CONTINUE_HISTORY}

  ${WALLET_IS_HISTORY}
  DROP TRIGGER wallets_balance_is_history ON wallets;
  ${WALLET_IS_HISTORY_TRIGGER}

  -- Law 3: what a wallet holds back is the rest of its active holds. Checked from both sides: when holds are written
  -- (the wallets are written first), and at commit when a wallet's sum changes.
  CREATE FUNCTION holds_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    broken uuid;
  BEGIN
    SELECT w.id INTO broken
      FROM (SELECT DISTINCT wallet_id FROM new_holds) h
      LEFT JOIN wallets w ON w.id = h.wallet_id
      WHERE w.held IS DISTINCT FROM (
        SELECT coalesce(sum(amount - captured), 0) FROM holds WHERE wallet_id = h.wallet_id AND status = 'active')
      LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'wallet % does not hold back what its active holds add up to', broken USING ERRCODE = 'AW003';
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER holds_add_up_inserted AFTER INSERT ON holds REFERENCING NEW TABLE AS new_holds
    FOR EACH STATEMENT EXECUTE FUNCTION holds_add_up();
  CREATE TRIGGER holds_add_up_updated AFTER UPDATE ON holds REFERENCING NEW TABLE AS new_holds
    FOR EACH STATEMENT EXECUTE FUNCTION holds_add_up();
  CREATE FUNCTION held_is_holds() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF NEW.held <> (SELECT coalesce(sum(amount - captured), 0) FROM holds
                     WHERE wallet_id = NEW.id AND status = 'active') THEN
      RAISE EXCEPTION 'wallet % does not hold back what its active holds add up to', NEW.id USING ERRCODE = 'AW003';
    END IF;
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER wallets_held_is_holds AFTER UPDATE OF held ON wallets
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.held <> NEW.held)
    EXECUTE FUNCTION held_is_holds();

  -- How many entries of a wallet were posted before an instant (or up to it), in 20 index probes for a million.
  CREATE FUNCTION entries_before(wallet uuid, instant timestamptz, included boolean) RETURNS bigint
  LANGUAGE plpgsql STABLE AS $$
  DECLARE
    low  bigint := 0;
    high bigint;
    middle bigint;
    posted timestamptz;
  BEGIN
    SELECT max(seq) INTO high FROM entries WHERE wallet_id = wallet;
    high := coalesce(high, 0);
    WHILE low < high LOOP
      middle := (low + high + 1) / 2;
      SELECT created_at INTO posted FROM entries WHERE wallet_id = wallet AND seq = middle;
      IF posted < instant OR (included AND posted = instant) THEN low := middle; ELSE high := middle - 1; END IF;
    END LOOP;
    RETURN low;
  END $$;
`;

const DOWN = `
  DROP FUNCTION entries_before;
  DROP TRIGGER wallets_held_is_holds ON wallets;
  DROP TRIGGER wallets_balance_is_history ON wallets;
  DROP TABLE wallet_limits, wallet_status_changes, hold_changes, holds;
  DROP FUNCTION holds_add_up, held_is_holds;
  ALTER TABLE entries DROP COLUMN leg, DROP COLUMN credited_after, DROP COLUMN effective_at, DROP COLUMN hash;
  ALTER TABLE transactions
    DROP COLUMN hold_id, DROP COLUMN reason, DROP CONSTRAINT transactions_type_known,
    ADD CONSTRAINT transactions_type_known CHECK (type IN ('credit', 'debit', 'transfer')),
    DROP CONSTRAINT transactions_amount_has_currency, DROP CONSTRAINT transactions_reversal_names_original,
    ALTER COLUMN amount SET NOT NULL, ALTER COLUMN currency SET NOT NULL;
  ALTER TABLE wallets
    DROP CONSTRAINT wallets_floor_holds, DROP CONSTRAINT wallets_frozen_has_mode, DROP CONSTRAINT wallets_closed_is_empty,
    DROP COLUMN credited, DROP COLUMN shortfall, DROP COLUMN last_hash, DROP COLUMN holds_expire_at,
    DROP COLUMN freeze_mode, DROP COLUMN limited,
    ADD CONSTRAINT wallets_floor_holds
      CHECK (kind = 'external' OR entry_count = 0 OR balance - held >= minimum_balance);
  ${BALANCE_IS_HISTORY_TRIGGER}
  ${BALANCE_IS_HISTORY}
  ${ENTRIES_HOLD_THE_LAWS}
`;
