/** Answers with long lists are the JSON that they would be, byte by byte. */
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { jsonOf } from '../src/json.answer.js';

const plain = (body: unknown) => JSON.stringify(body);

it('leaves what has no long list to JSON.stringify', () => {
  for (const body of [{}, { items: [1, 2] }, [1, 2], Array(500).fill(0), 'text', 1, null, new Date(0)]) {
    expect(jsonOf(body)).toBe(plain(body));
  }
});

it('writes the same bytes for lists of any kind, wherever they stand', () => {
  const element = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }), fc.constant(undefined), fc.date());
  const list = fc.array(element, { minLength: 100, maxLength: 130 });
  const rest = fc.dictionary(fc.string({ unit: 'binary' }), element);
  const bodies = fc.tuple(rest, list, rest, list).map(([a, items, b, others]) => ({ ...a, items, ...b, others }));
  fc.assert(
    fc.property(bodies, (body) => {
      const json = jsonOf(body);
      expect(json.toString()).toBe(plain(body));
    }),
    { numRuns: 100 },
  );
});

it('writes more than one piece of it', () => {
  const body = {
    atomic: false,
    items: Array.from({ length: 1_000 }, (_, i) => ({ i, note: 'ß漢👩'.repeat(i % 90) })),
    end: null,
  };
  expect(plain(body).length).toBeGreaterThan(180_000);
  expect(jsonOf(body).toString()).toBe(plain(body));
});
