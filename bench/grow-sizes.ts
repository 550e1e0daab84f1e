/** What a grown ledger takes on disk, table by table and index by index. */
import type { Client } from 'pg';

export interface Size {
  table: string;
  rows: number;
  /** Of the table itself, with what TOAST keeps. */
  tableBytes: number;
  indexes: Array<{ name: string; bytes: number }>;
}

export async function sizesOf(client: Client): Promise<Size[]> {
  const sizes: Size[] = [];
  for (const table of ['entries', 'transactions', 'idempotency_keys', 'wallets', 'wallet_names', 'users']) {
    const { rows } = await client.query<{ rows: string; bytes: string; indexes: Size['indexes'] }>(
      `SELECT (SELECT count(*) FROM ${table}) AS rows, pg_table_size($1::regclass) AS bytes,
              (SELECT json_agg(json_build_object('name', relname, 'bytes', pg_relation_size(oid)) ORDER BY relname)
                 FROM pg_class WHERE oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = $1::regclass)) AS indexes`,
      [table],
    );
    const [{ rows: count, bytes, indexes }] = rows as [{ rows: string; bytes: string; indexes: Size['indexes'] }];
    sizes.push({ table, rows: Number(count), tableBytes: Number(bytes), indexes });
  }
  return sizes;
}

/** One line a table and index, with the bytes of each row. */
export function sizeLines(sizes: Size[]): string[] {
  const line = (name: string, bytes: number, rows: number) =>
    `  ${name.padEnd(34)}${(bytes / 2 ** 20).toFixed(1).padStart(9)} MB${(bytes / rows).toFixed(1).padStart(8)} bytes a row`;
  const sum = ({ tableBytes, indexes }: Size) => indexes.reduce((total, { bytes }) => total + bytes, tableBytes);
  const perTransaction = sizes.slice(0, 3).reduce((total, size) => total + sum(size), 0) / sizes[1]!.rows;
  return [
    ...sizes.flatMap((size) => [
      `${size.table}, ${size.rows.toLocaleString('en-US')} rows: ${(sum(size) / size.rows).toFixed(0)} bytes a row in all`,
      line('table', size.tableBytes, size.rows),
      ...size.indexes.filter(({ bytes }) => bytes > 2 ** 14).map(({ name, bytes }) => line(name, bytes, size.rows)),
    ]),
    `A transaction of two entries, with its key and all indexes: ${perTransaction.toFixed(0)} bytes.`,
  ];
}
