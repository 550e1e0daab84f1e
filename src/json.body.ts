/**
 * JSON bodies, read as Fastify reads them but for amounts. A number of JavaScript has 15 to 17 digits: what parses
 * `99.999999999999999999` makes 100 of it, and nobody could tell afterwards. So an amount with more digits, or with an
 * exponent, is read as the text that it was sent as, and refused for what it says, by the rules of amounts.
 */
import type { FastifyInstance } from 'fastify';

/** Within a text of JSON every quote has a backslash before it, so that this finds names of fields and nothing else. */
const LONG_AMOUNTS =
  /("(?:amount|minimum_balance|low_balance_threshold|daily_total|monthly_total)"\s*:\s*)(-?(?:[\d.]+e[-+]?\d+|[\d.]{17,}))(?=[\s,}])/gi;

export function readAmountsToTheDigit(fastify: FastifyInstance): void {
  const parse = fastify.getDefaultJsonParser('error', 'error');
  fastify.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    void parse(request, (body as string).replace(LONG_AMOUNTS, '$1"$2"'), done);
  });
}
