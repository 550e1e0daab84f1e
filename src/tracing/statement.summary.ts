/**
 * What a statement is called in a trace: its name where it is prepared (`read_wallets`), else operation and table
 * (`SELECT wallets`). SECURITY: neither its text nor its parameters, which hold phone numbers and secrets, ever leave.
 */

export interface StatementSummary {
  summary: string;
  operation: string;
  table?: string;
}

/** Texts that are known. There are some hundred; lists of varying length make a few more. */
const KNOWN_MAX = 1_000;
const known = new Map<string, StatementSummary>();

/** @param name of a prepared statement. */
export function summaryOf(text: string, name?: string): StatementSummary {
  const key = name ?? text;
  const found = known.get(key);
  if (found) return found;
  const { operation, table } = parse(text);
  const summary = { summary: name ?? (table ? `${operation} ${table}` : operation), operation, table };
  if (known.size < KNOWN_MAX) known.set(key, summary);
  return summary;
}

/** The operation, and the table that it is about; only plain names count, so no literal is ever taken for one. */
function parse(text: string): { operation: string; table?: string } {
  const first = /^\s*(START TRANSACTION|[a-z]+)/i.exec(text)?.[1]?.toUpperCase() ?? 'OTHER';
  const operation = first === 'WITH' ? mainOperationOf(text) : first;
  const pattern = TABLE[operation];
  if (!pattern) return { operation };
  // What a subquery in the list of columns reads is not what the statement is about.
  const outer = first === 'WITH' ? text : withoutParentheses(text);
  return { operation, table: (pattern.exec(outer) ?? pattern.exec(text))?.[1] };
}

const TABLE: Partial<Record<string, RegExp>> = {
  SELECT: /\bFROM\s+"?([a-z_]+)\b"?(?!\s*[(#])/i,
  INSERT: /\bINTO\s+"?([a-z_]+)\b/i,
  UPDATE: /\bUPDATE\s+"?([a-z_]+)\b/i,
  DELETE: /\bFROM\s+"?([a-z_]+)\b/i,
};

/** Each pair of parentheses becomes a #. */
function withoutParentheses(text: string): string {
  for (let before = text; ; before = text) {
    text = text.replace(/\([^()]*\)/g, '#');
    if (text === before) return text;
  }
}

/** A statement that begins with WITH is called by what it changes first, or else it reads. */
function mainOperationOf(text: string): string {
  const write = /\b(?:(INSERT)\s+INTO|(DELETE)\s+FROM|(UPDATE)\s+"?[a-z_]+"?\s+(?:\w+\s+)?SET)\b/i.exec(text);
  return (write?.[1] ?? write?.[2] ?? write?.[3] ?? 'SELECT').toUpperCase();
}
