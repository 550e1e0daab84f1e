/** Rows changed by hand, one after the other, as somebody with the rights of a superuser could: scenario R21. */
import { createHash } from 'node:crypto';
import type { TestDatabase } from '../support/service.js';

export interface Change {
  /** For the message where it was not found. */
  what: string;
  /** What a finding may call it by. */
  names: string[];
  apply: string[];
  undo: string[];
}

/** The primary key of each table, as findings write it, and what else may name a row. */
const KEYS: Record<string, { key: string[]; alias?: string[] }> = {
  entries: { key: ['wallet_id', 'seq'], alias: ['transaction_id'] },
  users: { key: ['id'] },
  transactions: { key: ['id'] },
  wallets: { key: ['id'] },
  wallet_names: { key: ['owner_id', 'currency', 'label'], alias: ['wallet_id'] },
  wallet_limits: { key: ['wallet_id'] },
  wallet_status_changes: { key: ['wallet_id', 'id'], alias: ['wallet_id', 'transaction_id'] },
  holds: { key: ['id'] },
  hold_changes: { key: ['hold_id', 'version'], alias: ['hold_id'] },
  outbox: { key: ['subject_id', 'batch', 'ordinal'], alias: ['object_id'] },
  idempotency_keys: { key: ['scope', 'key'], alias: ['transaction_id'] },
};

/** Table, column, what is written into it, and which rows it is done to. */
type Update = readonly [table: string, column: string, value: string, where?: string];

const OTHER_TRANSACTION = `(SELECT id FROM transactions ORDER BY md5(id::text || t::text) LIMIT 1)`;
const MICROSECOND = `interval '1 microsecond'`;
const FLIPPED = (column: string) => `set_byte(${column}, 7, get_byte(${column}, 7) # 1)`;
const POSTED = `type = 'transaction.posted' AND place = 0`;
const POSTED_TO_OTHERS = `type = 'transaction.posted' AND place > 0`;
const CUSTOMER = `kind = 'customer' AND entry_count > 0`;

