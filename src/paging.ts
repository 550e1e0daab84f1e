/** Keyset paging: a cursor is where the last page ended, so pages stay stable while rows arrive. */
import { Type } from 'class-transformer';
import { ApiPropertyOptional } from '@nestjs/swagger';
import { Problem } from './errors.js';
import { IsWholeNumber, MayBeAbsent } from './validation.js';

export const PAGE_SIZE_DEFAULT = 20;
export const PAGE_SIZE_MAX = 100;
const CURSOR_LENGTH_MAX = 200;

/** The query fields of every list. */
export class PageQuery {
  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: PAGE_SIZE_MAX, default: PAGE_SIZE_DEFAULT })
  @MayBeAbsent()
  @Type(() => Number)
  @IsWholeNumber(1, PAGE_SIZE_MAX)
  limit: number = PAGE_SIZE_DEFAULT;

  @ApiPropertyOptional({ description: 'The `next_cursor` of the page before.', maxLength: CURSOR_LENGTH_MAX })
  @MayBeAbsent()
  cursor?: string;
}

/** Rows in order, and the cursor of the next page, or null at the end. */
export interface Page<Item> {
  data: Item[];
  next_cursor: string | null;
}

/**
 * Makes a page from `limit + 1` rows: the extra row only tells that there is more.
 * @param list its name, and of what it is, `entries/<wallet>`: cursors of another one would skip rows without a word.
 * @param position what the cursor must say to continue after a row.
 */
export function pageOf<Row, Item>(
  list: string,
  rows: Row[],
  limit: number,
  position: (row: Row) => string,
  present: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return {
    data: shown.map(present),
    next_cursor: last === undefined ? null : cursorAt(list, position(last)),
  };
}

/** The cursor of a place in a list. */
export function cursorAt(list: string, position: string): string {
  return Buffer.from(`${list}:${position}`).toString('base64url');
}

/**
 * Where a cursor says to continue.
 * @param list as {@link pageOf} was told.
 * @param shape what a position of this list looks like.
 * @throws {Problem} on a cursor that this list did not write.
 */
export function readCursor(list: string, cursor: string | undefined, shape: RegExp): string | undefined {
  if (cursor === undefined) return undefined;
  const text =
    typeof cursor === 'string' && cursor.length <= CURSOR_LENGTH_MAX ? Buffer.from(cursor, 'base64url').toString() : '';
  const position = text.startsWith(`${list}:`) ? text.slice(list.length + 1) : '';
  if (!shape.test(position)) throw Problem.field('cursor', 'must be a next_cursor of this list, unchanged');
  return position;
}

export const CURSOR_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
export const CURSOR_SEQ = /^[1-9][0-9]{0,17}$/;
/** The version of a row: an `integer` of the database. */
export const CURSOR_VERSION = /^[1-9][0-9]{0,8}$/;
/** Microseconds since 1970, or before it, and an id. */
export const CURSOR_TIME_ID = /^-?\d{1,16}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
