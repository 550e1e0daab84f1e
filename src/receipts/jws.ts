/**
 * Compact JWS (RFC 7515) with Ed25519 (RFC 8037). One algorithm, so there is nothing to negotiate and nothing to get
 * wrong: whatever the header asks for, a signature is verified as EdDSA or not at all.
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

/** A public key as a JWKS lists it. */
export interface PublicJwk {
  kty: 'OKP';
  crv: 'Ed25519';
  x: string;
  kid: string;
  use: 'sig';
  alg: 'EdDSA';
}

/** What stands before the seed in the PKCS #8 form of an Ed25519 key. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** @param seed 32 bytes. */
export function privateKeyOf(seed: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

export function publicJwkOf(privateKey: KeyObject): PublicJwk {
  return publicJwk(createPublicKey(privateKey).export({ format: 'jwk' }).x!);
}

/** @param x the 32 bytes of a public key in base64url. Its `kid` is the thumbprint of RFC 7638. */
export function publicJwk(x: string): PublicJwk {
  const thumbprint = createHash('sha256').update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest('base64url');
  return { kty: 'OKP', crv: 'Ed25519', x, kid: thumbprint, use: 'sig', alg: 'EdDSA' };
}

/** @param type the `typ` of the header, so that what is signed for one purpose is never taken for another. */
export function signJws(payload: object, type: string, privateKey: KeyObject): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'EdDSA', typ: type, kid: publicJwkOf(privateKey).kid })}.${encode(payload)}`;
  return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`;
}

/** The payload of a JWS that one of the keys has signed for this purpose; nothing where none has. */
export function verifyJws(jws: string, type: string, keys: readonly PublicJwk[]): unknown {
  const [header, payload, signature, ...rest] = jws.split('.');
  if (!header || !payload || !signature || rest.length > 0) return undefined;
  try {
    const { alg, typ, kid } = JSON.parse(Buffer.from(header, 'base64url').toString());
    const jwk = keys.find((key) => key.kid === kid);
    if (!jwk || alg !== 'EdDSA' || typ !== type) return undefined;
    const key = createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: 'jwk' });
    const isSigned = verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'));
    return isSigned ? JSON.parse(Buffer.from(payload, 'base64url').toString()) : undefined;
  } catch {
    return undefined; // not JSON, not base64: not signed by anyone
  }
}
