/** The only file that turns an error into an HTTP body. No stack, SQL or driver text ever leaves through it. */
import { Catch, HttpException, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { markReplay } from './answer.js';
import { classicErrorBody } from './classic/classic.errors.js';
import { isDatabaseFault, isSerializationFault } from './database/sqlstate.js';
import { CommitUnknownError, WriteConflict } from './database/transaction.js';
import { Problem, problemBody } from './errors.js';
import { tracing } from './tracing/tracing.js';

const logger = new Logger('Request');

@Catch()
export class ProblemFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendProblem(error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }
}

/** Answers an error, also one that Fastify meets before Nest is reached. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(error);
  tracing?.refused(request, problem.code);
  if (problem.code === 'internal_error' || (problem.status >= 500 && problem !== error)) {
    const cause = problem.extra.cause ?? error;
    const stack = cause instanceof Error ? cause.stack : String(cause);
    // A database that is away says so with every request; what nobody expected must not drown in it.
    const tell = problem.code === 'internal_error' ? 'error' : 'warn';
    logger[tell](`${request.method} ${request.routeOptions?.url ?? ''} ${request.id}: ${stack}`);
  }
  reply.problem = problem.code;
  const { errors, retryAfterSeconds, replayed } = problem.extra;
  markReplay(reply, replayed);
  const classic = classicErrorBody(request.routeOptions?.url, problem);
  if (classic) return void reply.status(400).header('Content-Type', 'application/json; charset=utf-8').send(classic);
  if (retryAfterSeconds !== undefined) void reply.header('Retry-After', String(retryAfterSeconds));
  const challenge = challengeOf(problem, request);
  if (challenge) void reply.header('WWW-Authenticate', challenge);
  void reply
    .status(problem.status)
    .header('Content-Type', 'application/problem+json; charset=utf-8')
    .send(JSON.stringify({ ...problemBody(problem.code, problem.detail, errors), request_id: request.id }));
}

/** How to get in, where it is for want of credentials (RFC 6750). */
function challengeOf({ code, status, extra }: Problem, { headers }: FastifyRequest): string | undefined {
  const realm = 'Bearer realm="asper-wallet"';
  if (code === 'insufficient_scope') {
    return `${realm}, error="insufficient_scope"${extra.scope === undefined ? '' : `, scope="${extra.scope}"`}`;
  }
  if (status !== 401) return undefined;
  if (code === 'token_expired')
    return `${realm}, error="invalid_token", error_description="The access token has expired"`;
  const isPresented = headers.authorization !== undefined || headers['x-api-key'] !== undefined;
  return isPresented ? `${realm}, error="invalid_token"` : realm;
}

/** The problem that an error is to the caller. */
function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const status = httpStatus(error);
  if (status === 404) return new Problem('not_found', 'There is no such route; /docs lists them all.');
  if (status === 413) return new Problem('body_too_large', 'The body exceeds 64 KiB, or 1 MiB for a batch.');
  if (status === 415) return new Problem('unsupported_media_type', 'Send the body as application/json.');
  if (status !== undefined && status < 500) return new Problem('bad_request', badRequestDetail(error));
  if (error instanceof CommitUnknownError) {
    return new Problem('outcome_unknown', 'The connection was lost during the commit.', { retryAfterSeconds: 1 });
  }
  if (error instanceof WriteConflict || isSerializationFault(error) || isDatabaseFault(error)) {
    return new Problem('database_unavailable', 'The database did not answer in time.', { retryAfterSeconds: 1 });
  }
  return new Problem('internal_error', 'The service met a state that it did not expect.');
}

/** The status of an error that Nest or Fastify raised before any code of ours ran. */
function httpStatus(error: unknown): number | undefined {
  if (error instanceof HttpException) return error.getStatus();
  const { statusCode } = (error ?? {}) as { statusCode?: unknown };
  return typeof statusCode === 'number' && statusCode >= 400 ? statusCode : undefined;
}

function badRequestDetail(error: unknown): string {
  // Nest wraps what Fastify raises.
  const { code } = ((error as { cause?: unknown }).cause ?? error) as { code?: unknown };
  if (code === 'FST_ERR_CTP_EMPTY_JSON_BODY') return 'The body is empty; a JSON object is expected.';
  if (code === 'FST_ERR_CTP_INVALID_JSON_BODY') return 'The body is not valid JSON, or has a field named `__proto__`.';
  return 'The request could not be read: its body is not valid JSON, or its URL or headers are malformed.';
}
