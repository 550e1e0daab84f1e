/** The one ValidationPipe: what a body, query or path has to be, by the rules of its class. */
import { Injectable, ValidationPipe, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { Problem, type FieldError } from './errors.js';
import { quickYesOf } from './validation.quick.js';

/** What is wrong with a field that a route does not have. */
export const UNKNOWN_FIELD = 'is not a field of this request';

@Injectable()
export class StrictValidationPipe implements PipeTransform {
  private readonly contract = new ValidationPipe({
    whitelist: true,
    forbidNonWhitelisted: true,
    transform: true,
    stopAtFirstError: true,
    validationError: { target: false, value: false },
    exceptionFactory: (errors) => Problem.fields(errors.flatMap((error) => fieldErrors(error))),
  });

  /**
   * The instance of a valid value, at once where the quick yes is sure, else a promise of it.
   * @throws {Problem} `validation_failed` with every mistake; unknown fields are mistakes.
   */
  transform(value: unknown, metadata: ArgumentMetadata): unknown {
    // What our own decorators make of a request is not from outside.
    if (metadata.type === 'custom') return value;
    return quickYesOf(metadata.metatype)?.(value) ?? this.ask(value, metadata);
  }

  /** What class-transformer and class-validator say: the contract, of which the quick yes is a part. */
  ask(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    refuseDepth(value);
    refuseTraps(value);
    return this.contract.transform(value, metadata) as Promise<unknown>;
  }
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
    if (name in Object.prototype || name === 'prototype') throw Problem.field(path + name, UNKNOWN_FIELD);
    // Of metadata as well: what is kept under a key would be less than what was sent.
    if (!Array.isArray(own)) refuseTraps(own, `${path}${name}.`);
    else if (own.includes(null)) throw Problem.field(path + name, 'must be a list of objects');
    else own.forEach((item, i) => refuseTraps(item, `${path}${name}.${i}.`));
  }
}

function fieldErrors(error: ValidationError, path = ''): FieldError[] {
  const field = path + error.property;
  const own = Object.entries(error.constraints ?? {}).map(([name, message]) => ({
    field,
    message: name === 'whitelistValidation' ? UNKNOWN_FIELD : message,
  }));
  return [...own, ...(error.children ?? []).flatMap((child) => fieldErrors(child, `${field}.`))];
}
