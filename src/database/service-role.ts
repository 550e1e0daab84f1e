/**
 * The role that the service acts as (SECURITY): it has no right to what no statement of the service does. Entries,
 * transactions and the audit log it can read and add to, and nothing else; whose a wallet is it cannot change, nor the
 * schema. Whoever migrates owns the tables; each connection of the service gives that up (`SET ROLE`) before it does anything.
 */
import type { DataSource } from 'typeorm';
import type { Config } from '../config.js';
import type { RawRow } from './raw-row.js';
import { DUPLICATE_OBJECT, INSUFFICIENT_PRIVILEGE, sqlState, UNIQUE_VIOLATION } from './sqlstate.js';
import { inTransaction } from './transaction.js';

const INSERT = ['INSERT'];
const CHANGE = ['INSERT', 'UPDATE'];
const ALL = ['DELETE', 'INSERT', 'UPDATE'];

/** What the service may do beside SELECT. What is not here it may only read. */
export const RIGHTS: Record<string, string[]> = {
  ...{ transactions: INSERT, entries: INSERT, hold_changes: INSERT, wallet_status_changes: INSERT, audit_log: INSERT },
  ...{ users: CHANGE, wallets: INSERT, holds: CHANGE, schedules: CHANGE, api_keys: CHANGE, outbox_place: ['UPDATE'] },
  // Old ones go after their time, and are not changed before.
  ...{ idempotency_keys: ['DELETE', 'INSERT'], outbox: ['DELETE', 'INSERT'], outbox_batches: ALL },
  ...{ wallet_names: ALL, wallet_limits: ALL, webhook_endpoints: ALL, webhook_deliveries: ALL },
  ...{ sessions: ALL, refresh_tokens: ALL, one_time_codes: ALL, signing_keys: ALL, rate_limits: ALL },
};

/** Columns of `wallets` that no statement of the service changes; the others it may. */
const FIXED = ['id', 'user_id', 'kind', 'currency', 'created_at'];

/** The owner of the tables may make no role, or let nobody become it. */
export class RoleRefused extends Error {}

/**
 * Makes the role where it is missing, gives it these rights and no others, and lets the service's user become it. Where all
 * is as it should be, as at nearly every start, it only looks.
 * @param owner connected as the owner of the tables
 * @returns whether it has them: what a member of the role grants who owns nothing is passed over without a word
 * @throws {RoleRefused}
 */
export async function makeServiceRole(owner: DataSource, role: string, { databaseUrl }: Config): Promise<boolean> {
  try {
    await makeRole(owner, role);
    const [{ name }] = await owner.query<[{ name: string }]>('SELECT current_user AS name');
    const user = decodeURIComponent(new URL(databaseUrl).username) || name;
    for (const member of new Set([name, user])) await allow(owner, role, member);
    if (await hasRights(owner, role)) return true;
    // All at once: another process may be serving under this role.
    await inTransaction(owner, async (runner) => {
      for (const statement of grants(role)) await runner.query(statement);
      const [{ columns }] = (await runner.query(CHANGING, [FIXED])) as [RawRow];
      await runner.query(`GRANT UPDATE (${columns}) ON wallets TO ${quoted(role)}`);
    });
    return await hasRights(owner, role);
  } catch (error) {
    if (sqlState(error) === INSUFFICIENT_PRIVILEGE) throw new RoleRefused((error as Error).message);
    throw error;
  }
}

/** Roles are the whole server's: another process, on another database, may be making it as well. */
async function makeRole(owner: DataSource, role: string): Promise<void> {
  const rows: unknown[] = await owner.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
  if (rows.length > 0) return;
  await owner.query(`CREATE ROLE ${quoted(role)} NOLOGIN`).catch((error: unknown) => {
    const state = sqlState(error);
    if (state !== DUPLICATE_OBJECT && state !== UNIQUE_VIOLATION) throw error;
  });
}

/** A superuser may become anybody, and needs no membership. */
async function allow(owner: DataSource, role: string, member: string): Promise<void> {
  const [row]: RawRow[] = await owner.query(`SELECT pg_has_role($1, $2, 'MEMBER') AS may`, [member, role]);
  if (!row!.may) await owner.query(`GRANT ${quoted(role)} TO ${quoted(member)}`);
}

async function hasRights(owner: DataSource, role: string): Promise<boolean> {
  const rows: RawRow[] = await owner.query(RIGHTS_OF, [role]);
  const [{ right }] = await owner.query<[{ right: boolean }]>(HAS_COLUMNS, [role, FIXED]);
  return (
    right && rows.every(({ name, rights }) => rights === (RIGHTS[name] ?? []).concat('SELECT').toSorted().join(' '))
  );
}

function grants(role: string): string[] {
  const to = `TO ${quoted(role)}`;
  return [
    `GRANT USAGE ON SCHEMA public ${to}`,
    `REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ${quoted(role)}`,
    `GRANT SELECT ON ALL TABLES IN SCHEMA public ${to}`,
    `GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public ${to}`,
    ...Object.entries(RIGHTS).map(([table, rights]) => `GRANT ${rights.join(', ')} ON ${table} ${to}`),
  ];
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

const CHANGING = `
  SELECT string_agg(quote_ident(attname), ', ') AS columns FROM pg_attribute
   WHERE attrelid = 'wallets'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> ALL($1)`;

/** Whether it may change just those columns of `wallets` that it should. */
const HAS_COLUMNS = `
  SELECT bool_and(has_column_privilege($1, attrelid, attnum, 'UPDATE') = (attname <> ALL($2))) AS right FROM pg_attribute
   WHERE attrelid = 'wallets'::regclass AND attnum > 0 AND NOT attisdropped`;

/** Each table, with what the role may do there. */
const RIGHTS_OF = `
  SELECT c.relname AS name, coalesce(string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type COLLATE "C"), '') AS rights
    FROM pg_class c
    LEFT JOIN LATERAL (
      SELECT DISTINCT privilege_type FROM aclexplode(c.relacl) WHERE grantee = (SELECT oid FROM pg_roles WHERE rolname = $1)) a ON true
   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') GROUP BY c.relname`;
