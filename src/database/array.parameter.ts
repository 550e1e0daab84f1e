/**
 * Arrays in PostgreSQL's binary form, which it takes without reading digits: dimensions, whether any element is null, their type, their
 * number, the first index, and then each behind its length (`array_recv` in arrayfuncs.c; each element as the `_recv` function of its type
 * takes it). Integers are big-endian.
 */

/** What the elements are, by the name of their type. */
export interface Elements {
  uuid: string;
  smallint: number;
  int: number;
  bigint: bigint | number;
  /** `2026-01-31` */
  date: string;
  text: string;
  /** To the millisecond. */
  timestamptz: Date;
  json: object;
  jsonb: object;
  /** Hexadecimal digits. */
  bytea: string;
}

/** How elements of a type are written. */
interface Encoding<Element, Prepared> {
  /** The type, in `pg_type`. */
  oid: number;
  /** What is done once for each element, before it is measured. */
  prepare?: (element: Element) => Prepared;
  /** What it takes at most, in bytes. */
  size: number | ((element: Prepared) => number);
  /**
   * @returns how many bytes it has written.
   * @throws {RangeError} what is none of its type.
   */
  write: (to: Target, at: number, element: Prepared) => number;
}

/** The same bytes twice: setting an integer takes 7 ns through the one and 58 through the other. */
interface Target {
  view: DataView;
  buffer: Buffer;
}

const HEADER_BYTES = 20;
const EMPTY_BYTES = 12;
const LENGTH_BYTES = 4;
/** Of UTF-8, at most, for a unit of a string: what takes four has two units. */
const UNIT_BYTES = 3;
const JSONB_VERSION = 1;
const DAY_MS = 86_400_000;
/** Where PostgreSQL's time begins. */
const EPOCH_MS = Date.UTC(2000, 0, 1);

type Prepared<Type extends keyof Elements> = Elements[Type] extends Date | string | number | bigint
  ? Elements[Type]
  : string;

const ENCODINGS: { [Type in keyof Elements]: Encoding<Elements[Type], Prepared<Type>> } = {
  uuid: { oid: 2950, size: 16, write: writeUuid },
  smallint: { oid: 21, size: 2, write: writeSmallint },
  int: { oid: 23, size: 4, write: writeInt },
  bigint: { oid: 20, size: 8, write: writeBigint },
  date: { oid: 1082, size: 4, write: (to, at, day) => writeInt(to, at, (Date.parse(day) - EPOCH_MS) / DAY_MS) },
  text: { oid: 25, size: sizeOfText, write: writeText },
  timestamptz: {
    oid: 1184,
    size: 8,
    write: (to, at, time) => writeBigint(to, at, BigInt(time.getTime() - EPOCH_MS) * 1000n),
  },
  json: { oid: 114, prepare: (json) => JSON.stringify(json), size: sizeOfText, write: writeText },
  jsonb: {
    oid: 3802,
    prepare: (json) => JSON.stringify(json),
    size: (json) => 1 + sizeOfText(json),
    write: (to, at, json) => {
      to.view.setInt8(at, JSONB_VERSION);
      return 1 + writeText(to, at + 1, json);
    },
  },
  bytea: { oid: 17, size: (digits) => digits.length / 2, write: writeBytea },
};

/**
 * A parameter for `$1::uuid[]` and the like, of any number of elements.
 * @throws {RangeError} where a value is none of the type.
 */
export function arrayOf<Type extends keyof Elements>(type: Type, values: ReadonlyArray<Elements[Type] | null>): Buffer {
  const { oid, prepare, size, write } = ENCODINGS[type] as Encoding<Elements[Type], unknown>;
  const elements = prepare ? values.map((value) => (value === null ? null : prepare(value))) : values;
  let room = HEADER_BYTES + LENGTH_BYTES * elements.length;
  for (const value of elements) if (value !== null) room += typeof size === 'number' ? size : size(value);
  const buffer = Buffer.allocUnsafe(room);
  const view = new DataView(buffer.buffer, buffer.byteOffset, room);
  const to = { buffer, view };
  let hasNull = 0;
  let at = HEADER_BYTES;
  for (const value of elements) {
    const length = value === null ? -1 : write(to, at + LENGTH_BYTES, value);
    view.setInt32(at, length);
    at += LENGTH_BYTES;
    if (value === null) hasNull = 1;
    else at += length;
  }
  const dimensions = elements.length === 0 ? 0 : 1;
  [dimensions, hasNull, oid, elements.length, 1].forEach((word, i) => view.setInt32(4 * i, word));
  return buffer.subarray(0, dimensions === 0 ? EMPTY_BYTES : at);
}

function writeSmallint({ view }: Target, at: number, value: number): number {
  if ((value << 16) >> 16 !== value) throw new RangeError(`${value} is no smallint`);
  view.setInt16(at, value);
  return 2;
}

function writeInt({ view }: Target, at: number, value: number): number {
  if ((value | 0) !== value) throw new RangeError(`${value} is no integer of 32 bits`);
  view.setInt32(at, value);
  return 4;
}

function writeBigint({ view }: Target, at: number, value: bigint | number): number {
  const big = typeof value === 'bigint' ? value : BigInt(value);
  if (BigInt.asIntN(64, big) !== big) throw new RangeError(`${big} is no integer of 64 bits`);
  view.setBigInt64(at, big);
  return 8;
}

function sizeOfText(text: string): number {
  return UNIT_BYTES * text.length;
}

function writeText({ buffer }: Target, at: number, text: string): number {
  return buffer.write(text, at);
}

/** Of each hexadecimal digit its value, by its character code; of all else -1, which keeps negative whatever it becomes part of. */
const DIGITS = new Int8Array(0x10000).fill(-1);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  for (const form of [digit, digit.toUpperCase()]) DIGITS[form.charCodeAt(0)] = value;
}

/** Four digits from a place on. */
function word(text: string, from: number): number {
  const high = (DIGITS[text.charCodeAt(from)]! << 12) | (DIGITS[text.charCodeAt(from + 1)]! << 8);
  return high | (DIGITS[text.charCodeAt(from + 2)]! << 4) | DIGITS[text.charCodeAt(from + 3)]!;
}

function writeUuid({ view }: Target, at: number, id: string): number {
  const [a, b, c, d] = id.length === 36 ? [word(id, 0), word(id, 4), word(id, 9), word(id, 14)] : [-1, 0, 0, 0];
  const [e, f, g, h] = [word(id, 19), word(id, 24), word(id, 28), word(id, 32)];
  if ((a | b | c | d | e | f | g | h) < 0) throw new RangeError(`${id} is no uuid`);
  view.setInt32(at, (a << 16) | b);
  view.setInt32(at + 4, (c << 16) | d);
  view.setInt32(at + 8, (e << 16) | f);
  view.setInt32(at + 12, (g << 16) | h);
  return 16;
}

function writeBytea({ buffer }: Target, at: number, digits: string): number {
  const bytes = buffer.write(digits, at, 'hex');
  if (2 * bytes !== digits.length) throw new RangeError(`${digits} is not hexadecimal`);
  return bytes;
}
