/**
 * A PostgreSQL array of values that need no quotes: uuids, numbers, words of ours. The driver would look at each value
 * for characters to escape, which costs as much as all other work of writing a group.
 */
export function arrayOf(values: ReadonlyArray<string | number | bigint | null>): string {
  let text = '{';
  for (let i = 0; i < values.length; i++) text += `${i === 0 ? '' : ','}${values[i] ?? 'NULL'}`;
  return `${text}}`;
}

/** A PostgreSQL array of any text. */
export function textArrayOf(values: ReadonlyArray<string | null | undefined>): string {
  let text = '{';
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? null;
    const quoted = value === null ? 'NULL' : `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`;
    text += i === 0 ? quoted : `,${quoted}`;
  }
  return `${text}}`;
}

/** A PostgreSQL array of bytea, from hexadecimal digits. */
export function hexArrayOf(values: ReadonlyArray<string | null>): string {
  return arrayOf(values.map((value) => (value === null ? null : `"\\\\x${value}"`)));
}

/** A PostgreSQL array of timestamps. */
export function timeArrayOf(values: ReadonlyArray<Date | null>): string {
  return arrayOf(values.map((value) => (value === null ? null : `"${value.toISOString()}"`)));
}
