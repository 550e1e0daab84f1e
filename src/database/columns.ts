/**
 * How a statement writes many rows at once: a parameter for each column, which is an array of what the rows have there, and a subquery
 * that makes rows of them again. What is read of a row, its name and its type stand in one place, {@link Columns}.
 *
 * The driver would write the arrays too, but look at each value for characters to escape, which costs as much as all other
 * work of writing a group. A column without a single value is NULL instead of an array of nulls: neither side has a value to write or to
 * read.
 */

/** What a value is, by the type of its column. */
interface Values {
  uuid: string;
  smallint: number;
  int: number;
  bigint: bigint | number;
  date: string;
  text: string;
  timestamptz: Date;
  json: object;
  jsonb: object;
  /** Hexadecimal digits. */
  bytea: string;
}

/** The columns of rows: name, type, and how to read it from what is written. */
export type Columns<Row> = Record<
  string,
  { [Type in keyof Values]: readonly [Type, (row: Row) => Values[Type] | null | undefined] }[keyof Values]
>;

/**
 * `(SELECT unnest($1::uuid[]) AS id, …)`, with a parameter for each column from `$first` on. What is shorter is filled up with nulls.
 * `FROM unnest($1, $2, …)` says the same, and puts each array into a store of its own before: PostgreSQL's part of a posting in batches of
 * 500, in alternation, 68, 63, 60 µs instead of 65, 60, 57.
 */
export function rowsOf(columns: Columns<never>, first = 1): string {
  const list = Object.entries(columns).map(([name, [type]], i) => {
    const array = `$${first + i}::${type}[]`;
    // `(SELECT $1)`: a plan that does not depend on how many there are.
    return `unnest(${i === 0 ? `(SELECT ${array})` : array}) AS ${name}`;
  });
  return `(SELECT ${list.join(', ')})`;
}

/** The names of the columns, for the INSERT of {@link rowsOf}. */
export function namesOf(columns: Columns<never>): string {
  return Object.keys(columns).join(', ');
}

/** The parameters of {@link rowsOf}. */
export function valuesOf<Row>(columns: Columns<Row>, rows: readonly Row[]): Array<string | null> {
  return Object.values(columns).map(([type, read]) => arrayOf(rows, read as Read<Row>, LITERALS[type]));
}

/** Ids alone, for `= ANY($1)`. */
export function idsOf(ids: readonly string[]): string {
  return `{${ids.join()}}`;
}

type Value = Values[keyof Values];
type Read<Row> = (row: Row) => Value | null | undefined;

const quoted = (text: string) => `"${/["\\]/.test(text) ? text.replace(/["\\]/g, '\\$&') : text}"`;
/** How values are written that cannot stand in an array as they are. */
const LITERALS: { [Type in keyof Values]?: (value: Values[Type]) => string } = {
  text: quoted,
  timestamptz: (time) => `"${time.toISOString()}"`,
  json: (object) => quoted(JSON.stringify(object)),
  jsonb: (object) => quoted(JSON.stringify(object)),
  bytea: (digits) => `"\\\\x${digits}"`,
};

function arrayOf<Row>(rows: readonly Row[], read: Read<Row>, literal?: (value: never) => string): string | null {
  let text = '';
  let isEmpty = true;
  for (let i = 0; i < rows.length; i++) {
    const value = read(rows[i]!) ?? null;
    if (value !== null) isEmpty = false;
    const written = value === null ? 'NULL' : literal ? literal(value as never) : value;
    text += i === 0 ? `${written as string}` : `,${written as string}`;
  }
  return isEmpty ? null : `{${text}}`;
}
