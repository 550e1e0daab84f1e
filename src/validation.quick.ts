/**
 * The quick yes: for a class of validated fields, a function that either answers the very instance that class-transformer
 * and class-validator would answer, or nothing: "I don't know". It is compiled from their own metadata and calls the same
 * rule functions, so there is no second list of rules; what it leaves out is only their search for the metadata, which
 * they repeat for every value. Whatever it does not know (an unknown field, a name that every object has, a rule that
 * says no, a decorator or option that is not below) it leaves to them, and so every refusal and its words stay theirs.
 *
 * Body, path and query of a debit take 1.4 µs instead of 10.7, a batch of 500 debits 0.6 ms instead of 4.6.
 * test/validation.spec.ts holds it against theirs for every class of every route.
 *
 * It stands for the options of validation.pipe.ts: no groups, no implicit conversion, unknown fields refused.
 *
 * The rules and transformations of a value that is left to them have run once before: they must have no side effects.
 */
import { TransformationType } from 'class-transformer';
import { defaultMetadataStorage as transformation } from 'class-transformer/cjs/storage.js';
import type { TypeMetadata } from 'class-transformer/types/interfaces/index.js';
import { getMetadataStorage, ValidationTypes, type ValidationArguments } from 'class-validator';

type Class = new () => object;
type Instance = Record<string, unknown>;
type Rule = ReturnType<ReturnType<typeof getMetadataStorage>['getTargetValidationMetadatas']>[number];

/** The valid instance of a plain value, or nothing: then it may be either, and the slow way has to say. */
export type QuickYes = (plain: unknown) => object | undefined;

interface Field {
  name: string;
  /** What class-transformer makes of a value that is there, or `UNKNOWN`. */
  read: (value: unknown, plain: object) => unknown;
  isValid: (instance: object, value: unknown) => boolean;
}
const UNKNOWN = Symbol('unknown');

const compiled = new Map<unknown, QuickYes | undefined>();

/** The quick yes of a class; nothing where its decorators say something that is not understood here. */
export function quickYesOf(type: unknown): QuickYes | undefined {
  if (!compiled.has(type)) {
    // A class that holds itself finds this, and stays slow: nothing bounds how deep its values go.
    compiled.set(type, undefined);
    if (typeof type === 'function') compiled.set(type, compile(type as Class));
  }
  return compiled.get(type);
}

function compile(type: Class): QuickYes | undefined {
  const rules = getMetadataStorage().getTargetValidationMetadatas(type, '', false, false);
  const names = [...new Set(rules.map(({ propertyName }) => propertyName))];
  const fields: Field[] = [];
  for (const name of names) {
    const own = rules.filter(({ propertyName }) => propertyName === name);
    const isValid = compileRules(type, own);
    const read = compileRead(type, name, own.some(isNested));
    if (!isValid || !read) return undefined;
    fields.push({ name, read, isValid });
  }
  if (names.length === 0 || !isOrdinary(type, names)) return undefined;
  const byName = new Map(fields.map((field) => [field.name, field]));

  return (plain) => {
    if (!isPlain(plain)) return undefined;
    const instance = new type() as Instance;
    // In the order of the plain value, after the fields that the class itself sets: fingerprints may depend on it.
    for (const name of Object.keys(plain)) {
      const field = byName.get(name);
      if (!field) return undefined;
      const value = field.read(plain[name], plain);
      if (value === UNKNOWN) return undefined;
      instance[name] = value;
    }
    for (const field of fields) if (!field.isValid(instance, instance[field.name])) return undefined;
    return instance;
  };
}

/** Whether all that instances have are plain fields under rules: no @Expose, @Exclude, accessor, method or extra field. */
function isOrdinary(type: Class, names: string[]): boolean {
  const isExposedApart =
    transformation.getStrategy(type) !== 'none' ||
    transformation.getExposedMetadatas(type).length > 0 ||
    transformation.getExcludedMetadatas(type).length > 0;
  const fresh = new type() as Instance;
  return (
    !isExposedApart &&
    Object.keys(fresh).every((name) => names.includes(name)) &&
    names.every((name) => !(name in (type.prototype as object)) && typeof fresh[name] !== 'function')
  );
}

