/** Values for the fields of the document: what it allows, and what is wrong in every way that has ever broken a server. */
import type { Contract, Schema } from './document.js';
import type { Random } from './random.js';

/** Real objects by the names of fields: `wallet_id` → ids. */
export type Known = (random: Random, name: string) => string | undefined;

const DAY_MS = 86_400_000;
const CURRENCIES = ['INR', 'INR', 'INR', 'USD', 'JPY', 'KWD'];
const AMOUNTS = ['1.00', '0.01', '2.5', '10', 3, 0.5, '150.00', '7.001', '9999999999999.99', '999999999999999'];
const FLOORS = ['0', '0', '0.00', 0, '-5.00', '100', '1', -10.5];
const TEXTS = [
  'x',
  'Order 1042',
  'ärger & <b>',
  '日本語',
  '👩‍👩‍👧',
  '\u202eabc',
  'a'.repeat(64),
  "Robert'); DROP TABLE wallets;--",
  '%s %n',
  '${1}',
];

/** A value that the document allows. */
export class Values {
  constructor(
    private readonly contract: Contract,
    private readonly known: Known,
    private readonly receiverUrl: string,
  ) {}

  valid(random: Random, given: Schema, name = ''): unknown {
    const schema = this.contract.resolve(given);
    const own = this.byName(random, name, schema);
    if (own !== undefined) return own;
    if (schema.enum) return random.of(schema.enum);
    const parts = schema.oneOf ?? schema.anyOf ?? schema.allOf;
    if (parts && !schema.properties) return this.valid(random, random.of(parts), name);
    switch (schema.type) {
      case 'object':
        return this.object(random, schema);
      case 'array':
        return this.list(random, schema, name);
      case 'boolean':
        return random.chance(0.5);
      case 'integer':
      case 'number':
        return number(random, schema);
      default:
        return this.text(random, schema);
    }
  }

  private object(random: Random, { properties, required = [] }: Schema): Record<string, unknown> {
    if (!properties) return random.chance(0.3) ? {} : { plan: 'gold', n: random.below(9), ok: true };
    const rare = random.chance(0.5) ? 0.15 : 0.6;
    const chosen = Object.entries(properties).filter(([name]) => required.includes(name) || random.chance(rare));
    return Object.fromEntries(chosen.map(([name, schema]) => [name, this.valid(random, schema, name)]));
  }

  private list(random: Random, { items = {}, minItems = 0, maxItems = 4, example }: Schema, name: string): unknown[] {
    if (Array.isArray(example) && typeof example[0] === 'string' && random.chance(0.8)) return example;
    if (name === 'entries') return this.legs(random);
    const length = minItems + random.below(Math.min(4, maxItems - minItems + 1));
    return Array.from({ length }, () => this.valid(random, items));
  }

  /** Legs that add up to zero, mostly. */
  private legs(random: Random): unknown[] {
    const wallet = () => this.known(random, 'wallet_id') ?? random.uuid();
    const amount = random.of(['1.00', '0.01', '2.50']);
    return [
      { wallet_id: wallet(), amount: `-${amount}` },
      { wallet_id: wallet(), amount: random.chance(0.9) ? amount : '3.33' },
    ];
  }

  private text(random: Random, { example, minLength = 1, maxLength = 40, format }: Schema): string {
    if (format === 'date-time') return instant(random);
    if (format === 'date') return instant(random).slice(0, 10);
    if (typeof example === 'string' && random.chance(0.6)) return example;
    if (random.chance(0.1)) return 'z'.repeat(random.of([minLength, maxLength]));
    return random.of(TEXTS).slice(0, maxLength);
  }

  private byName(random: Random, name: string, schema: Schema): unknown {
    if (/(^|_)id$|^(seq|key|cursor|after|refresh_token|code|Last-Event-ID)$/.test(name)) {
      const real = random.chance(0.9) ? this.known(random, name) : undefined;
      if (real !== undefined) return real;
      if (schema.format === 'uuid') return random.uuid();
    }
    if (/^(amount|daily_total|monthly_total|low_balance_threshold)$/.test(name) && !schema.nullable)
      return random.of(AMOUNTS);
    if (name === 'minimum_balance') return random.of(FLOORS);
    if (name === 'currency') return random.of(CURRENCIES);
    if (name === 'phone_number') return `+9197${random.below(100_000_000).toString().padStart(8, '0')}`;
    if (name === 'url') return `${this.receiverUrl}/${random.hex(6)}`;
    if (name === 'label') return `label ${random.hex(4)}`;
    if (name === 'time_zone') return random.of(['UTC', 'Asia/Kolkata', 'America/St_Johns', 'Pacific/Apia']);
    if (name === 'ahead_seconds') return 1 + random.below(100_000);
    if (name === 'scopes') return [random.of(schema.items!.enum!)];
    if (name === 'allowed_addresses') return random.of([[], ['127.0.0.1'], ['10.0.0.0/8', '::1']]);
    return undefined;
  }
}

function number(random: Random, { minimum = 0, maximum = 1_000_000 }: Schema): number {
  const within = minimum + random.below(Math.min(maximum - minimum, 50) + 1);
  return random.of([within, within, within, minimum, maximum]);
}

/** Around now; holds and schedules want what is to come, lists what was. */
function instant(random: Random): string {
  const days = random.of([-400, -1, -0.01, 0, 0.01, 1, 30, 400, 4_500]);
  const text = new Date(Date.now() + days * DAY_MS).toISOString();
  return random.of([text, text.replace(/\.\d+Z/, 'Z'), text.replace('Z', '+05:30')]);
}

