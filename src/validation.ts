/**
 * The field rules that DTOs share, as class-validator decorators. A message is the rest of a sentence that begins with
 * the field's name.
 */
import { applyDecorators } from '@nestjs/common';
import { Transform, Type } from 'class-transformer';
import { ValidateBy, ValidateIf, ValidateNested } from 'class-validator';
import { CURRENCIES } from './currencies.js';
import { isAmountShaped } from './money.js';
import { isTimeZone, TIME_ZONE_RULE } from './time-zone.js';

/** What is wrong with a text, or nothing. PostgreSQL cannot store NUL or lone surrogates; nobody reads controls. */
export function textProblem(value: unknown, lengthMax: number): string | undefined {
  if (typeof value !== 'string') return 'must be a text';
  // Emoji are two of what JavaScript counts, and one character: to count those takes a while for a long text.
  if (value.length > 2 * lengthMax || (value.length > lengthMax && [...value].length > lengthMax)) {
    return `must have at most ${lengthMax} characters`;
  }
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(value)) return 'must not contain control characters';
  if (!(value as unknown as { isWellFormed(): boolean }).isWellFormed()) return 'must be well-formed Unicode';
  return undefined;
}

/** A text of 1 to `lengthMax` characters without control characters. */
export function IsText(lengthMax: number) {
  return rule('isText', (value) => (value === '' ? 'must not be empty' : textProblem(value, lengthMax)));
}

/** A list of `min` to `max` texts, all different, each of which is right. @param what it must be a list of */
export function IsTextList(min: number, max: number, isRight: (text: string) => boolean, what: string) {
  return rule('isTextList', (value) => {
    if (!Array.isArray(value) || value.length < min || value.length > max)
      return `must be a list of ${min} to ${max} ${what}`;
    if (value.some((text) => typeof text !== 'string' || !isRight(text))) return `must have nothing but ${what}`;
    return new Set(value).size < value.length ? 'must have nothing twice' : undefined;
  });
}

/** A JSON number without decimals. */
export function IsWholeNumber(min: number, max: number) {
  return rule('isWholeNumber', (value) => {
    if (!Number.isInteger(value)) return 'must be a whole number';
    if ((value as number) < min) return min === 0 ? 'must not be negative' : `must be at least ${min}`;
    return (value as number) > max ? `must be at most ${max}` : undefined;
  });
}

/** An amount of money, more than zero: decimal text, or a JSON number of at most 15 significant digits. */
export function IsAmount() {
  return rule('isAmount', (value) => {
    if (!isAmountShaped(value)) return tooLong(value) ?? 'must be a positive decimal number such as "150.00"';
    return /[1-9]/.test(String(value)) ? undefined : 'must be more than zero';
  });
}

/** An amount of money that may be zero or negative. */
export function IsSignedAmount() {
  return rule('isSignedAmount', (value) =>
    isAmountShaped(value, true)
      ? undefined
      : (tooLong(value) ?? 'must be a decimal number such as "100.00" or "-50.00"'),
  );
}

/** What is wrong with a number that has the look of an amount. */
function tooLong(value: unknown): string | undefined {
  const [, whole, fraction = ''] = /^-?(0|[1-9]\d*)(?:\.(\d+))?$/.exec(String(value)) ?? [];
  if (whole === undefined) return undefined;
  if (whole.length > 15) return 'must be smaller: it has more than 15 digits before the point';
  if (fraction.length <= 4) return undefined;
  const hint = typeof value === 'number' ? '; a text says what you mean' : '';
  return `must be rounded: it has more decimals than any currency${hint}`;
}

/** An ISO 4217 code with a minor unit. */
export function IsCurrency() {
  return rule('isCurrency', (value) =>
    CURRENCIES.has(value as string)
      ? undefined
      : 'must be an ISO 4217 code of a currency in capital letters, such as "INR"',
  );
}

/** An id: a UUID in its usual form. Which version does not matter; unknown ids are 404. */
export function IsId() {
  return rule('isId', (value) =>
    typeof value === 'string' && UUID.test(value)
      ? undefined
      : 'must be a UUID in lower case, such as "0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90"',
  );
}
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** RFC 3339 with an offset, between the years 1900 and 2200. */
export function IsInstant() {
  return rule('isInstant', (value) => {
    if (readInstant(value)) return undefined;
    const hint = / \d\d:\d\d$/.test(String(value)) ? '; + is written %2B in a URL' : '';
    return `must be an RFC 3339 time such as "2026-01-31T09:30:00Z", from 1900 to 2199${hint}`;
  });
}
const INSTANT =
  /^(19|20|21)\d\d-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** The instant that a text names, or nothing: `2026-02-30` is no day. */
export function readInstant(value: unknown): Date | undefined {
  if (typeof value !== 'string' || !INSTANT.test(value) || !isDay(value.slice(0, 10))) return undefined;
  return new Date(value);
}

