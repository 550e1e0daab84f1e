/** Values around the classes of validated fields: valid, nearly so, traps, and anything at all. */
import type { Type as Class } from '@nestjs/common';
import { defaultMetadataStorage } from 'class-transformer/cjs/storage.js';
import { getMetadataStorage } from 'class-validator';
import fc from 'fast-check';

/** The rules of a class, its parents' included. */
export function rulesOf(type: Class) {
  return getMetadataStorage().getTargetValidationMetadatas(type, '', false, false);
}

/** The fields of a class that have rules. */
export function namesOf(type: Class): string[] {
  return [...new Set(rulesOf(type).map(({ propertyName }) => propertyName))];
}

/** What the OpenAPI document shows for a field, else an example of our own. */
function exampleOf(type: Class<object>, name: string): unknown {
  const shown = Reflect.getMetadata('swagger/apiModelProperties', type.prototype as object, name) as
    { example?: unknown; default?: unknown } | undefined;
  return shown?.example ?? shown?.default ?? OWN_EXAMPLES[name]?.[0];
}

/** A body with every field of a class, each as the OpenAPI document shows it. */
export function wholeExampleOf(type: Class<object>): Record<string, unknown> {
  return Object.fromEntries(namesOf(type).map((name) => [name, exampleOf(type, name)]));
}

/** The same without lists of texts: those are left to class-validator, as no call that has one is made often. */
export function knownExampleOf(type: Class<object>): Record<string, unknown> {
  const isTextList = (value: unknown) => Array.isArray(value) && typeof value[0] === 'string';
  return Object.fromEntries(Object.entries(wholeExampleOf(type)).filter(([, value]) => !isTextList(value)));
}

/** Values about a class: near to valid, and anything at all. */
export function valueOf(type: Class<object>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 30, arbitrary: bodyOf(type) }, { weight: 1, arbitrary: anything });
}

function bodyOf(type: Class<object>): fc.Arbitrary<object> {
  const fields = Object.fromEntries(namesOf(type).map((name) => [name, fieldOf(type, name)]));
  const record = fc.oneof(fc.record(fields), fc.record(fields, { requiredKeys: [] }));
  const extra = fc.oneof(
    { weight: 12, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.oneof(traps, fc.string()), anything), { maxLength: 2 }) },
  );
  return fc.tuple(record, extra, fc.infiniteStream(fc.nat()), fc.boolean()).map(([own, more, order, isBare]) => {
    const pairs = [...Object.entries(own), ...more].map((pair) => ({ pair, place: order.next().value as number }));
    pairs.sort((a, b) => a.place - b.place);
    return objectOf(
      pairs.map(({ pair }) => pair),
      isBare ? null : Object.prototype,
    );
  });
}

function fieldOf(type: Class<object>, name: string): fc.Arbitrary<unknown> {
  const typed = defaultMetadataStorage.findTypeMetadata(type, name);
  const shown = [exampleOf(type, name), ...(OWN_EXAMPLES[name] ?? [])].filter((value) => value !== undefined);
  const near = fc.constantFrom<unknown>(...(shown.length > 0 ? shown : ['x']));
  const usual = [{ weight: 60, arbitrary: near }];
  if (rulesOf(type).some((rule) => rule.propertyName === name && rule.type === 'nestedValidation')) {
    const subTypes = typed.options.discriminator?.subTypes ?? [];
    const item = fc.oneof(
      ...[typed.typeFunction() as Class<object>, ...subTypes.map(({ value }) => value as Class<object>)].map(
        (inner) => {
          const named = subTypes.find(({ value }) => value === inner)?.name;
          return bodyOf(inner).map((body) =>
            named === undefined ? body : objectOf([...Object.entries(body), ['type', named]]),
          );
        },
      ),
    );
    usual.push({ weight: 60, arbitrary: fc.array(item, { maxLength: 4 }) }, { weight: 20, arbitrary: item });
  }
  return fc.oneof(
    ...usual,
    { weight: 4, arbitrary: near.chain(mutated) },
    {
      weight: 1,
      arbitrary: fc.oneof(anything, fc.dictionary(fc.oneof(traps, fc.string()), fc.oneof(scalar, anything))),
    },
  );
}
const OWN_EXAMPLES: Record<string, unknown[]> = {
  ...{
    note: ['abc', 'de', 'fg'],
    id: ['0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90'],
    inner: [{ id: '0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90' }],
    count: [1, 2],
    rest: [1, '1', null],
    atomic: ['true'],
    final: ['false'],
  },
  ...{ limit: ['20', 100, '1'], metadata: [{}, { a: 1, b: true, c: 'x', 1: 'y' }], dry_run: ['true', true, false] },
};

const traps = fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'then', 'isPrototypeOf');
const scalar = fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constantFrom(null, undefined, -0, NaN));
const anything = fc.oneof(
  fc.jsonValue(),
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true }),
);

/** Something that differs a little from a value. */
function mutated(value: unknown): fc.Arbitrary<unknown> {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const spliced = fc
    .tuple(fc.nat(text.length), fc.nat(2), fc.string({ maxLength: 2, unit: 'binary' }))
    .map(([at, length, added]) => text.slice(0, at) + added + text.slice(at + length));
  return fc.oneof(
    spliced,
    spliced.map(Number),
    fc.constantFrom<unknown>(text, text.toUpperCase(), ` ${text}`, text.repeat(40), [value], { value }, [], {}, null),
    fc.constantFrom<unknown>(Number(text), -Number(text), undefined, true, 'false', Object(value), [null], [[]]),
    fc.constantFrom<unknown>('\ud800', 'a\u0000', [undefined], new Array(2)),
  );
}

/** An object of pairs; unlike an assignment this also makes a field of `__proto__`. */
function objectOf(pairs: Array<[string, unknown]>, prototype: object | null = Object.prototype): object {
  const object = Object.create(prototype) as object;
  for (const [name, value] of pairs)
    Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
  return object;
}