const HUGE = 'h'.repeat(3_000);
/** What stands in a body where something else should. */
const ODDITIES: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 1.5, -0.000001, 1e21, 2 ** 53, -1e308, 1e-9, 2_147_483_648],
  ...[
    '',
    ' ',
    '0',
    '-1',
    '1e3',
    'NaN',
    'Infinity',
    '0x10',
    '１５０',
    '1,000.00',
    '00',
    '+5',
    ' 1.00',
    '1.',
    '.5',
    '-0',
  ],
  ...['\u0000', 'a\u0000b', '\ud800', 'x\udfff', '\ufeffx', '\u2028', 'é'.normalize('NFD'), '𝕏'.repeat(130)],
  ...['true', 'null', '[object Object]', '__proto__', "' OR 1=1 --", '../../etc/passwd', '{{7*7}}', '\\u0000'],
  ...['2026-02-30T00:00:00Z', '2026-13-01', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z', '2026-01-01T24:00:00Z'],
  ...['2026-01-01T00:00:00', '2199-12-31T23:59:59.999999999+14:00', '1900-01-01T00:00:00-23:59', 'now', 'infinity'],
  ...[
    '00000000-0000-0000-0000-000000000000',
    'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
    '{0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90}',
  ],
  ...[
    'http://169.254.169.254/latest',
    'https://a:b@example.com/',
    'file:///etc/passwd',
    'https://[::1]:1/',
    'http://x',
  ],
  ...[[], [null], [[]], {}, { a: 1 }, { toString: 1 }, { length: 5 }, { $gt: '' }, HUGE],
];

/** Something else in place of a value. */
export function odd(random: Random, value: unknown): unknown {
  if (random.chance(0.55)) return random.of(ODDITIES);
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'x');
  return random.of<() => unknown>([
    () => [value],
    () => [value, value],
    () => ({ value }),
    () => (typeof value === 'number' ? String(value) : Number(text)),
    () => text.toUpperCase(),
    () => ` ${text}`,
    () => text.slice(0, -1),
    () => `${text}0`,
    () => text.repeat(60),
    () => text.slice(0, random.below(text.length + 1)) + random.of(['\u0000', '\ud800', '"', '👍', '%']) + text,
    () => deep(random.of([50, 900])),
    () => 'h'.repeat(random.of([256, 501, 70_000])),
    () => JSON.stringify(value),
    () => (typeof value === 'number' ? -value : text.split('').reverse().join('')),
  ])();
}

/** A list in a list in a list. */
function deep(levels: number): unknown {
  let value: unknown = 'deep';
  for (let i = 0; i < levels; i++) value = i % 2 ? [value] : { a: value };
  return value;
}

/** A body that differs from a good one in a field or two. */
export function mutated(random: Random, body: unknown, fields: string[]): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return odd(random, body);
  let result: Record<string, unknown> = { ...body };
  const names = Object.keys(result);
  for (let changes = random.of([1, 1, 2]); changes > 0; changes--) {
    const name = names.length > 0 && random.chance(0.8) ? random.of(names) : random.of([...fields, 'x']);
    const roll = random.next();
    if (roll < 0.12) result = Object.fromEntries(Object.entries(result).filter(([own]) => own !== name));
    else if (roll < 0.22)
      // Unlike an assignment this also makes a field of `__proto__`.
      Object.defineProperty(result, random.of(TRAPS), {
        value: odd(random, 'x'),
        enumerable: true,
        configurable: true,
      });
    else if (roll < 0.4 && typeof result[name] === 'object') result[name] = within(random, result[name]);
    else result[name] = odd(random, result[name]);
  }
  return result;
}
const TRAPS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'then',
  'hasOwnProperty',
  'extra',
  '',
  '\u0000',
  'Amount',
  'ID',
  'id',
];

/** The same list or object, with one thing inside that is odd. */
function within(random: Random, value: unknown): unknown {
  if (Array.isArray(value)) {
    if (value.length === 0 || random.chance(0.2))
      return Array.from({ length: random.of([1, 51, 501]) }, () => value[0] ?? 'x');
    const at = random.below(value.length);
    return value.map((item: unknown, i) => (i === at ? mutated(random, item, ['type', 'amount']) : item));
  }
  return mutated(random, value, ['a', 'x'.repeat(65)]);
}

/** Bytes of a body that is no JSON, or JSON that no library writes. */
export function misshapen(random: Random, body: unknown): Buffer {
  const text = JSON.stringify(body) ?? '{}';
  return Buffer.from(
    random.of<() => string | Buffer>([
      () => text.slice(0, random.below(text.length)),
      () => `${text},`,
      () => text.replace('}', ',}'),
      () => text.replaceAll('"', "'"),
      () => `\ufeff${text}`,
      () => Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xc3, 0x28, 0xff]), Buffer.from('}')]),
      () => Buffer.from(text, 'utf16le'),
      () => text.replace('{', '{"__proto__":{"isAdmin":true},'),
      () => text.replace('{', '{"constructor":{"prototype":{"x":1}},'),
      () => text.replace(/"(\w+)":/, '"$1":null,"$1":'),
      () => '['.repeat(30_000),
      () => `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
      () => `{"metadata":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`,
      () => text.replace(/:[^,}]+/, ':1e400'),
      () => text.replace(/:[^,}]+/, `:${'9'.repeat(400)}`),
      () => text.replace(/:"[^"]*"/, ':"\\ud800"'),
      () => text.replace(/:"[^"]*"/, ':"\u0001"'),
      () => text.replace(/:"[^"]*"/, ':NaN'),
      () => ' '.repeat(60_000) + text,
      () => 'x'.repeat(70_000),
      () => random.of(['null', '[]', '"x"', '5', 'true', '[[]]', '', ' ', '[null]', '[{}]', '{}', '{"":""}']),
    ])(),
  );
}
