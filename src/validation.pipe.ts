/** The one ValidationPipe: what a body, query or path has to be, by the rules of its class. */
import { Injectable, ValidationPipe, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { Problem, type FieldError } from './errors.js';
import { isObject, passesOverUnknown } from './validation.js';
import { quickYesOf } from './validation.quick.js';

/** What is wrong with a field that a route does not have. */
export const UNKNOWN_FIELD = 'is not a field of this request';
/** And with a body that is a list, a text, a number or null. */
export const NO_OBJECT = 'must be a JSON object';

@Injectable()
export class StrictValidationPipe implements PipeTransform {
  private readonly contract = contract(true);
  private readonly passingOver = contract(false);

  /**
   * The instance of a valid value, at once where the quick yes is sure, else a promise of it.
   * @throws {Problem} `validation_failed` with every mistake; unknown fields are mistakes, but for classes that pass over them.
   */
  transform(value: unknown, metadata: ArgumentMetadata): unknown {
    // What our own decorators make of a request is not from outside.
    if (metadata.type === 'custom') return value;
    return quickYesOf(metadata.metatype)?.(value) ?? this.ask(value, metadata);
  }

  /** What class-transformer and class-validator say: the contract, of which the quick yes is a part. */
  ask(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    if (metadata.type === 'body' && value !== undefined && !isObject(value)) throw Problem.field('body', NO_OBJECT);
    refuseDepth(value);
    if (passesOverUnknown(metadata.metatype)) return this.passingOver.transform(value, metadata) as Promise<unknown>;
    refuseTraps(value);
    return this.contract.transform(value, metadata) as Promise<unknown>;
  }
}

function contract(forbidNonWhitelisted: boolean): ValidationPipe {
  return new ValidationPipe({
    whitelist: true,
    forbidNonWhitelisted,
    transform: true,
    stopAtFirstError: true,
    validationError: { target: false, value: false },
    exceptionFactory: (errors) => Problem.fields(fieldErrors(errors)),
  });
}

/** No request has anything deeper than a field of an item of a list. */
const DEPTH_MAX = 10;

/** class-transformer walks a value by calling itself: 64 KiB of brackets take more calls than the stack has room for. */
function refuseDepth(value: unknown, field = '', depth = 0): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth > DEPTH_MAX) throw Problem.field(field, `must not be nested deeper than ${DEPTH_MAX} levels`);
  for (const [name, own] of Object.entries(value)) refuseDepth(own, field || name, depth + 1);
}

/**
 * class-transformer passes over fields named like a method of every object, and Nest over `prototype`, which would let them
 * go unnoticed; and it trips over null among the items of a list.
 */
function refuseTraps(value: unknown, path = ''): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, own] of Object.entries(value)) {
    if (name in Object.prototype || name === 'prototype') {
      // What is kept under a key would be less than what was sent.
      const isOwn = /(^|\.)metadata\.$/.test(path);
      throw Problem.field(path + name, isOwn ? 'is a reserved name: choose another' : UNKNOWN_FIELD);
    }
    if (!Array.isArray(own)) refuseTraps(own, `${path}${name}.`);
    else if (own.includes(null)) throw Problem.field(path + name, 'must be a list of objects');
    else own.forEach((item, i) => refuseTraps(item, `${path}${name}.${i}.`));
  }
}

/** @param path where they are, with a dot at the end; of the request itself nothing. */
function fieldErrors(errors: ValidationError[], path = ''): FieldError[] {
  // Which fields an item has depends on its type: of one whose type is wrong there is nothing else to say.
  const untyped = errors.find(
    ({ property, constraints }) => property === 'type' && constraints && !isUnknown(constraints),
  );
  const told = path !== '' && untyped ? errors.filter(({ constraints }) => !isUnknown(constraints)) : errors;
  return told.flatMap(({ property, constraints = {}, children = [] }) => [
    ...Object.values(constraints).map((message) => ({
      field: path + property,
      message: isUnknown(constraints) ? UNKNOWN_FIELD : message,
    })),
    ...fieldErrors(children, `${path}${property}.`),
  ]);
}

function isUnknown(constraints: ValidationError['constraints']): boolean {
  return constraints !== undefined && 'whitelistValidation' in constraints;
}
