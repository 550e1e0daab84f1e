/**
 * ISO 4217 active codes and their minor-unit exponents (list one, as published 2025-05 with amendment 179;
 * the CUC, HRK, SLL, ANG and ZWL withdrawals are applied). Codes without a minor unit (gold, SDR, test and
 * "no currency": XAU, XDR, XTS, XXX …) are left out: an amount in them has no smallest piece to count.
 */
const EXPONENT_2 = `
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR
IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD
NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG`;
const EXPONENTS: ReadonlyArray<readonly [exponent: number, codes: string]> = [
  [0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'],
  [2, EXPONENT_2],
  [3, 'BHD IQD JOD KWD LYD OMR TND'],
  [4, 'CLF UYW'],
];

/** Decimal places by currency code: `CURRENCIES.get('JPY') === 0`. */
export const CURRENCIES: ReadonlyMap<string, number> = new Map(
  EXPONENTS.flatMap(([exponent, codes]) =>
    codes
      .trim()
      .split(/\s+/)
      .map((code) => [code, exponent] as const),
  ),
);

/**
 * Decimal places of a currency that is known to exist (it was checked when the wallet was opened).
 * @throws {Error} on a code outside ISO 4217: a bug, not bad input.
 */
export function exponentOf(currency: string): number {
  const exponent = CURRENCIES.get(currency);
  if (exponent === undefined) throw new Error(`${currency} is not an ISO 4217 currency`);
  return exponent;
}