const UPDATES: Update[] = [
  ['entries', 'wallet_id', 'gen_random_uuid()'],
  ['entries', 'wallet_id', `(SELECT id FROM wallets ORDER BY entry_count LIMIT 1)`, 'seq > 2'],
  ['entries', 'seq', 'seq + 1000'],
  ['entries', 'transaction_id', OTHER_TRANSACTION],
  ['entries', 'transaction_id', 'gen_random_uuid()'],
  ['entries', 'leg', 'leg + 1'],
  ['entries', 'amount', 'amount + 1'],
  ['entries', 'amount', '-amount'],
  ['entries', 'balance_after', 'balance_after - 100'],
  ['entries', 'credited_after', 'credited_after + 1'],
  ['entries', 'created_at', `created_at + ${MICROSECOND}`],
  ['entries', 'created_at', `created_at - interval '1 day'`],
  ['entries', 'effective_at', `created_at - interval '1 day'`],
  ['entries', 'effective_at', 'NULL', 'effective_at IS NOT NULL'],
  ['entries', 'hash', FLIPPED('hash')],
  ['transactions', 'id', 'gen_random_uuid()'],
  ['transactions', 'type', `CASE type WHEN 'debit' THEN 'credit' ELSE 'debit' END`],
  ['transactions', 'currency', `CASE currency WHEN 'INR' THEN 'USD' ELSE 'INR' END`],
  ['transactions', 'currency', 'NULL', 'currency IS NOT NULL'],
  ['transactions', 'amount', 'coalesce(amount, 0) + 1'],
  ['transactions', 'description', `coalesce(description, '') || '.'`],
  ['transactions', 'description', 'NULL', 'description IS NOT NULL'],
  ['transactions', 'reference', `coalesce(reference, '') || '.'`],
  ['transactions', 'metadata', `coalesce(metadata, '{}') || '{"plan": "free"}'`],
  ['transactions', 'metadata', `metadata - 'b'`, 'metadata IS NOT NULL'],
  ['transactions', 'actor', `actor || '.'`],
  ['transactions', 'reverses_id', OTHER_TRANSACTION],
  ['transactions', 'reverses_id', 'NULL', 'reverses_id IS NOT NULL'],
  ['transactions', 'hold_id', `(SELECT id FROM holds ORDER BY md5(id::text || t::text) LIMIT 1)`],
  ['transactions', 'reason', `coalesce(reason, '') || '.'`],
  ['transactions', 'effective_at', `effective_at + ${MICROSECOND}`],
  ['transactions', 'effective_at', `effective_at - interval '1 day'`],
  ['transactions', 'created_at', `created_at + ${MICROSECOND}`],
  ['transactions', 'created_at', `created_at + interval '1 millisecond'`],
  ['wallets', 'id', 'gen_random_uuid()', 'entry_count > 0'],
  ['wallets', 'user_id', 'NULL', 'user_id IS NOT NULL'],
  ['wallets', 'user_id', 'gen_random_uuid()', 'user_id IS NOT NULL'],
  ['wallets', 'kind', `CASE kind WHEN 'customer' THEN 'external' ELSE 'customer' END`],
  ['wallets', 'currency', `CASE currency WHEN 'INR' THEN 'USD' ELSE 'INR' END`],
  ['wallets', 'label', `label || '.'`, CUSTOMER],
  ['wallets', 'status', `CASE status WHEN 'closed' THEN 'active' ELSE 'closed' END`],
  ['wallets', 'freeze_mode', `'all'`],
  ['wallets', 'balance', 'balance + 1'],
  ['wallets', 'balance', '0', 'balance <> 0'],
  ['wallets', 'held', 'held + 1'],
  ['wallets', 'held', '0', 'held > 0'],
  ['wallets', 'credited', 'credited + 1'],
  ['wallets', 'entry_count', 'entry_count + 1'],
  ['wallets', 'entry_count', 'entry_count - 1', 'entry_count > 0'],
  ['wallets', 'last_hash', FLIPPED('last_hash'), 'entry_count > 0'],
  ['wallets', 'last_hash', 'NULL', 'entry_count > 0'],
  ['wallets', 'minimum_balance', 'balance - held + 1', CUSTOMER],
  ['wallets', 'shortfall', 'minimum_balance - balance + held - 1', CUSTOMER],
  ['wallets', 'holds_expire_at', 'NULL', 'held > 0'],
  ['wallets', 'holds_expire_at', `holds_expire_at + interval '1 day'`, 'held > 0'],
  ['wallets', 'limited', 'NOT limited'],
  ['wallet_names', 'owner_id', 'gen_random_uuid()'],
  ['wallet_names', 'label', `label || '.'`],
  ['wallet_names', 'wallet_id', 'gen_random_uuid()'],
  ['wallet_limits', 'day_total', 'day_total + 1'],
  ['wallet_limits', 'day_count', 'day_count - 1'],
  ['wallet_limits', 'month_total', '0'],
  ['wallet_limits', 'month_count', 'month_count + 1'],
  ['wallet_status_changes', 'transaction_id', 'gen_random_uuid()'],
  ['wallet_status_changes', 'wallet_id', 'gen_random_uuid()'],
  ['holds', 'wallet_id', `(SELECT id FROM wallets WHERE held = 0 ORDER BY id LIMIT 1)`, `status = 'active'`],
  ['holds', 'amount', 'amount + 1'],
  ['holds', 'captured', 'captured + 1'],
  ['holds', 'status', `CASE status WHEN 'active' THEN 'voided' ELSE 'active' END`],
  ['holds', 'expires_at', `expires_at + interval '1 day'`],
  ['holds', 'actor', `actor || '.'`],
  ['holds', 'version', 'version + 1'],
  ['holds', 'created_at', `created_at - interval '1 day'`],
  ['hold_changes', 'hold_id', 'gen_random_uuid()'],
  ['hold_changes', 'version', 'version + 100'],
  ['hold_changes', 'action', `CASE action WHEN 'created' THEN 'changed' ELSE 'created' END`],
  ['hold_changes', 'captured', 'captured + 1'],
  ['hold_changes', 'status', `CASE status WHEN 'active' THEN 'voided' ELSE 'active' END`],
  ['hold_changes', 'transaction_id', OTHER_TRANSACTION],
  ['hold_changes', 'actor', `actor || '.'`, `action NOT IN ('changed', 'voided')`],
  ['hold_changes', 'created_at', `created_at + interval '1 day'`],
  ['outbox', 'object_id', 'gen_random_uuid()', POSTED],
  ['outbox', 'balance', 'balance + 1', POSTED],
  ['outbox', 'subject_id', 'gen_random_uuid()', POSTED],
  ['outbox', 'subject_id', 'gen_random_uuid()', POSTED_TO_OTHERS],
  ['outbox', 'type', `'hold.created'`, POSTED_TO_OTHERS],
  ['outbox', 'place', '0', POSTED_TO_OTHERS],
  ['idempotency_keys', 'transaction_id', OTHER_TRANSACTION, 'transaction_id IS NOT NULL'],
  ['idempotency_keys', 'transaction_id', 'gen_random_uuid()', 'transaction_id IS NOT NULL'],
  ['idempotency_keys', 'transaction_id', 'NULL', 'transaction_id IS NOT NULL'],
  ['idempotency_keys', 'status_code', '500'],
  ['idempotency_keys', 'scope', `scope || '.'`, 'transaction_id IS NOT NULL'],
  ['idempotency_keys', 'outcome', `'{"code":"no_such_error"}'::json`],
];

