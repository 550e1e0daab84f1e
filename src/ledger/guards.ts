/**
 * What in the database itself keeps the laws. A row may be sound today and nothing hold it tomorrow: a trigger that somebody dropped or
 * disabled, to load or mend something, is missed by nobody until it is needed. What a function does is not looked at. On Citus, where
 * some are left out, nothing is.
 */
import type { Pass } from './law.js';

const words = (text: string) => text.trim().split(/\s+/);

export const TRIGGERS = words(`
  audit_log_append_only entries_append_only entries_hold_the_laws hold_changes_append_only holds_add_up_inserted
  holds_add_up_updated holds_never_deleted transactions_append_only transactions_have_events unsettled_wallets_balance_is_history
  wallet_status_changes_append_only wallets_balance_is_history wallets_begin_with_nothing wallets_held_is_holds
  wallets_never_deleted`);

export const CONSTRAINTS = words(`
  api_keys_has_scopes api_keys_pkey api_keys_previous_ends api_keys_previous_hash_key api_keys_rate_positive
  api_keys_secret_hash_key audit_log_pkey entries_amount_not_zero entries_pkey entries_seq_positive hold_changes_action_known
  hold_changes_pkey holds_active_has_rest holds_amount_positive holds_captured_not_negative holds_pkey holds_status_known
  idempotency_keys_has_outcome idempotency_keys_pkey one_time_codes_pkey outbox_batches_pkey outbox_batches_position_key
  outbox_pkey outbox_place_is_one outbox_place_pkey rate_limits_pkey refresh_tokens_pkey refresh_tokens_used_has_successor
  schedules_active_is_due schedules_amount_positive schedules_every_known schedules_last_has_outcome schedules_missed_known
  schedules_open_has_next schedules_outcome_known schedules_pkey schedules_status_known schedules_wallets_differ
  sessions_end_has_reason sessions_end_reason_known sessions_pkey signing_keys_pkey transactions_amount_has_currency
  transactions_amount_positive transactions_capture_names_hold transactions_pkey transactions_reversal_names_original
  transactions_type_known unsettled_wallets_pkey users_phone_number_e164 users_phone_number_key users_pkey users_status_known
  wallet_limits_pkey wallet_names_pkey wallet_status_changes_pkey wallets_closed_is_empty wallets_currency_shape
  wallets_empty_without_entries wallets_floor_holds wallets_freeze_mode_known wallets_frozen_has_mode wallets_held_not_negative
  wallets_kind_known wallets_pkey wallets_shortfall_not_negative wallets_status_known wallets_user_fkey
  webhook_deliveries_end_has_time webhook_deliveries_pkey webhook_deliveries_status_known webhook_endpoints_disabled_has_reason
  webhook_endpoints_pkey webhook_endpoints_previous_ends webhook_endpoints_reason_known webhook_endpoints_status_known`);

/** Of the whole ledger, not of a wallet. */
export const GUARDS: Pass = {
  sql: `
    SELECT 'the guards stand' AS law, guard.kind AS "table", guard.name AS row, guard.detail
      FROM (SELECT 'triggers' AS kind, name, 'the trigger is not there, or disabled' AS detail
              FROM unnest($2::text[]) AS name
             WHERE name NOT IN (SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                                 WHERE c.relnamespace = 'public'::regnamespace AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal)
            UNION ALL
            SELECT 'constraints', name, 'the constraint is not there, not validated, or disabled' FROM unnest($3::text[]) AS name
             WHERE name NOT IN (SELECT conname FROM pg_constraint c WHERE connamespace = 'public'::regnamespace AND convalidated
                                   AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgconstraint = c.oid AND tgenabled NOT IN ('O', 'A')))
            UNION ALL
            SELECT 'settings', 'session_replication_role', 'new connections fire no triggers'
             WHERE current_setting('session_replication_role') = 'replica') guard
     WHERE $1::uuid IS NULL AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')`,
  values: [TRIGGERS, CONSTRAINTS],
};
