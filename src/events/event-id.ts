/**
 * The id of an event: a UUID v7 (RFC 9562) whose time is that of its batch, and whose random part is where it stands:
 * 42 bits of the batch, 20 of its number in it. So an id is stable, unique and in order within each wallet, costs no column
 * and no index, and an event is found by it.
 */
const ORDINAL_BITS = 20n;
const BATCH_BITS = 42n;
export const ORDINAL_MAX = 2 ** Number(ORDINAL_BITS) - 1;
const VERSION_7 = 0x7n << 76n;
const VARIANT = 0x2n << 62n;
const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-7000-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Where an event stands. */
export interface EventPlace {
  batch: bigint;
  ordinal: number;
}

export function eventId({ batch, ordinal }: EventPlace, createdAt: Date): string {
  const place = (batch << ORDINAL_BITS) | BigInt(ordinal);
  const bits = (BigInt(createdAt.getTime()) << 80n) | VERSION_7 | VARIANT | place;
  const hex = bits.toString(16).padStart(32, '0');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Where the event of an id stands, or nothing where no event has such an id. */
export function placeOf(id: string): EventPlace | undefined {
  if (!SHAPE.test(id)) return undefined;
  const place = BigInt(`0x${id.slice(19).replace('-', '')}`) & ((1n << (BATCH_BITS + ORDINAL_BITS)) - 1n);
  return { batch: place >> ORDINAL_BITS, ordinal: Number(place & ((1n << ORDINAL_BITS) - 1n)) };
}
