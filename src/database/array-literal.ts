/**
 * Columns of rows as PostgreSQL arrays, for statements that write a whole group through `unnest`. The driver would make
 * them too, but look at each value for characters to escape, which costs as much as all other work of writing a group.
 *
 * A column without a single value is NULL instead of an array of nulls: `unnest` fills up what is shorter, and neither side
 * has a value to write or to read.
 */
type Read<Row, Value> = (row: Row, i: number) => Value | null | undefined;

/** Values that need no quotes: uuids, numbers, words of ours. */
export function arrayOf<Row>(rows: readonly Row[], read: Read<Row, string | number | bigint>): string | null {
  let text = '';
  let isEmpty = true;
  for (let i = 0; i < rows.length; i++) {
    const value = read(rows[i]!, i) ?? null;
    if (value !== null) isEmpty = false;
    text += i === 0 ? `${value ?? 'NULL'}` : `,${value ?? 'NULL'}`;
  }
  return isEmpty ? null : `{${text}}`;
}

/** Any text. */
export function textArrayOf<Row>(rows: readonly Row[], read: Read<Row, string>): string | null {
  return arrayOf(rows, (row, i) => {
    const value = read(row, i) ?? null;
    return value === null ? null : `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`;
  });
}

/** bytea, from hexadecimal digits. */
export function hexArrayOf<Row>(rows: readonly Row[], read: Read<Row, string>): string | null {
  return arrayOf(rows, (row, i) => {
    const value = read(row, i) ?? null;
    return value === null ? null : `"\\\\x${value}"`;
  });
}

/** Timestamps. */
export function timeArrayOf<Row>(rows: readonly Row[], read: Read<Row, Date>): string | null {
  return arrayOf(rows, (row, i) => {
    const value = read(row, i) ?? null;
    return value === null ? null : `"${value.toISOString()}"`;
  });
}

/** JSON; nothing where there is no object. */
export function jsonArrayOf<Row>(rows: readonly Row[], read: Read<Row, object>): string | null {
  return textArrayOf(rows, (row, i) => {
    const value = read(row, i) ?? null;
    return value === null ? null : JSON.stringify(value);
  });
}
