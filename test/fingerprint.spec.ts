import { describe, expect, it } from '@jest/globals';
import { fingerprintOf } from '../src/idempotency/idempotency.service.js';

describe('the fingerprint of a request', () => {
  const wallet = '0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90';
  const request = (metadata: object, at: Date | undefined = new Date(0)) => [
    ...['debit', [wallet, undefined], -15_000n, 'Order "1042" €', undefined, null, metadata, at],
    [{ z: [{ y: 1n, x: undefined }], a: {} }],
  ];
  const hex = (metadata: object, at?: Date) => fingerprintOf(request(metadata, at));

  it('stays what it was, because keys outlive a release', () => {
    expect(hex({ b: 1.5, a: true, 10: 'x', 2: null })).toBe('c1476d7d7e48e14129f62e2b8f7b7327');
  });

  it('does not depend on the order of names, but on every value', () => {
    const known = hex({ a: 1, b: { c: '1', d: [1, 2] } });
    expect(hex({ b: { d: [1, 2], c: '1' }, a: 1 })).toBe(known);
    const others = [
      hex({ a: 1, b: { c: '1', d: [2, 1] } }),
      hex({ a: 1, b: { c: 1, d: [1, 2] } }),
      hex({ a: 1, b: { c: '1', d: [1, 2], e: null } }),
      hex({ a: 1, b: { c: '1', d: [1, 2] } }, new Date(1)),
    ];
    expect(new Set([known, ...others]).size).toBe(5);
  });
});
