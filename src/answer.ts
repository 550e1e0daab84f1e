/** The last step of a route: headers that belong to a body. */
import type { FastifyReply } from 'fastify';
import type { Readable } from 'node:stream';
import type { Answer } from './idempotency/idempotency.service.js';

export type Reply = Pick<FastifyReply, 'header' | 'status' | 'groupSize'>;

/** The body of an answer; a replay is marked, a versioned body carries its ETag. */
export function answer<Body extends object>(
  reply: Reply,
  { status, body, replayed, isDryRun, groupSize = 0 }: Answer<Body>,
): Body {
  reply.status(status);
  reply.groupSize = groupSize;
  markReplay(reply, replayed);
  return 'version' in body && !isDryRun ? withETag(reply, body as Body & { version: number }) : body;
}

/** Tells an outcome of an earlier request from one of this. */
export function markReplay(reply: Pick<Reply, 'header'>, replayed: boolean | undefined): void {
  if (replayed) reply.header('Idempotency-Replayed', 'true');
}

/** The body, with its version as ETag. */
export function withETag<Body extends { version: number }>(reply: Reply, body: Body): Body {
  reply.header('ETag', `"${body.version}"`);
  return body;
}

/** The content of a file that is written while it is read, with the headers of its form. */
export function download(reply: Reply, file: { type: string; fileName: string; content: Readable }): Readable {
  reply.header('Content-Type', file.type === 'application/pdf' ? file.type : `${file.type}; charset=utf-8`);
  reply.header('Content-Disposition', `attachment; filename="${file.fileName}"`);
  reply.header('Vary', 'Accept');
  return file.content;
}
