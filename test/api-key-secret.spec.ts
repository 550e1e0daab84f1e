import { describe, expect, it } from '@jest/globals';
import { hashOf, hintOf, isWellFormed, newSecret } from '../src/auth/api-key.secret.js';

describe('the secret of an API key', () => {
  it('has a prefix, 43 random characters and a checksum', () => {
    const secrets = Array.from({ length: 2_000 }, newSecret);
    expect(new Set(secrets).size).toBe(secrets.length);
    for (const secret of secrets) {
      expect(secret).toMatch(/^asper_key_[0-9A-Za-z]{49}$/);
      expect(isWellFormed(secret)).toBe(true);
    }
    // 256 bits: every place but the first uses all digits about equally. 2,000 draws of 62 make 32 each.
    for (let place = 11; place < 53; place++) {
      const counts = new Map<string, number>();
      for (const secret of secrets) counts.set(secret[place]!, (counts.get(secret[place]!) ?? 0) + 1);
      expect(counts.size).toBe(62);
      expect(Math.max(...counts.values())).toBeLessThan(80);
    }
  });

  it('shows every single character that is mistyped', () => {
    const secret = newSecret();
    for (let place = 0; place < secret.length; place++) {
      for (const digit of ['0', 'z', 'A', '-']) {
        const mistyped = secret.slice(0, place) + digit + secret.slice(place + 1);
        expect([mistyped, isWellFormed(mistyped)]).toEqual([mistyped, mistyped === secret]);
      }
    }
    for (const text of ['', 'asper_key_', secret.slice(0, -1), `${secret}0`, ` ${secret}`, secret.toUpperCase()]) {
      expect(isWellFormed(text)).toBe(false);
    }
  });

  it('is kept as its SHA-256, and known by characters that say nothing of the random part', () => {
    const secret = newSecret();
    expect(hashOf(secret)).toHaveLength(32);
    expect(hashOf(secret).equals(hashOf(newSecret()))).toBe(false);
    expect(hintOf(secret)).toBe(secret.slice(-4));
  });
});
