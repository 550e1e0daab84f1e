/** Which form of an answer a caller wants: content negotiation by `Accept` (RFC 9110, 12.5.1). */
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Problem } from './errors.js';

/** The first of the offers that the caller likes best, as a controller argument. @throws {Problem} `not_acceptable` */
export const Accepted = createParamDecorator((offers: readonly string[], context: ExecutionContext): string => {
  const { headers } = context.switchToHttp().getRequest<FastifyRequest>();
  const offer = bestOffer(headers.accept, offers);
  if (offer) return offer;
  throw new Problem('not_acceptable', `The answer comes as ${offers.join(', ')}.`);
});

/** The offer of the greatest weight, the earlier of equals; nothing where none is wanted. */
export function bestOffer(accept: string | undefined, offers: readonly string[]): string | undefined {
  if (accept === undefined || accept.trim() === '') return offers[0];
  const ranges = accept.split(',').map(readRange);
  const weighed = offers.map((offer) => ({ offer, weight: weightOf(offer, ranges) }));
  const best = Math.max(...weighed.map(({ weight }) => weight));
  return best > 0 ? weighed.find(({ weight }) => weight === best)!.offer : undefined;
}

interface Range {
  type: string;
  weight: number;
}

function readRange(text: string): Range {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  return {
    type,
    weight: weight === undefined ? 1 : /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight) ? Number(weight) : 0,
  };
}

/** The weight of the most exact range that an offer falls under. */
function weightOf(offer: string, ranges: Range[]): number {
  for (const type of [offer, `${offer.split('/')[0]}/*`, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === type);
    if (range) return range.weight;
  }
  return 0;
}
