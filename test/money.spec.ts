import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CURRENCIES } from '../src/currencies.js';
import { AMOUNT_MINOR_MAX, formatAmount, isAmountShaped, parseAmount } from '../src/money.js';

describe('money', () => {
  it.each([
    ['150.00', 'INR', 15000n],
    ['150', 'INR', 15000n],
    ['150.5', 'INR', 15050n],
    ['0.01', 'INR', 1n],
    ['150', 'JPY', 150n],
    ['1.234', 'BHD', 1234n],
    ['0.0001', 'CLF', 1n],
    [100, 'INR', 10000n],
    [99.5, 'INR', 9950n],
    [0.29, 'INR', 29n],
    ['9999999999999.99', 'INR', AMOUNT_MINOR_MAX],
  ])('reads %p %s as %p minor units', (input, currency, minor) => {
    expect(parseAmount(input, currency)).toBe(minor);
  });

  it.each([
    '1e3',
    '-0',
    '-1',
    '+1',
    'NaN',
    'Infinity',
    '',
    ' ',
    ' 1',
    '1 ',
    '.5',
    '5.',
    '01',
    '1,000',
    '0x10',
    '１２',
    '٣',
    '1_000',
    '1'.repeat(30),
    '9223372036854775808',
    '1.00000',
    NaN,
    Infinity,
    -0,
    -1,
    1e21,
    1e-7,
    0.1 + 0.2,
    null,
    true,
    {},
    ['1'],
  ])('does not take %p for an amount', (input) => {
    expect(isAmountShaped(input)).toBe(false);
  });

  it.each([
    ['0.001', 'INR', 'at most 2 decimals'],
    ['1.0', 'JPY', 'has no decimals'],
    ['10000000000000.00', 'INR', 'at most 9999999999999.99 INR'],
    ['-0', 'INR', 'plain decimal'],
  ])('says why %p is no amount of %s', (input, currency, reason) => {
    expect(() => parseAmount(input, currency)).toThrow(reason);
  });

  it('prints and reads every amount of every currency back unchanged', () => {
    const currency = fc.constantFrom(...CURRENCIES.keys());
    const minor = fc.bigInt({ min: -AMOUNT_MINOR_MAX, max: AMOUNT_MINOR_MAX });
    fc.assert(
      fc.property(currency, minor, (code, amount) => {
        expect(parseAmount(formatAmount(amount, code), code, { signed: true })).toBe(amount);
      }),
    );
  });

  it('reads a JSON number as its decimal text or not at all, never rounded', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 99_999_999_999, noNaN: true }), (number) => {
        if (isAmountShaped(number)) expect(Number(formatAmount(parseAmount(number, 'CLF'), 'CLF'))).toBe(number);
      }),
    );
  });

  it('knows the exponents that differ from two', () => {
    const others = [...CURRENCIES].filter(([, exponent]) => exponent !== 2).length;
    expect([CURRENCIES.size, others]).toEqual([166, 26]);
    expect(['JPY', 'KWD', 'UYW', 'HUF'].map((code) => CURRENCIES.get(code))).toEqual([0, 3, 4, 2]);
  });
});
