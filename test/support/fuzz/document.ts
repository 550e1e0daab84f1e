/** The OpenAPI document as a contract: whether an answer, or a body, is one that it declares. */
import { Ajv, type ValidateFunction } from 'ajv';
import type { Access } from '../../../src/auth/access.js';

export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  pattern?: string;
  enum?: unknown[];
  nullable?: boolean;
  example?: unknown;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  allOf?: Schema[];
  oneOf?: Schema[];
  anyOf?: Schema[];
}
export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  example?: unknown;
  schema?: Schema;
}
type Content = Record<string, { schema?: Schema; examples?: Record<string, unknown> }>;
export interface Operation {
  'x-access': Access;
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Content };
  responses: Record<string, { content?: Content }>;
}
export interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** A route of the document. */
export interface Route {
  at: string;
  method: string;
  path: string;
  operation: Operation;
}

/** What a server answered. */
export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

export function routesOf({ paths }: Document): Route[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const verb = method.toUpperCase();
      return { at: `${verb} ${path}`, method: verb, path, operation };
    }),
  );
}

const FORMATS = {
  uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  date: /^\d{4}-\d\d-\d\d$/,
  'date-time': (text: string) =>
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
};
/** What only the inside of a service would say. */
const INSIDES =
  /node_modules|\bat (\w+\.)*\w+ \(|\.(ts|js|mjs):\d|QueryFailed|TypeORM|TypeError|RangeError|SyntaxError|violates|syntax error|\brelation "|\bSELECT \S+ FROM\b|INSERT INTO|\bUPDATE \w+ SET\b|ECONN|invalid input syntax|Cannot read prop|is not a function/;

export class Contract {
  private readonly ajv = new Ajv({ strict: false, allErrors: false, formats: FORMATS });
  private readonly validators = new Map<Schema, ValidateFunction>();

  constructor(readonly document: Document) {
    this.ajv.addSchema(
      {
        $id: 'document',
        components: {
          schemas: Object.fromEntries(
            Object.entries(document.components.schemas).map(([name, schema]) => [name, strict(schema)]),
          ),
        },
      },
      'document',
    );
  }

  resolve(schema: Schema): Schema {
    return schema.$ref ? this.document.components.schemas[schema.$ref.split('/').at(-1)!]! : schema;
  }

  /** Why a value is not what a schema says; nothing where it is. */
  mismatch(schema: Schema, value: unknown): string | undefined {
    let validate = this.validators.get(schema);
    if (!validate) {
      validate = this.ajv.compile(strict(schema));
      this.validators.set(schema, validate);
    }
    if (validate(value)) return undefined;
    const [error] = validate.errors!;
    const at = error!.instancePath;
    const found: unknown = at
      .split('/')
      .slice(1)
      .reduce<unknown>((inner, name) => (inner as Record<string, unknown>)?.[name], value);
    return `${at || 'it'} ${error!.message} ${JSON.stringify(error!.params)}: ${JSON.stringify(found)?.slice(0, 300)}`;
  }

  /**
   * What is wrong with an answer to a request for an operation; nothing where it is declared to the letter.
   * @param mayBeAway whether the test has taken the database away, so that a declared 503 is right.
   */
  breach({ operation }: Route, { status, headers, body }: Answer, mayBeAway = false): string | undefined {
    const said = body.toString();
    if (status >= 500 && !(mayBeAway && status === 503)) return `answers ${status}`;
    if (!headers['x-request-id']) return 'has no X-Request-Id';
    const declared = operation.responses[status];
    if (!declared) return `answers ${status} ${codeOf(said)}, which is not declared`;
    const type = String(headers['content-type'] ?? '').split(';')[0]!;
    const content = declared.content?.[type];
    if (!content) return `answers ${status} as ${type || 'nothing'}, which is not declared`;
    if (status >= 400 && INSIDES.test(said)) return `answers ${status} and lets one see inside: ${said}`;
    if (!/json|event-stream/.test(type)) return undefined;
    const text = type === 'text/event-stream' ? /^data: (.*)$/m.exec(said)?.[1] : said;
    if (text === undefined) return undefined; // a stream that has nothing to tell yet
    const value = parsed(text);
    if (value === undefined) return `answers ${status} with what is no JSON`;
    const mismatch = content.schema && this.mismatch(content.schema, value);
    if (mismatch) return `answers ${status} with a body that is not declared: ${mismatch}`;
    if (type !== 'application/problem+json') return undefined;
    const problem = value as { code: string; status: number; request_id: string };
    if (problem.status !== status) return `answers ${status} with a problem of status ${problem.status}`;
    if (problem.request_id !== headers['x-request-id']) return 'answers with two request ids';
    const isKnown = problem.code in (content.examples ?? {});
    return isKnown ? undefined : `answers ${status} ${problem.code}, a code that is not declared`;
  }
}

/** The code of a problem, for a message. */
export function codeOf(text: string): string {
  const { code, detail } = (parsed(text) ?? {}) as { code?: string; detail?: string };
  return code ? `${code} (${detail?.slice(0, 120)})` : '';
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * An OpenAPI 3.0 schema as JSON Schema: null where it is nullable, and no field that is not declared. Where schemas are put
 * together (`allOf`), the parts are closed each by itself: the document has none that extends another.
 */
function strict(schema: Schema): object {
  const { $ref, nullable, properties, items, allOf, oneOf, anyOf, additionalProperties, ...rest } = schema;
  if ($ref) return { $ref: `document${$ref}` };
  const list = (parts?: Schema[]) => parts?.map((part) => strict(part));
  const closed: Record<string, unknown> = { ...rest };
  delete closed.example;
  delete closed.default;
  if (allOf) closed.allOf = list(allOf);
  // `oneOf` in the document means: any of these.
  if (oneOf ?? anyOf) closed.anyOf = list(oneOf ?? anyOf);
  if (items) closed.items = strict(items);
  if (properties) {
    closed.properties = Object.fromEntries(Object.entries(properties).map(([name, own]) => [name, strict(own)]));
    closed.additionalProperties = additionalProperties ?? false;
  } else if (typeof additionalProperties === 'object') closed.additionalProperties = strict(additionalProperties);
  return nullable ? { anyOf: [{ type: 'null' }, closed] } : closed;
}
