/**
 * Who may call a route: one decorator on each. It is what the guard goes by, what the OpenAPI document says (`x-access`),
 * and what the access matrix is tested against. A route without one fails a test, and is refused to everybody.
 */
import { applyDecorators, SetMetadata, type ExecutionContext } from '@nestjs/common';
import { ApiExtension, ApiSecurity } from '@nestjs/swagger';
import { ApiErrors } from '../openapi.js';
import type { Scope } from './scopes.js';

/**
 * What of a request a person must own: the object that a path parameter names, or `self` where the service sees to it
 * that a person is shown and can touch only their own (`caller.userId`).
 */
export type Own = 'wallet_id' | 'hold_id' | 'transaction_id' | 'schedule_id' | 'user_id' | 'self';

export type Access =
  /** Nobody in particular. */
  | { kind: 'public' }
  /** Whoever has a key, or has signed in. */
  | { kind: 'anyone' }
  /** Only a person who signed in. */
  | { kind: 'person' }
  /** Keys with the scope; and a person, where `own` says of what. */
  | { kind: 'scope'; scope: Scope; own?: Own };

const ACCESS = 'access';
/** The names of the two schemes in the OpenAPI document. */
export const ACCESS_TOKEN = 'access_token';
export const API_KEY = 'api_key';

/** Anybody may call, without credentials. */
export const Public = () => decorate({ kind: 'public' });
/** Every caller whom we know. */
export const Anyone = () => decorate({ kind: 'anyone' }, API_KEY, ACCESS_TOKEN);
/** A person who signed in. */
export const Person = () => decorate({ kind: 'person' }, ACCESS_TOKEN);
/**
 * API keys with a scope.
 * @param own what a person may do it to, if at all.
 */
export const Needs = (scope: Scope, own?: Own) =>
  decorate({ kind: 'scope', scope, ...(own && { own }) }, API_KEY, ...(own ? [ACCESS_TOKEN] : []));

function decorate(access: Access, ...schemes: string[]) {
  return applyDecorators(
    SetMetadata(ACCESS, access),
    ApiExtension('x-access', access),
    ...schemes.map((scheme) => ApiSecurity(scheme)),
    ...(schemes.length > 0 ? [ApiErrors('rate_limited', 'unauthenticated', 'token_expired', ...refusals(access))] : []),
    ApiErrors('overloaded', 'deadline_exceeded', 'shutting_down'),
  );
}

function refusals(access: Access) {
  if (access.kind === 'anyone') return ['address_not_allowed'] as const;
  if (access.kind === 'person') return ['forbidden'] as const;
  return ['forbidden', 'insufficient_scope', 'address_not_allowed'] as const;
}

/** The access of a route, or nothing where it declares none. */
export function accessOf(context: Pick<ExecutionContext, 'getHandler'>): Access | undefined {
  return Reflect.getMetadata(ACCESS, context.getHandler()) as Access | undefined;
}
