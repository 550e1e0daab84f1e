/**
 * A PostgreSQL array of values that need no quotes: uuids, numbers, words of ours. The driver would look at each value
 * for characters to escape, which costs as much as all other work of writing a group.
 */
export function arrayOf(values: ReadonlyArray<string | number | bigint | null>): string {
  let text = '{';
  for (let i = 0; i < values.length; i++) text += `${i === 0 ? '' : ','}${values[i] ?? 'NULL'}`;
  return `${text}}`;
}

/** A PostgreSQL array of bytea. */
export function byteaArrayOf(values: ReadonlyArray<Buffer | null>): string {
  return arrayOf(values.map((value) => (value === null ? null : `"\\\\x${value.toString('hex')}"`)));
}

/** A PostgreSQL array of timestamps. */
export function timeArrayOf(values: ReadonlyArray<Date | null>): string {
  return arrayOf(values.map((value) => (value === null ? null : `"${value.toISOString()}"`)));
}
