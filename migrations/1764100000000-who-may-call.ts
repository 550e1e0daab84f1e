/**
 * Who may call, and who did what.
 *
 * SECURITY: no secret is kept that could be used as it stands. API keys and refresh tokens are 256 random bits and kept as
 * their SHA-256; one-time codes, of which there are only a million, as an HMAC under AUTH_SECRET; the private halves of
 * signing keys sealed under it. Every table here is small beside the ledger: they are looked up by their keys.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class WhoMayCall1764100000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(TABLES);
    await queryRunner.query(AUDIT);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      DROP TABLE audit_log, rate_limits, signing_keys, one_time_codes, refresh_tokens, sessions, api_keys`);
  }
}

const TABLES = `
  -- Servers and operators. A key keeps its id, and with it its callers' idempotency keys, when its secret is renewed.
  CREATE TABLE api_keys (
    id                   uuid        NOT NULL CONSTRAINT api_keys_pkey PRIMARY KEY,
    name                 text        NOT NULL,
    scopes               text[]      NOT NULL CONSTRAINT api_keys_has_scopes CHECK (cardinality(scopes) > 0),
    allowed_addresses    text[]      NOT NULL DEFAULT '{}',
    requests_per_minute  integer              CONSTRAINT api_keys_rate_positive CHECK (requests_per_minute > 0),
    secret_hash          bytea       NOT NULL CONSTRAINT api_keys_secret_hash_key UNIQUE,
    secret_hint          text        NOT NULL,
    previous_hash        bytea                CONSTRAINT api_keys_previous_hash_key UNIQUE,
    previous_expires_at  timestamptz,
    expires_at           timestamptz,
    revoked_at           timestamptz,
    last_used_at         timestamptz,
    created_by           text        NOT NULL,
    version              integer     NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT api_keys_previous_ends CHECK ((previous_hash IS NULL) = (previous_expires_at IS NULL))
  );
  -- What changed lately: every process asks every few seconds.
  CREATE INDEX api_keys_updated_at_idx ON api_keys (updated_at);

  -- A person who signed in on a device.
  CREATE TABLE sessions (
    id            uuid        NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY,
    user_id       uuid        NOT NULL,
    user_agent    text,
    address       text,
    expires_at    timestamptz NOT NULL,
    last_used_at  timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    end_reason    text
      CONSTRAINT sessions_end_reason_known CHECK (end_reason IN ('logout', 'token_reused', 'operator', 'user_suspended')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sessions_end_has_reason CHECK ((ended_at IS NULL) = (end_reason IS NULL))
  );
  CREATE INDEX sessions_user_id_idx ON sessions (user_id, id);
  CREATE INDEX sessions_ended_at_idx ON sessions (ended_at) WHERE ended_at IS NOT NULL;

  -- Every refresh token of a session, so that a used one is known when it comes again.
  CREATE TABLE refresh_tokens (
    hash            bytea       NOT NULL CONSTRAINT refresh_tokens_pkey PRIMARY KEY,
    session_id      uuid        NOT NULL,
    used_at         timestamptz,
    successor_salt  bytea,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refresh_tokens_used_has_successor CHECK ((used_at IS NULL) = (successor_salt IS NULL))
  );
  CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);

  -- One-time codes that were asked for, also for numbers that nobody has registered: they must look the same.
  CREATE TABLE one_time_codes (
    id            uuid        NOT NULL CONSTRAINT one_time_codes_pkey PRIMARY KEY,
    phone_number  text        NOT NULL,
    code_hash     bytea       NOT NULL,
    tries         smallint    NOT NULL DEFAULT 0,
    expires_at    timestamptz NOT NULL,
    consumed_at   timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX one_time_codes_expires_at_idx ON one_time_codes (expires_at);

  -- Keys that access tokens are signed with. Newer ones sign from signs_from on, when every process knows them.
  CREATE TABLE signing_keys (
    kid             text        NOT NULL CONSTRAINT signing_keys_pkey PRIMARY KEY,
    public_key      text        NOT NULL,
    sealed_private  bytea       NOT NULL,
    signs_from      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
  );

  -- Counters of rate-limiter-flexible: limits that all processes share.
  CREATE TABLE rate_limits (
    key     varchar(255) NOT NULL CONSTRAINT rate_limits_pkey PRIMARY KEY,
    points  integer      NOT NULL DEFAULT 0,
    expire  bigint
  );
`;

/** What operators did, written in the transaction that did it. Ids rise with time, so that they are the order. */
const AUDIT = `
  CREATE TABLE audit_log (
    id           uuid        NOT NULL CONSTRAINT audit_log_pkey PRIMARY KEY,
    actor        text        NOT NULL,
    action       text        NOT NULL,
    object_type  text        NOT NULL,
    object_id    text        NOT NULL,
    reason       text,
    details      jsonb,
    address      text,
    request_id   text,
    created_at   timestamptz NOT NULL
  );
  CREATE INDEX audit_log_actor_idx ON audit_log (actor, id);
  CREATE INDEX audit_log_action_idx ON audit_log (action, id);
  CREATE INDEX audit_log_object_type_idx ON audit_log (object_type, id);
  CREATE INDEX audit_log_object_idx ON audit_log (object_id, id);
  CREATE INDEX audit_log_created_at_idx ON audit_log (created_at);

  CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`;
