/**
 * What a sign-in gives is good once and has no key to ask for it again: given to nobody, it is lost, and whoever repeats the request is
 * taken for a thief or has used up their codes. So it is not given where the answer has gone out meanwhile (its deadline passed, and the
 * caller was told to repeat it) or the caller hung up.
 */
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Problem } from '../errors.js';

export type IsAwaited = () => boolean;

/** Hands a route whether its answer can still be given. */
export const Awaited = createParamDecorator((_: unknown, context: ExecutionContext): IsAwaited => {
  const reply = context.switchToHttp().getResponse<FastifyReply>();
  return () => !reply.sent && !reply.raw.destroyed;
});

/** @throws {Problem} `deadline_exceeded`, which nobody hears. */
export function demandAwaited(isAwaited: IsAwaited): void {
  if (!isAwaited()) throw new Problem('deadline_exceeded', 'Nobody waits for it any more.');
}
