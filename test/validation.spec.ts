import { describe, expect, it } from '@jest/globals';
import type { DynamicModule, ForwardReference, Type as Class } from '@nestjs/common';
import { MODULE_METADATA, ROUTE_ARGS_METADATA, RouteParamtypes } from '@nestjs/common/internal';
import { Exclude, Expose, Transform, Type } from 'class-transformer';
import {
  Allow,
  IsDefined,
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  IsUUID,
  MaxLength,
  Min,
  Validate,
  ValidateBy,
  ValidateIf,
  ValidateNested,
  ValidatorConstraint,
} from 'class-validator';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { AppModule } from '../src/app.module.js';
import { readConfig } from '../src/config.js';
import { BatchDto } from '../src/transactions/batch.dto.js';
import { CaptureDto, HoldIdParam, ReserveDto } from '../src/transactions/holds.dto.js';
import { CreditDto, DebitDto, DryRunQuery, JournalDto, TransferDto } from '../src/transactions/transactions.dto.js';
import { StrictValidationPipe } from '../src/validation.pipe.js';
import { quickYesOf } from '../src/validation.quick.js';
import { WALLET_EXAMPLE_ID as ID, WalletIdParam } from '../src/wallets/wallets.dto.js';
import { knownExampleOf, rulesOf, valueOf, wholeExampleOf } from './support/near-valid.js';

const RUNS = Number(process.env.VALIDATION_RUNS ?? 150);
const OTHER_ID = '0199a3c2-c4f7-7e19-b2d8-6a1f0c3e5b90';

/** Every class that a route takes as body, query or path, with where it stands. */
const routeClasses = new Map<Class<object>, string[]>();
const untypedRoutes: string[] = [];
for (const controller of controllersOf(AppModule.with(readConfig({ DATABASE_URL: 'postgres://localhost/none' })))) {
  for (const method of Object.getOwnPropertyNames(controller.prototype)) {
    const routeArguments = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, method) ?? {}) as object;
    const types = (Reflect.getMetadata('design:paramtypes', controller.prototype as object, method) ?? []) as Class[];
    for (const key of Object.keys(routeArguments)) {
      const [kind, index] = key.split(':').map(Number);
      if (![RouteParamtypes.BODY, RouteParamtypes.QUERY, RouteParamtypes.PARAM].includes(kind!)) continue;
      const type = types[index!] as Class<object> | undefined;
      // One part of a path or query, by its name, is a text as it is.
      if (type === String) continue;
      if (!type || rulesOf(type).length === 0) untypedRoutes.push(`${controller.name}.${method}`);
      else routeClasses.set(type, [...(routeClasses.get(type) ?? []), `${controller.name}.${method}`]);
    }
  }
}

/** What our own fields do not use of what the quick yes understands. */
class Inner {
  @IsUUID() id: string;
  @IsOptional() @IsInt() @Min(1) count?: number = 7;
}
class Other {
  @IsString() @MaxLength(3) note: string;
  @IsOptional() @Type(() => Number) limit: number = 5;
  @ValidateIf(({ note }: Other) => note === 'abc') @IsIn([1, '1', null]) rest: unknown;
  @IsOptional()
  @Transform(({ value, obj }: { value: unknown; obj: object }) => [value, Object.keys(obj)])
  seen: unknown;
  @ValidateNested() @Type(() => Inner) inner: Inner;
  @IsOptional() @ValidateNested({ each: true }) @Type(() => Inner) list: Inner[];
}
class Narrower extends Other {
  @IsIn(['abc', 'de']) declare note: string;
}
const classes = [...routeClasses.keys(), Other, Narrower];