/** The rules of a field as one predicate: class-validator's own constraint objects, asked in its order. */
function compileRules(type: Class, rules: Rule[]): Field['isValid'] | undefined {
  const conditions: Array<(instance: object, value: unknown) => unknown> = [];
  const constraints: Array<{ validate: (value: unknown, args: ValidationArguments) => unknown; values: unknown[] }> =
    [];
  for (const rule of rules) {
    if (rule.type === ValidationTypes.CONDITIONAL_VALIDATION) conditions.push(rule.constraints[0]);
    else if (rule.type === ValidationTypes.CUSTOM_VALIDATION && !rule.each && !rule.validateIf) {
      for (const { async, instance } of getMetadataStorage().getTargetValidatorConstraints(rule.constraintCls)) {
        if (async) return undefined;
        constraints.push({ validate: (value, args) => instance.validate(value, args), values: rule.constraints });
      }
    } else if (!isNested(rule)) return undefined;
  }
  const [{ propertyName: property }] = rules as [Rule];
  return (object, value) => {
    for (const condition of conditions) if (!condition(object, value)) return true;
    for (const { validate, values } of constraints) {
      // A promise, of a rule that did not say it is asynchronous, is no yes either.
      if (validate(value, { targetName: type.name, property, object, value, constraints: values }) !== true)
        return false;
    }
    return true;
  };
}

function isNested({ type }: Rule): boolean {
  return type === ValidationTypes.NESTED_VALIDATION;
}

/** How class-transformer reads a field, from @Type and @Transform. */
function compileRead(type: Class, name: string, isNestedField: boolean): Field['read'] | undefined {
  const typed = transformation.findTypeMetadata(type, name);
  const steps = transformation.findTransformMetadatas(type, name, TransformationType.PLAIN_TO_CLASS);
  if (isNestedField) return typed && steps.length === 0 ? readNested(typed) : undefined;
  const read = typed ? readScalar(typed) : copy;
  if (!read || steps.length === 0) return read;
  if (steps.some(({ options }) => Object.keys(options).length > 0)) return undefined;
  return (given, plain) => {
    let value = read(given, plain);
    if (value === UNKNOWN) return UNKNOWN;
    for (const { transformFn } of steps) {
      const options = { exposeUnsetFields: true };
      value = transformFn({ value, key: name, obj: plain, type: TransformationType.PLAIN_TO_CLASS, options });
    }
    return value;
  };
}

/** Without @Type: a scalar, or a flat object of scalars, which is copied. */
function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return UNKNOWN;
  const result: Instance = {};
  for (const [name, item] of Object.entries(value)) {
    // class-transformer passes over names that every object has, and Nest over `prototype`.
    if (name in Object.prototype || name === 'prototype') return UNKNOWN;
    if ((typeof item === 'object' && item !== null) || typeof item === 'function') return UNKNOWN;
    result[name] = item;
  }
  return result;
}

/** With `@Type(() => Number)` and the like. */
function readScalar({ typeFunction, reflectedType, options }: TypeMetadata): Field['read'] | undefined {
  const convert = [Number, String, Boolean].find((scalar) => scalar === typeFunction?.());
  if (!convert || reflectedType === Map || options.discriminator) return undefined;
  return (value) => {
    if (typeof value === 'object' && value !== null) return UNKNOWN;
    return value === null || value === undefined ? value : convert(value);
  };
}

/** With `@Type(() => SomeDto)` and @ValidateNested: one object or a list of them, each of the class that it names. */
function readNested({ typeFunction, reflectedType, options }: TypeMetadata): Field['read'] | undefined {
  // A function with a parameter may choose the class by the value.
  if (!typeFunction || typeFunction.length > 0 || reflectedType === Map) return undefined;
  const { discriminator, keepDiscriminatorProperty } = options;
  if (discriminator && !keepDiscriminatorProperty) return undefined;
  const ofOther = quickYesOf(typeFunction());
  const subTypes = (discriminator?.subTypes ?? []).map(({ name, value }) => ({ name, quickYes: quickYesOf(value) }));
  if (!ofOther || subTypes.some(({ quickYes }) => !quickYes)) return undefined;
  const readOne = (item: unknown): unknown => {
    if (typeof item !== 'object' || item === null) return UNKNOWN;
    const named = discriminator && (item as Instance)[discriminator.property];
    const quickYes = subTypes.find(({ name }) => name === named)?.quickYes ?? ofOther;
    return quickYes(item) ?? UNKNOWN;
  };
  // A field that is declared as a list of another kind gets one of that kind.
  const isArray = [undefined, Object, Array].includes(reflectedType);
  return (value) => {
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) return readOne(value);
    if (!isArray || !(value instanceof Array)) return UNKNOWN;
    const items: unknown[] = [];
    for (const item of value) {
      const read = readOne(item);
      if (read === UNKNOWN) return UNKNOWN;
      items.push(read);
    }
    return items;
  };
}

/** An object of nothing but own fields, as parsers of JSON, queries and paths make them. */
function isPlain(value: unknown): value is Instance {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