/** Rows whose loss shows. A key may be gone because it was kept long enough. */
const DELETES: Array<readonly [table: string, where: string]> = [
  ['entries', 'true'],
  ['transactions', 'true'],
  ['wallets', 'entry_count > 0'],
  ['wallet_names', 'true'],
  ['wallet_limits', 'true'],
  ['wallet_status_changes', 'true'],
  ['holds', 'true'],
  ['hold_changes', 'true'],
  ['outbox', POSTED],
  ['outbox', POSTED_TO_OTHERS],
  ['users', 'id IN (SELECT user_id FROM wallets)'],
];

/** A copy of a row with another key: table, and what makes it another. */
const INSERTS: Array<readonly [table: string, changed: string, where: string]> = [
  ['entries', `'seq', t.seq + 1000`, 'true'],
  ['transactions', `'id', gen_random_uuid()`, 'true'],
  ['wallets', `'id', gen_random_uuid()`, CUSTOMER],
  ['wallet_names', `'label', t.label || '.'`, 'true'],
  ['holds', `'id', gen_random_uuid()`, 'true'],
  ['hold_changes', `'version', t.version + 1`, `status <> 'active'`],
  ['outbox', `'ordinal', t.ordinal + 1000`, POSTED_TO_OTHERS],
  ['outbox', `'subject_id', gen_random_uuid(), 'place', 9, 'balance', NULL`, POSTED],
  ['idempotency_keys', `'key', t.key || '.'`, 'transaction_id IS NOT NULL'],
];

/** Two rows that change places in a column. */
const SWAPS: Array<readonly [table: string, column: string]> = [
  ['entries', 'amount'],
  ['entries', 'hash'],
  ['entries', 'transaction_id'],
  ['transactions', 'description'],
  ['transactions', 'created_at'],
  ['wallets', 'balance'],
  ['wallets', 'last_hash'],
];

/** `count` changes, of kinds and on rows that the seed chooses; no kind comes twice before each has come once. */
export async function changesOf(database: TestDatabase, seed: number, count: number): Promise<Change[]> {
  await dropChecks(database);
  const kinds: Array<(salt: string) => Promise<Change>> = [
    ...DELETES.map(
      ([table, where]) =>
        (salt: string) =>
          deletion(database, table, where, salt),
    ),
    ...INSERTS.map(
      ([table, changed, where]) =>
        (salt: string) =>
          insertion(database, table, changed, where, salt),
    ),
    ...SWAPS.map(
      ([table, column]) =>
        (salt: string) =>
          swap(database, table, column, salt),
    ),
    ...UPDATES.map((update) => (salt: string) => change(database, update, salt)),
  ];
  const order = new Map(kinds.map((kind, i) => [kind, createHash('md5').update(`${seed} ${i}`).digest('hex')]));
  kinds.sort((a, b) => (order.get(a)! < order.get(b)! ? -1 : 1));
  const changes: Change[] = [];
  for (let i = 0; changes.length < count; i++) changes.push(await kinds[i % kinds.length]!(`${seed} ${i}`));
  return changes;
}

