/**
 * SECURITY: the last line of defence of the log (S12). Request lines are made of fields that cannot hold a secret; everything
 * else, such as what a driver says of a value that it was given, passes here.
 */
const RULES: Array<[RegExp, string]> = [
  // user:password@ of a URL; a password may hold an @ of its own
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#'"]*@/gi, '$1***@'],
  // API keys, refresh tokens, webhook secrets
  [/\b(asper_[a-z]+_|whsec_)[\w+/=-]+/g, '$1***'],
  // access tokens, receipts, and any other JWS
  [/\beyJ[\w-]*\.[\w-]*(?:\.[\w-]*)?/g, '***'],
  [/\b(bearer|basic) +[\w.~+/=-]+/gi, '$1 ***'],
  // 32 bytes in base64 or base64url: AUTH_SECRET, RECEIPT_KEY
  // (and not the path of a file in a stack, whatever its length)
  [/(?<![\w+/=-])[\w+/-]{43}=?(?![\w+/=-]|\.[cm]?[jt]s\b)/g, '***'],
  // phone numbers, also as people write them; ids and times have other shapes
  [/\+\d[\d\s().-]{6,20}\d/g, '+***'],
  [/(?<![\w.:-])\d{10,15}(?![\w:-])/g, '***'],
];

/** A text without what looks like a password, token, key or phone number. */
export function redact(text: string): string {
  return RULES.reduce((clean, [pattern, by]) => clean.replace(pattern, by), text);
}