describe('the quick yes', () => {
  const pipe = new StrictValidationPipe();
  const ask = (type: Class<object>, value: unknown) => pipe.ask(value, { type: 'body', metatype: type });

  it('knows every class of every route', () => {
    expect(untypedRoutes).toEqual([]);
    expect(routeClasses.size).toBeGreaterThan(25);
    expect(classes.filter((type) => !quickYesOf(type)).map(({ name }) => name)).toEqual([]);
  });

  it.each(classes.map((type) => [type.name, type] as const))('of %s is what class-validator says', async (_, type) => {
    let yeses = 0;
    const property = fc.asyncProperty(valueOf(type), async (value) => {
      const quick = quickYesOf(type)!(value);
      if (quick === undefined) return;
      yeses++;
      const inputs = objectsIn(value);
      const asked = await ask(type, value);
      expect(isDeepStrictEqual(quick, asked) || [quick, asked]).toBe(true);
      expect(keysIn(quick)).toEqual(keysIn(asked));
      expect(objectsIn(quick).filter((own) => inputs.includes(own))).toEqual([]);
    });
    // A property that only ever meets "I don't know" would prove nothing: one known case comes first.
    await fc.assert(property, { numRuns: RUNS, examples: [[knownExampleOf(type)]] });
    expect(yeses).toBeGreaterThan(0);
  });

  it('is said to what the document shows of each class', async () => {
    for (const type of routeClasses.keys()) {
      const whole = wholeExampleOf(type);
      expect([type.name, await ask(type, JSON.parse(JSON.stringify(whole)))]).toEqual([type.name, expect.any(type)]);
      expect([type.name, quickYesOf(type)!(knownExampleOf(type))]).toEqual([type.name, expect.any(type)]);
    }
  });

  it('is said to ordinary money calls', () => {
    const items = Array.from({ length: 250 }, (_, i) => [
      { type: 'debit', wallet_id: ID, amount: '1.00', reference: `order-${i}` },
      { type: 'transfer', from_wallet_id: ID, to_wallet_id: OTHER_ID, amount: 2.5, metadata: { n: i, paid: true } },
    ]).flat();
    const legs = [
      { wallet_id: ID, amount: '-1.00' },
      { wallet_id: OTHER_ID, amount: '1.00' },
    ];
    const query = Object.create(Object.create(null) as object) as object;
    const calls: Array<[Class<object>, object]> = [
      [DebitDto, { amount: '150.00' }],
      [DebitDto, { amount: 100, minimum_balance: '-5', reference: 'order-1', metadata: {}, description: 'नमस्ते' }],
      [CreditDto, { amount: '0.01', effective_at: '2026-01-31T09:30:00Z' }],
      [TransferDto, { from_wallet_id: ID, to_wallet_id: OTHER_ID, amount: '1' }],
      [JournalDto, { entries: legs }],
      [ReserveDto, { amount: '1.00', expires_at: '2026-01-31T09:30:00Z' }],
      [CaptureDto, { final: true }],
      [CaptureDto, {}],
      [BatchDto, { items, atomic: true }],
      [BatchDto, { items: [{ type: 'journal', entries: legs }] }],
      [WalletIdParam, Object.assign(Object.create(null) as object, { wallet_id: ID })],
      [HoldIdParam, { hold_id: ID }],
      [DryRunQuery, query],
      [DryRunQuery, { dry_run: 'true' }],
    ];
    for (const [type, value] of calls) expect([value, quickYesOf(type)!(value)]).toEqual([value, expect.any(type)]);
  });

  it('is never said to what class-validator trips over or passes over', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype']) {
      for (const text of [
        `{"amount":"1.00","${name}":"x"}`,
        `{"amount":"1.00","metadata":{"${name}":"x"}}`,
        `{"amount":"1.00","${name}":{"x":1}}`,
      ])
        expect([text, quickYesOf(DebitDto)!(JSON.parse(text))]).toEqual([text, undefined]);
      const batch = JSON.parse(`{"items":[{"type":"debit","wallet_id":"${ID}","amount":"1","${name}":1}]}`) as object;
      expect(quickYesOf(BatchDto)!(batch)).toBeUndefined();
    }
    for (const value of [undefined, null, '', 1, [], [{ amount: '1' }], new Date(), new Map(), Buffer.from('{}')])
      expect(quickYesOf(DebitDto)!(value)).toBeUndefined();
  });

  it('is not made for a class with something else than it understands', () => {
    class Allowed {
      @Allow() field: string;
    }
    class Defined {
      @IsDefined() field: string;
    }
    class Each {
      @IsString({ each: true }) field: string[];
    }
    @ValidatorConstraint({ async: true })
    class Later {
      validate = () => Promise.resolve(false);
    }
    class Asynchronous {
      @Validate(Later) field: string;
    }
    class Exposed {
      @IsString() @Expose({ name: 'other' }) field: string;
    }
    class Hidden {
      @IsString() @Exclude() field: string;
    }
    class Dated {
      @IsDefined() @Type(() => Date) field: Date;
    }
    class Chosen {
      @ValidateNested() @Type((options) => (options?.object.field ? Inner : Other)) field: object;
    }
    class Untyped {
      @ValidateNested() field: object;
    }
    class Unchecked {
      @IsOptional() @Type(() => Inner) field: Inner;
    }
    class Tree {
      @IsOptional() @ValidateNested() @Type(() => Tree) field: object;
    }
    class Grouped {
      @IsString() @Transform(() => 1, { groups: ['some'] }) field: string;
    }
    class Extra {
      @IsString() field: string;
      extra = 1;
    }
    class Accessor {
      @IsString()
      get field() {
        return 'x';
      }
    }
    class None {}
    class Promised {
      @ValidateBy({ name: 'soon', validator: { validate: () => Promise.resolve(false) } }) field: string;
    }
    expect(quickYesOf(Promised)!({ field: 'x' })).toBeUndefined();
    const unknown = [Allowed, Defined, Each, Asynchronous, Exposed, Hidden, Dated, Chosen, Untyped, Unchecked, Tree];
    for (const type of [...unknown, Grouped, Extra, Accessor, None, String, Object, Array, undefined])
      expect([type, quickYesOf(type)]).toEqual([type, undefined]);
  });
});

function controllersOf(module: Class | DynamicModule | ForwardReference, seen = new Set<unknown>()): Class[] {
  if (seen.has(module)) return [];
  seen.add(module);
  const { module: type, imports = [], controllers = [] } = 'module' in module ? module : { module: module as Class };
  const metadata = <T>(key: string) => (Reflect.getMetadata(key, type) ?? []) as T[];
  const among = [...imports, ...metadata<Class>(MODULE_METADATA.IMPORTS)] as Class[];
  return [
    ...controllers,
    ...metadata<Class>(MODULE_METADATA.CONTROLLERS),
    ...among.flatMap((imported) => controllersOf(imported, seen)),
  ];
}

/** Every object within a value, itself included. */
function objectsIn(value: unknown, found: unknown[] = []): unknown[] {
  if (typeof value !== 'object' || value === null || found.includes(value)) return found;
  found.push(value);
  for (const own of Object.values(value)) objectsIn(own, found);
  return found;
}

/** The names of the fields of every object within a value, in their order. */
function keysIn(value: unknown): string[][] {
  return objectsIn(value).map((object) => Object.keys(object as object));
}
