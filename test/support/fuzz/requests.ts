/** Requests for an operation of the document: valid ones, and ones that are wrong somewhere. */
import { bearer } from '../secured.js';
import type { Contract, Parameter, Route } from './document.js';
import type { Random } from './random.js';
import type { Request } from './send.js';
import { misshapen, mutated, odd, type Values } from './values.js';

/** A request, and what is known of it. */
export interface Case {
  request: Request;
  /** The body as a value, where it is one. */
  json?: unknown;
  /** Whether the path or method is one that no route need know. */
  isOffRoute: boolean;
}

/** What a request can be wrong in; most are wrong in one thing, as an earlier mistake hides a later one. */
const MISTAKES = ['body', 'body', 'body', 'bytes', 'type', 'query', 'query', 'path', 'header', 'method'] as const;
type Mistake = (typeof MISTAKES)[number];

const TYPES = [
  ...['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/xml'],
  ...['application/json; charset=utf-16', 'application/json;charset=latin1', 'APPLICATION/JSON', 'application/json;;'],
  ...['', '*/*', 'application/merge-patch+json', 'json', 'application/json, text/plain', '\u00ff', 'a/b; c="'],
];
const ACCEPTS = [
  ...['application/json', 'text/csv', 'application/pdf', '*/*', 'text/*', 'application/json;q=0, text/csv;q=0.5'],
  ...['image/png', '', 'q=1', ';;;,,,', 'application/pdf;q=nonsense', 'text/csv;q=1.0000'],
];
const BAD_SEGMENTS = [
  ...[
    '%00',
    '%E0%A4%A',
    '%ED%A0%80',
    '..%2f..%2fetc',
    '%',
    '%zz',
    'null',
    '-1',
    '0',
    '1e9',
    '9'.repeat(30),
    '%F0%9F%92%B0',
  ],
  ...[
    'a'.repeat(299),
    'b'.repeat(301),
    'c'.repeat(2_000),
    '0199A3C2-9B1E-7F3A-8C55-0D6B2F4E7A90',
    "'%20OR%201=1",
    '{id}',
    ':id',
    '*',
  ],
];
const OFF_ROUTE_SEGMENTS = ['', 'x/y', '.', '..', '%2F'];

export class Requests {
  constructor(
    private readonly contract: Contract,
    private readonly values: Values,
  ) {}

  /** One that is wrong in something, two times out of three. */
  next(random: Random, route: Route, credential: string | undefined): Case {
    const fits = MISTAKES.filter((mistake) => this.fits(mistake, route));
    const mistakes = new Set<Mistake>(random.chance(0.35) ? [] : [random.of(fits)]);
    if (random.chance(0.05)) mistakes.add(random.of(fits));
    return this.make(random, route, credential, mistakes);
  }

  /** One that is as the document wants it. */
  good(random: Random, route: Route, credential: string | undefined): Case {
    return this.make(random, route, credential, new Set());
  }

  private make(random: Random, route: Route, credential: string | undefined, mistakes: Set<Mistake>): Case {
    const { operation, method } = route;

    const headers = this.headers(random, operation.parameters ?? [], mistakes.has('header'));
    if (credential !== undefined) Object.assign(headers, bearer(credential));
    const { path, isOffRoute } = this.path(random, route, mistakes.has('path'));
    const target = path + this.query(random, operation.parameters ?? [], mistakes.has('query'));
    const body = this.body(random, route, mistakes);
    if (body.bytes) headers['content-type'] = mistakes.has('type') ? random.of(TYPES) : 'application/json';
    if (headers['content-type'] === '' && random.chance(0.5)) delete headers['content-type'];
    const isOtherMethod = mistakes.has('method');
    return {
      request: {
        method: isOtherMethod ? this.otherMethod(random, route) : method,
        target,
        headers,
        ...(body.bytes && { body: body.bytes }),
      },
      ...('json' in body && { json: body.json }),
      isOffRoute: isOffRoute || isOtherMethod,
    };
  }

  private fits(mistake: Mistake, { operation, method, path }: Route): boolean {
    if (mistake === 'body') return operation.requestBody !== undefined;
    if (mistake === 'path') return path.includes('{');
    if (mistake === 'bytes' || mistake === 'type') return method !== 'GET';
    return true;
  }

