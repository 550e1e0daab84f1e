import { describe, expect, it } from '@jest/globals';
import { newId } from '../src/ids.js';

const V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('new ids', () => {
  const before = Date.now();
  const ids = Array.from({ length: 20_000 }, newId);
  const after = Date.now();

  it('are UUIDs of version 7 that begin with their time', () => {
    const good = ids.filter((id) => {
      const time = parseInt(id.replace('-', '').slice(0, 12), 16);
      return V7.test(id) && time >= before && time <= after;
    });
    expect(good).toHaveLength(ids.length);
  });

  it('rise, within a millisecond as well', () => {
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('end in random bytes of their own', () => {
    expect(new Set(ids.map((id) => id.slice(-10))).size).toBe(ids.length);
  });
});
