/**
 * Webhooks: where events are sent, and what became of each sending.
 *
 * An endpoint is worked at by one process at a time (`taken_by`, until `taken_until`), which deals out the events after
 * `position` into deliveries, in one transaction with the new position: so each event becomes exactly one delivery, whoever
 * is killed when. `n` is the order of deliveries; the index of pending ones is all that sending reads.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Webhooks1764300000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(TABLES);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      'DROP TABLE webhook_deliveries, webhook_endpoints; DROP INDEX outbox_batches_created_at_idx',
    );
  }
}

const TABLES = `
  CREATE TABLE webhook_endpoints (
    id                   uuid        NOT NULL CONSTRAINT webhook_endpoints_pkey PRIMARY KEY,
    url                  text        NOT NULL,
    types                text[]      NOT NULL DEFAULT '{}',
    description          text,
    status               text        NOT NULL
      CONSTRAINT webhook_endpoints_status_known CHECK (status IN ('active', 'disabled')),
    disabled_reason      text
      CONSTRAINT webhook_endpoints_reason_known CHECK (disabled_reason IN ('operator', 'failing', 'gone')),
    -- SECURITY: sealed under AUTH_SECRET; whoever reads the database cannot sign.
    sealed_secret        bytea       NOT NULL,
    previous_secret      bytea,
    previous_expires_at  timestamptz,
    position             bigint      NOT NULL,
    failing_since        timestamptz,
    taken_by             uuid,
    taken_until          timestamptz,
    created_by           text        NOT NULL,
    version              integer     NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_endpoints_disabled_has_reason CHECK ((status = 'disabled') = (disabled_reason IS NOT NULL)),
    CONSTRAINT webhook_endpoints_previous_ends CHECK ((previous_secret IS NULL) = (previous_expires_at IS NULL))
  );

  CREATE TABLE webhook_deliveries (
    id               uuid        NOT NULL CONSTRAINT webhook_deliveries_pkey PRIMARY KEY,
    n                bigserial   NOT NULL,
    endpoint_id      uuid        NOT NULL,
    event_id         uuid        NOT NULL,
    batch            bigint      NOT NULL,
    ordinal          integer     NOT NULL,
    event_type       text        NOT NULL,
    subject_ids      uuid[]      NOT NULL,
    is_replay        boolean     NOT NULL,
    status           text        NOT NULL
      CONSTRAINT webhook_deliveries_status_known CHECK (status IN ('pending', 'delivered', 'dead')),
    attempts         jsonb       NOT NULL DEFAULT '[]',
    attempt_count    integer     NOT NULL DEFAULT 0,
    next_attempt_at  timestamptz NOT NULL DEFAULT now(),
    created_at       timestamptz NOT NULL DEFAULT now(),
    ended_at         timestamptz,
    CONSTRAINT webhook_deliveries_end_has_time CHECK ((status = 'pending') = (ended_at IS NULL))
  );
  CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries (endpoint_id, n) WHERE status = 'pending';
  CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries (endpoint_id, id);
  CREATE INDEX webhook_deliveries_event_idx ON webhook_deliveries (event_id);
  CREATE INDEX webhook_deliveries_ended_idx ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;
  -- Each event becomes one delivery of an endpoint, however often its sending is taken over.
  CREATE UNIQUE INDEX webhook_deliveries_once_idx ON webhook_deliveries (endpoint_id, batch, ordinal) WHERE NOT is_replay;

  -- For a range of time to be sent again, and for what is old enough to go.
  CREATE INDEX outbox_batches_created_at_idx ON outbox_batches (created_at);
`;
