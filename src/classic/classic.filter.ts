/** Errors of the six original calls: `{"error": "…"}` with 400, in the original's words where it had any. */
import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ProblemFilter } from '../error.filter.js';
import { Problem } from '../errors.js';

@Catch()
export class ClassicFilter implements ExceptionFilter {
  constructor(private readonly otherwise: ProblemFilter) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const problem = this.otherwise.problemOf(error);
    // Faults stay faults: a client that reads a 400 would take an outcome for refused that is merely unknown.
    if (problem.status >= 500 || !(error instanceof Problem || error instanceof HttpException)) {
      return this.otherwise.catch(error, host);
    }
    void host.switchToHttp().getResponse<FastifyReply>().status(400).send({ error: message(problem) });
  }
}

function message({ code, detail }: Problem): string {
  switch (code) {
    case 'insufficient_funds':
      return 'Insufficient balance';
    case 'below_minimum_balance':
      return `Balance cannot drop below minimum required balance of ${floor(detail)}`;
    case 'minimum_balance_unmet':
      return `You need to add minimum ${floor(detail)}`;
    case 'wallet_exists':
      return 'Wallet already exists for this user';
    case 'phone_number_taken':
      return 'User already exists';
    case 'user_not_found':
      return 'User not found';
    case 'wallet_not_found':
      return 'Wallet not found';
    default:
      return detail;
  }
}

/** The minimum balance that a detail ends with, as the original printed it: `100`, not `100.00`. */
function floor(detail: string): string {
  return (/minimum balance of (-?[\d.]+)/.exec(detail)?.[1] ?? '').replace(/\.0+$/, '');
}