  private otherMethod(random: Random, { path }: Route): string {
    const known = Object.keys(this.contract.document.paths[path]!).map((method) => method.toUpperCase());
    // HEAD comes with GET; CONNECT is for proxies.
    const others = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'LOCK'];
    return random.of(others.filter((method) => !known.includes(method)));
  }

  private path(random: Random, { path, operation }: Route, isWrong: boolean): { path: string; isOffRoute: boolean } {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    const wrong = isWrong ? random.of(names) : undefined;
    let isOffRoute = false;
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
      const { schema = {} } = operation.parameters!.find(
        (parameter) => parameter.name === name && parameter.in === 'path',
      )!;
      const good = String(this.values.valid(random, schema, name));
      if (name !== wrong) return encodeURIComponent(good);
      const roll = random.next();
      if (roll < 0.15) {
        isOffRoute = true;
        return random.of(OFF_ROUTE_SEGMENTS);
      }
      if (roll < 0.6) return random.of(BAD_SEGMENTS);
      return escaped(asText(odd(random, good)).slice(0, 2_000)) || 'x';
    });
    // A trailing slash, a doubled one: other paths.
    if (isWrong && random.chance(0.1))
      return { path: random.of([`${filled}/`, `/${filled}`, `${filled}%`]), isOffRoute: true };
    return { path: filled, isOffRoute };
  }

  private query(random: Random, parameters: Parameter[], isWrong: boolean): string {
    const own = parameters.filter((parameter) => parameter.in === 'query');
    const rare = random.chance(0.5) ? 0.1 : 0.4;
    const pairs = own
      .filter(({ required }) => required || random.chance(rare))
      .map(({ name, schema = {} }): [string, unknown] => [name, this.values.valid(random, schema, name)]);
    if (!isWrong) return asQuery(pairs.map(([name, value]) => [name, encodeURIComponent(String(value))]));
    const written = pairs.map(([name, value]): [string, string] => [name, encodeURIComponent(String(value))]);
    const { name, schema = {} } = own.length > 0 ? random.of(own) : { name: 'x', schema: {} };
    const good = this.values.valid(random, schema, name);
    const text = escaped(asText(odd(random, good)).slice(0, 3_000));
    const added = random.of<Array<[string, string]>>([
      [[name, text]],
      [[name, text]],
      [
        [name, encodeURIComponent(String(good))],
        [name, text],
      ],
      [[`${name}[]`, '1']],
      [
        [`${name}[a]`, '1'],
        [`${name}[b]`, '2'],
      ],
      [[random.of(['x', '__proto__', 'constructor', '', '%00', 'toString', name.toUpperCase()]), '1']],
      [[name, random.of(['%', '%zz', '%00', '%ED%A0%80', '+', '&', '=', '#', ' '.repeat(3).replaceAll(' ', '%20')])]],
      Array.from({ length: 300 }, () => [name, '1']),
    ]);
    return asQuery([...written.filter(([other]) => other !== name || random.chance(0.2)), ...added]);
  }

  private headers(random: Random, parameters: Parameter[], isWrong: boolean): Record<string, string> {
    const headers: Record<string, string> = { 'user-agent': 'a fuzzer' };
    for (const { name, in: place } of parameters) {
      if (place !== 'header' || random.chance(name === 'Idempotency-Key' ? 0.5 : 0.85)) continue;
      headers[name.toLowerCase()] = this.header(random, name);
    }
    if (random.chance(0.15)) headers.accept = random.of(ACCEPTS);
    if (!isWrong) return headers;
    const name = random.of([
      'idempotency-key',
      'if-match',
      'last-event-id',
      'accept',
      'user-agent',
      'x-request-id',
      'x-forwarded-for',
      'expect',
      'range',
      'accept-encoding',
      'cookie',
      'authorization',
      'x-api-key',
    ]);
    headers[name] = random.of([
      ...[
        '',
        ' ',
        'x'.repeat(256),
        'x'.repeat(9_000),
        '\u00e9'.repeat(255),
        '\u0080',
        '"',
        '%00',
        "' OR 1=1",
        '*',
        'W/"1"',
      ],
      ...[
        '"0"',
        '"99999999999"',
        '-1',
        'null',
        '0199a3c2-a0d4-7000-8000-00000002a003',
        '0199a3c2-a0d4-7000-bfff-ffffffffffff',
      ],
      ...['Bearer', 'Bearer x', `Bearer ${'e'.repeat(3_000)}`, 'Basic YTpi', 'bytes=0-1', ',,,', '::1, 127.0.0.1'],
    ]);
    // Node answers what else a client may expect by itself, and says 417.
    if (name === 'expect') headers.expect = '100-continue';
    return headers;
  }

  private header(random: Random, name: string): string {
    if (name === 'If-Match') return random.of(['"1"', '"2"', 'W/"3"', '*']);
    if (name === 'Idempotency-Key') return random.chance(0.7) ? random.uuid() : `again ${random.below(40)}`;
    if (name === 'user-agent') return random.of(['curl/8', 'a'.repeat(600), 'Mozilla/5.0 (\u00e9)', ' ']);
    return String(this.values.valid(random, { type: 'string', format: 'uuid' }, name));
  }

  private body(
    random: Random,
    { operation, method }: Route,
    mistakes: Set<Mistake>,
  ): { bytes?: Buffer; json?: unknown } {
    const schema = operation.requestBody?.content['application/json']?.schema;
    if (!schema && !mistakes.has('bytes') && !mistakes.has('type')) {
      // Where none is asked for, one may come along.
      return method === 'GET' || random.chance(0.8) ? {} : { bytes: Buffer.from('{}') };
    }
    const good = schema ? this.values.valid(random, schema) : {};
    if (mistakes.has('bytes')) return { bytes: misshapen(random, good) };
    const fields = schema ? Object.keys(this.contract.resolve(schema).properties ?? {}) : [];
    const json = mistakes.has('body') ? mutated(random, good, fields) : good;
    const bytes = Buffer.from(JSON.stringify(json) ?? '');
    return { bytes, json: JSON.parse(bytes.toString() || 'null') as unknown };
  }
}

/** As it stands in a URL. */
function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function asQuery(pairs: Array<[string, string]>): string {
  return pairs.length === 0 ? '' : `?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}`;
}

/** Percent-encoded, lone surrogates too, as the three bytes that no valid UTF-8 has. */
function escaped(text: string): string {
  return [...text]
    .map((c) => {
      const code = c.codePointAt(0)!;
      const isLone = code >= 0xd800 && code <= 0xdfff;
      if (!isLone) return encodeURIComponent(c);
      return `%ED%${(0x80 | ((code >> 6) & 0x3f)).toString(16)}%${(0x80 | (code & 0x3f)).toString(16)}`;
    })
    .join('');
}
