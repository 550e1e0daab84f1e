/**
 * Schedules: transfers that are posted later, once or again and again.
 *
 * `next_n` is the occurrence that comes next; it only moves on from what it was, so each gets one outcome, whoever works at it
 * and is killed when. `due_at` is all that looking for work reads: a process that takes a schedule puts it a few seconds
 * ahead, so that no other takes it meanwhile. That spares work; that nothing is posted twice is the idempotency key's doing.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Schedules1764400000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(TABLE);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE schedules');
  }
}

const TABLE = `
  CREATE TABLE schedules (
    id                   uuid        NOT NULL CONSTRAINT schedules_pkey PRIMARY KEY,
    user_id              uuid,
    from_wallet_id       uuid        NOT NULL,
    to_wallet_id         uuid        NOT NULL,
    amount               bigint      NOT NULL CONSTRAINT schedules_amount_positive CHECK (amount > 0),
    currency             text        NOT NULL,
    description          text,
    reference            text,
    metadata             jsonb,
    every                text        NOT NULL
      CONSTRAINT schedules_every_known CHECK (every IN ('once', 'daily', 'weekly', 'monthly')),
    starts_at            timestamptz NOT NULL,
    time_zone            text        NOT NULL,
    ends_at              timestamptz,
    missed               text        NOT NULL CONSTRAINT schedules_missed_known CHECK (missed IN ('skip', 'catch_up')),
    status               text        NOT NULL
      CONSTRAINT schedules_status_known CHECK (status IN ('active', 'paused', 'completed', 'cancelled')),
    next_n               integer     NOT NULL,
    next_at              timestamptz,
    due_at               timestamptz,
    begun_at             timestamptz,
    attempts             integer     NOT NULL DEFAULT 0,
    missed_before        timestamptz,
    last_at              timestamptz,
    last_outcome         text
      CONSTRAINT schedules_outcome_known CHECK (last_outcome IN ('posted', 'refused', 'skipped')),
    last_transaction_id  uuid,
    last_error           text,
    posted_count         integer     NOT NULL DEFAULT 0,
    refused_count        integer     NOT NULL DEFAULT 0,
    skipped_count        integer     NOT NULL DEFAULT 0,
    created_by           text        NOT NULL,
    changed_by           text,
    version              integer     NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT clock_now(),
    updated_at           timestamptz NOT NULL DEFAULT clock_now(),
    CONSTRAINT schedules_wallets_differ CHECK (from_wallet_id <> to_wallet_id),
    CONSTRAINT schedules_open_has_next CHECK ((status IN ('active', 'paused')) = (next_at IS NOT NULL)),
    -- An active one that nobody looks at would never be posted.
    CONSTRAINT schedules_active_is_due CHECK (status <> 'active' OR due_at IS NOT NULL),
    CONSTRAINT schedules_last_has_outcome CHECK ((last_at IS NULL) = (last_outcome IS NULL))
  );
  -- For the runner: those that have ended, and that nobody need look at, are not in it.
  CREATE INDEX schedules_due_idx ON schedules (due_at) WHERE due_at IS NOT NULL;
  -- For lists, newest first: of a wallet, of a person, by status.
  CREATE INDEX schedules_wallet_idx ON schedules (from_wallet_id, id);
  CREATE INDEX schedules_user_idx ON schedules (user_id, id) WHERE user_id IS NOT NULL;
  CREATE INDEX schedules_status_idx ON schedules (status, id);
`;
