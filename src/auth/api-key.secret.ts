/**
 * The text of an API key: a prefix by which scanners of repositories and logs know it, 256 random bits, and a checksum by
 * which a mistyped or invented key is known without a look into the database.
 *
 * SECURITY: what is kept is its SHA-256. A slow hash is for what people choose; 256 random bits cannot be guessed, and a
 * hash of 100 ms would be an invitation to keep the service busy.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

export const API_KEY_PREFIX = 'asper_key_';
/** 62^43 is just more than 2^256. */
const RANDOM_LENGTH = 43;
/** 62^6 is more than 2^32. */
const CHECKSUM_LENGTH = 6;
const HINT_LENGTH = 4;
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SHAPE = new RegExp(`^${API_KEY_PREFIX}[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);

export function newSecret(): string {
  const random = base62(BigInt(`0x${randomBytes(32).toString('hex')}`), RANDOM_LENGTH);
  return withChecksum(API_KEY_PREFIX + random);
}

/** Whether a text is like a key of ours, checksum included. */
export function isWellFormed(secret: string): boolean {
  return SHAPE.test(secret) && withChecksum(secret.slice(0, -CHECKSUM_LENGTH)) === secret;
}

/** SHA-256 of the whole text. */
export function hashOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

/** Its last characters, to tell keys apart by. They are of the checksum: nothing of the random part is shown. */
export function hintOf(secret: string): string {
  return secret.slice(-HINT_LENGTH);
}

function withChecksum(text: string): string {
  return text + base62(BigInt(crc32(text)), CHECKSUM_LENGTH);
}

function base62(value: bigint, length: number): string {
  let digits = '';
  for (let rest = value; digits.length < length; rest /= 62n) digits = DIGITS[Number(rest % 62n)]! + digits;
  return digits;
}