/** A hand that writes past the triggers writes past these as well. Keys and NOT NULL stay. */
async function dropChecks(database: TestDatabase): Promise<void> {
  await database.query(`
    DO $$ DECLARE c record; BEGIN
      FOR c IN SELECT conrelid::regclass AS "table", conname FROM pg_constraint
                WHERE contype = 'c' AND connamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c."table", c.conname);
      END LOOP;
    END $$`);
}

type Row = Record<string, unknown>;

async function change(database: TestDatabase, [table, column, value, where = 'true']: Update, salt: string) {
  const isOther = `(${value})::text IS DISTINCT FROM ${column}::text`;
  const [row, after] = await pick(database, table, `(${where}) AND ${isOther}`, `'${column}', ${value}`, salt);
  return replacement(`${table}.${column} = ${value}`, table, [[row, after]]);
}

async function deletion(database: TestDatabase, table: string, where: string, salt: string): Promise<Change> {
  const [row] = await pick(database, table, where, '', salt);
  return {
    what: `DELETE ${keyOf(table, row)}`,
    names: namesOf(table, row),
    apply: [remove(table, row)],
    undo: [insert(table, row)],
  };
}

async function insertion(database: TestDatabase, table: string, changed: string, where: string, salt: string) {
  const [, row] = await pick(database, table, where, changed, salt);
  return {
    what: `INSERT ${keyOf(table, row)}`,
    names: namesOf(table, row),
    apply: [insert(table, row)],
    undo: [remove(table, row)],
  };
}

async function swap(database: TestDatabase, table: string, column: string, salt: string): Promise<Change> {
  const [a] = await pick(database, table, 'true', '', `${salt} a`);
  const [b] = await pick(database, table, `${column} IS DISTINCT FROM ${literal(a[column])}`, '', `${salt} b`);
  return replacement(`${table}.${column} swapped`, table, [
    [a, { ...a, [column]: b[column] }],
    [b, { ...b, [column]: a[column] }],
  ]);
}

/** Rows that become others, found if a finding names one as it was or as it is. */
function replacement(what: string, table: string, pairs: Array<readonly [before: Row, after: Row]>): Change {
  const rows = pairs.flat();
  const [before, after] = [pairs.map(([row]) => row), pairs.map(([, row]) => row)];
  return {
    what: `${what} in ${pairs.map(([row]) => keyOf(table, row)).join(' and ')}`,
    names: rows.flatMap((row) => namesOf(table, row)),
    apply: [...before.map((row) => remove(table, row)), ...after.map((row) => insert(table, row))],
    undo: [...after.map((row) => remove(table, row)), ...before.map((row) => insert(table, row))],
  };
}

/** A row that the salt chooses, and the same with something changed. */
async function pick(database: TestDatabase, table: string, where: string, changed: string, salt: string) {
  const [found] = await database.query(
    `SELECT to_jsonb(t)::text AS row, (to_jsonb(t) || jsonb_build_object(${changed}))::text AS changed
       FROM ${table} t WHERE ${where} ORDER BY md5(t::text || '${salt}') LIMIT 1`,
  );
  if (!found) throw new Error(`no row of ${table} where ${where}`);
  return [JSON.parse(found.row), JSON.parse(found.changed)] as [Row, Row];
}

const keyValues = (table: string, row: Row) => KEYS[table]!.key.map((column) => String(row[column]));
const keyOf = (table: string, row: Row) => `${table} ${keyValues(table, row).join('/')}`;

function namesOf(table: string, row: Row): string[] {
  const alias = (KEYS[table]!.alias ?? []).map((column) => row[column]).filter((value) => value !== null);
  return [keyValues(table, row).join('/'), ...alias.map(String)];
}

function remove(table: string, row: Row): string {
  return `DELETE FROM ${table} WHERE ${KEYS[table]!.key.map((column) => `${column} = ${literal(row[column])}`).join(' AND ')}`;
}

function insert(table: string, row: Row): string {
  return `INSERT INTO ${table} SELECT * FROM jsonb_populate_record(NULL::${table}, ${literal(JSON.stringify(row))})`;
}

const literal = (value: unknown): string => (value === null ? 'NULL' : `'${textOf(value).replaceAll("'", "''")}'`);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