/** The same instant in UTC, to the last digit. PostgreSQL reads no offset of 16 hours or more, which RFC 3339 allows. */
export function inUtc(instant: string): string {
  const fraction = /\.\d+/.exec(instant)?.[0] ?? '';
  return `${new Date(instant).toISOString().slice(0, 19)}${fraction}Z`;
}

/** A calendar day: `2026-01-31`. */
export function IsDay() {
  return rule('isDay', (value) => (isDay(value) ? undefined : 'must be a day such as "2026-01-31", from 1900 to 2199'));
}

function isDay(value: unknown): value is string {
  if (typeof value !== 'string' || !/^(19|20|21)\d\d-\d\d-\d\d$/.test(value)) return false;
  const date = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}

const METADATA_KEYS_MAX = 50;

/** Flat notes: up to 50 names of 64 characters, each with a text of 500, a number that is kept exactly, or a boolean. */
export function IsMetadata() {
  return rule('isMetadata', (value) => {
    if (!isObject(value)) return 'must be a flat JSON object';
    const pairs = Object.entries(value);
    if (pairs.length > METADATA_KEYS_MAX) return `must have at most ${METADATA_KEYS_MAX} names`;
    for (const [name, item] of pairs) {
      const problem = name === '' ? 'must not be empty' : textProblem(name, 64);
      if (problem) return `has a name that ${problem}`;
      if (typeof item === 'boolean') continue;
      if (typeof item === 'number') {
        // JavaScript has rounded it already: an id of 64 bits would come back as another one.
        if (Number.isInteger(item) ? Number.isSafeInteger(item) : Number.isFinite(item)) continue;
        return `has under "${name}" a number of more than 15 digits: send it as a text`;
      }
      if (typeof item !== 'string') return `has under "${name}" a value that must be a text, a number, true or false`;
      const itemProblem = textProblem(item, 500);
      if (itemProblem) return `has under "${name}" a value that ${itemProblem}`;
    }
    return undefined;
  });
}

/** `true` or `false`, also as the text of a query; absent is the class's own default. */
export function IsFlag() {
  return applyDecorators(
    MayBeAbsent(),
    Transform(({ value }: { value: unknown }) => (value === 'true' ? true : value === 'false' ? false : value)),
    rule('isFlag', (value) => (typeof value === 'boolean' ? undefined : 'must be true or false')),
  );
}

/** An IANA time zone. */
export function IsTimeZone() {
  return rule('isTimeZone', (value) => (isTimeZone(value) ? undefined : `must be ${TIME_ZONE_RULE}`));
}

/**
 * A list of `min` to `max` objects of a class; mistakes name the item: `entries.3.amount`.
 * @param byType the class of an item by its field `type`; the first class is for those of an unknown one.
 */
export function IsListOf(
  type: () => new () => object,
  min: number,
  max: number,
  byType: Record<string, new () => object> = {},
) {
  const subTypes = Object.entries(byType).map(([name, value]) => ({ name, value }));
  const discriminator = { property: 'type', subTypes };
  return applyDecorators(
    rule('isListOf', (value) => {
      if (!Array.isArray(value)) return 'must be a list';
      if (value.length < min) return `must have at least ${min} items`;
      if (value.length > max) return `must have at most ${max} items`;
      return value.every(isObject) ? undefined : 'must be a list of objects';
    }),
    ValidateNested({ each: true }),
    Type(type, subTypes.length > 0 ? { discriminator, keepDiscriminatorProperty: true } : undefined),
  );
}

/** May be left out. Unlike `IsOptional`, an explicit null is a mistake that the other rules name. */
export function MayBeAbsent() {
  return ValidateIf((_, value) => value !== undefined);
}

/** May be left out, or null, which takes away what there was. */
export function MayBeNull() {
  return ValidateIf((_, value) => value !== undefined && value !== null);
}

/** A JSON object: no list, no null. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const PASSES_OVER = Symbol('passes over');

/** On a class: what it has no field for is passed over instead of refused. */
export function PassesOverUnknown(): ClassDecorator {
  return (type) => Reflect.defineMetadata(PASSES_OVER, true, type);
}

export function passesOverUnknown(type: object | undefined): boolean {
  return type !== undefined && Reflect.hasMetadata(PASSES_OVER, type);
}

/** A decorator from a function that says what is wrong with a value. */
function rule(name: string, problemOf: (value: unknown) => string | undefined): PropertyDecorator {
  return ValidateBy({
    name,
    validator: {
      validate: (value) => problemOf(value) === undefined,
      defaultMessage: (args) => {
        const problem = problemOf(args?.value) ?? 'is wrong';
        return args?.value === undefined ? `is missing: it ${problem}` : problem;
      },
    },
  });
}
