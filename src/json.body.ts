/**
 * JSON bodies, read as Fastify reads them but for three things. A number of JavaScript has 15 to 17 digits: what parses
 * `99.999999999999999999` makes 100 of it, and nobody could tell afterwards. So an amount with more digits, or with an
 * exponent, is read as the text that it was sent as, and refused for what it says, by the rules of amounts. To look for one takes
 * 0.2 µs of a debit, 38 of a batch of 500. What is not UTF-8 is refused: it would be kept with U+FFFD for what it was, and two
 * such bodies be the same to a key. And what is nested without end is refused before it is parsed, as it may come from anybody.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isUtf8 } from 'node:buffer';
import { Problem } from './errors.js';

/** Within a text of JSON every quote has a backslash before it, so that this finds names of fields and nothing else. */
const LONG_AMOUNTS =
  /("(?:amount|minimum_balance|low_balance_threshold|daily_total|monthly_total)"\s*:\s*)(-?(?:[\d.]+e[-+]?\d+|[\d.]{17,}))(?=[\s,}])/gi;
const OTHER_CHARSET = /;\s*charset=(?!["']?(?:utf-?8|us-ascii)["']?\s*(?:;|$))/i;
/** The validation pipe allows ten, and says so; this is for what would keep the parser busy: 1 MB of brackets 0.28 s. */
const DEPTH_MAX = 64;
/** Shorter bodies are parsed in a moment, whatever is in them. */
const LONG = 4_096;

export function readJsonBodies(fastify: FastifyInstance): void {
  const parse = fastify.getDefaultJsonParser('error', 'error');
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes: Buffer, done) => {
    const problem = unreadable(request, bytes);
    if (problem) return done(problem);
    const body = bytes.toString();
    if (body.length > LONG && isDeep(body)) {
      return done(Problem.field('body', `must not be nested deeper than ${DEPTH_MAX} levels`));
    }
    const plain = body.includes('\\u') ? withPlainLetters(body) : body;
    const marked = plain.replace(LONG_AMOUNTS, '$1"$2"');
    if (marked === plain) return void parse(request, body, done);
    void parse(request, marked, (error, read) => {
      if (!error) leaveMetadata(read, JSON.parse(body));
      done(error, read);
    });
  });
}

function unreadable({ headers }: FastifyRequest, bytes: Buffer): Problem | undefined {
  const { 'content-encoding': encoding = 'identity', 'content-type': type = '' } = headers;
  if (encoding.toLowerCase() !== 'identity') {
    return new Problem('unsupported_media_type', 'The body is compressed: send it without `Content-Encoding`.');
  }
  if (OTHER_CHARSET.test(type)) return new Problem('unsupported_media_type', 'JSON is UTF-8: send no other charset.');
  return isUtf8(bytes) ? undefined : new Problem('bad_request', 'The body is not UTF-8.');
}

function isDeep(body: string): boolean {
  let depth = 0;
  for (let i = 0; i < body.length; i++) {
    const code = body.charCodeAt(i);
    if (code === 0x22) {
      // To the end of the text. One without an end is for the parser to refuse.
      for (i++; i < body.length && body.charCodeAt(i) !== 0x22; i++) if (body.charCodeAt(i) === 0x5c) i++;
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > DEPTH_MAX) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}

/** The same JSON with letters instead of their escapes: a name may be written with those. */
function withPlainLetters(body: string): string {
  const parts: string[] = [];
  let from = 0;
  for (let at = body.indexOf('\\u00'); at !== -1; at = body.indexOf('\\u00', at + 2)) {
    const letter = String.fromCharCode(parseInt(body.slice(at + 4, at + 6), 16));
    if (!/[A-Za-z_]/.test(letter) || isEscaped(body, at)) continue;
    parts.push(body.slice(from, at), letter);
    from = at + 6;
  }
  return parts.join('') + body.slice(from);
}

/** Whether the backslash has another before it that makes it a plain one. */
function isEscaped(body: string, at: number): boolean {
  let first = at;
  while (body.charCodeAt(first - 1) === 0x5c) first--;
  return (at - first) % 2 === 1;
}

/** Metadata is the caller's own: what looks like an amount there stays the number that it is. */
function leaveMetadata(marked: unknown, plain: unknown): void {
  if (typeof marked !== 'object' || marked === null) return;
  const [to, from] = [marked, plain] as Array<Record<string, unknown>>;
  for (const name of Object.keys(to!)) {
    if (name === 'metadata') to![name] = from![name];
    else leaveMetadata(to![name], from![name]);
  }
}
