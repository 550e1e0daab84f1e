/** Indexes put aside while tables are filled: built at once from sorted rows they take a fifth of the time. */
import type { Client } from 'pg';

/**
 * As life leaves an index whose new rows fall between old ones: pages split, and stand about 70 % full on average. Ids
 * that rise fill theirs to 90 %, as building does. Without this, the first postings would pay for splitting every page.
 */
const GROWN_FILLFACTOR: Record<string, number> = { entries_pkey: 70, idempotency_keys_pkey: 70 };

interface Index {
  name: string;
  table: string;
  is_key: boolean;
  definition: string;
}

/** Drops the indexes of the tables, does the work, and builds them again, several at a time. */
export async function withoutIndexes(
  clients: Client[],
  tables: string[],
  say: (line: string) => void,
  work: () => Promise<void>,
): Promise<void> {
  const [client] = clients as [Client, ...Client[]];
  const { rows } = await client.query<Index>(INDEXES, [tables]);
  for (const { name, table, is_key } of rows) {
    await client.query(is_key ? `ALTER TABLE ${table} DROP CONSTRAINT ${name}` : `DROP INDEX ${name}`);
  }
  await work();
  // A table's keys hold it alone; so tables go side by side, and the indexes of each one after the other.
  await Promise.all(
    tables.map(async (table, i) => {
      const own = clients[i]!;
      await own.query(`SET maintenance_work_mem = '512MB'`);
      for (const index of rows.filter((row) => row.table === table)) {
        say(`index ${index.name}`);
        await own.query(buildSql(index));
        if (GROWN_FILLFACTOR[index.name]) await own.query(`ALTER INDEX ${index.name} RESET (fillfactor)`);
      }
      await own.query('RESET maintenance_work_mem');
    }),
  );
}

function buildSql({ name, table, is_key, definition }: Index): string {
  const fillfactor = GROWN_FILLFACTOR[name];
  const options = fillfactor ? ` WITH (fillfactor = ${fillfactor})` : '';
  return is_key ? `ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}${options}` : definition + options;
}

const INDEXES = `
  SELECT i.relname AS name, t.relname AS table, c.oid IS NOT NULL AS is_key,
         coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(i.oid)) AS definition
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
    LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.contype IN ('p', 'u')
   WHERE t.relname = ANY($1) AND t.relnamespace = 'public'::regnamespace ORDER BY i.relname`;
