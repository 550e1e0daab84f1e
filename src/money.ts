/**
 * Money is a `bigint` count of minor units (paise, cents, fils) everywhere inside, a decimal string on the
 * wire, and never a float in between. This is the only file that parses or formats it,
 * but for the lines of a CSV statement, which the database writes.
 */
import { exponentOf } from './currencies.js';

/**
 * The largest amount of one posting: 15 digits of minor units (9,999,999,999,999.99 INR). It is what a JSON
 * number carries exactly, and 9,000 of the largest postings still fit a wallet's 63-bit balance.
 */
export const AMOUNT_MINOR_MAX = 999_999_999_999_999n;
/** Balances stay inside this range; PostgreSQL's `bigint` ends at 9.22e18. */
export const BALANCE_MINOR_MAX = 9_000_000_000_000_000_000n;

/** What a caller may send as an amount: `"150.00"`, `"150"`, or a JSON number such as `150` or `99.5`. */
export type AmountInput = string | number;

/** Plain decimal text: no sign, no exponent, no blanks, ASCII digits. 15 digits before, 4 after the point. */
const AMOUNT_TEXT = /^(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,4})?$/;
const SIGNED_AMOUNT_TEXT = /^-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,4})?$/;

/** A balance that somebody else printed: the sum of many amounts, up to the 19 digits of a 63-bit number. */
const BALANCE_TEXT = /^-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,4})?$/;

/** Why a text is not an amount. The message is a sentence for the caller: what is wrong and what to send. */
export class AmountError extends Error {}

/**
 * Whether a value has the shape of an amount, before its currency is known: decimal text, or a JSON number of
 * at most 15 significant digits (more could already have been rounded by the caller's own parser).
 */
export function isAmountShaped(value: unknown, signed = false): value is AmountInput {
  if (typeof value === 'string') return (signed ? SIGNED_AMOUNT_TEXT : AMOUNT_TEXT).test(value);
  return typeof value === 'number' && isAmountShaped(numberText(value), signed);
}

/**
 * Reads an amount in a currency's major unit into minor units: `parseAmount('150.5', 'INR') === 15050n`.
 * Trailing zeros may be left out, digits below the minor unit may not be sent, not even zeros.
 * @throws {AmountError} naming what is wrong; nothing is ever rounded.
 */
export function parseAmount(input: AmountInput, currency: string, { signed = false } = {}): bigint {
  const text = typeof input === 'number' ? numberText(input) : input;
  if (!(signed ? SIGNED_AMOUNT_TEXT : AMOUNT_TEXT).test(text)) {
    throw new AmountError('must be a plain decimal number such as "150.00": digits and one point, nothing else');
  }
  const minor = minorFrom(text, currency);
  if (minor > AMOUNT_MINOR_MAX || minor < -AMOUNT_MINOR_MAX) {
    throw new AmountError(`must be at most ${formatAmount(AMOUNT_MINOR_MAX, currency)} ${currency}`);
  }
  return minor;
}

/** Reads a balance to compare with, which is no amount to post: not bounded by the largest of these. @throws {AmountError} */
export function parseBalance(text: string, currency: string): bigint {
  if (!BALANCE_TEXT.test(text)) throw new AmountError('must be a decimal number such as "100.00" or "-50.00"');
  return minorFrom(text, currency);
}

function minorFrom(text: string, currency: string): bigint {
  const exponent = exponentOf(currency);
  const negative = text.startsWith('-');
  const [whole = '', fraction = ''] = (negative ? text.slice(1) : text).split('.');
  if (fraction.length > exponent) {
    throw new AmountError(
      exponent === 0
        ? `must be a whole number: ${currency} has no decimals`
        : `must have at most ${exponent} decimals: that is the smallest unit of ${currency}`,
    );
  }
  const minor = BigInt(whole + fraction.padEnd(exponent, '0'));
  if (negative && minor === 0n) throw new AmountError('must not be a negative zero');
  return negative ? -minor : minor;
}

/** Minor units as decimal text with exactly the currency's decimals: `formatAmount(-5n, 'INR') === '-0.05'`. */
export function formatAmount(minor: bigint, currency: string): string {
  const exponent = exponentOf(currency);
  if (exponent === 0) return minor.toString();
  const negative = minor < 0n;
  const digits = (negative ? -minor : minor).toString().padStart(exponent + 1, '0');
  const point = digits.length - exponent;
  return `${negative ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Reads back what {@link formatAmount} wrote, of whatever size. */
export function minorOf(formatted: string): bigint {
  return BigInt(formatted.replace('.', ''));
}

/** TypeORM column transformer: `bigint` columns travel as text in pg and are `bigint` in our entities. */
export const minorUnits = {
  to: (value: bigint | null | undefined): string | null | undefined => (value === null ? null : value?.toString()),
  from: (value: string | null): bigint | null => (value === null ? null : BigInt(value)),
};

/**
 * The decimal text of a JSON number, or the empty text where it can't be trusted: `1e21` prints an exponent and
 * 0.1 + 0.2 prints 17 digits, so neither matches an amount.
 */
function numberText(value: number): string {
  if (!Number.isFinite(value) || Object.is(value, -0)) return '';
  const text = String(value);
  return text.replace(/[-.]/g, '').replace(/^0+/, '').length <= 15 ? text : '';
}
