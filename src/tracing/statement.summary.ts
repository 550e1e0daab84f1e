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

/** The first operation and the first table after it; only plain names count, so no literal is ever taken for one. */
function parse(text: string): { operation: string; table?: string } {
  const first = /^\s*(START TRANSACTION|[a-z]+)/i.exec(text)?.[1]?.toUpperCase() ?? 'OTHER';
  const operation = first === 'WITH' ? mainOperationOf(text) : first;
  if (!/^(SELECT|INSERT|UPDATE|DELETE)$/.test(operation)) return { operation };
  const pattern = operation === 'UPDATE' ? /\bUPDATE\s+"?([a-z_]+)"?/i : /\b(?:FROM|INTO)\s+"?([a-z_]+)"?(?!\w*\()/i;
  return { operation, table: pattern.exec(text)?.[1] };
}

/** A statement that begins with WITH is called by what it changes, or else it reads. */
function mainOperationOf(text: string): string {
  if (/\bINSERT\s+INTO\b/i.test(text)) return 'INSERT';
  if (/\bDELETE\s+FROM\b/i.test(text)) return 'DELETE';
  return /\bUPDATE\s+"?[a-z_]+"?\s+(?:\w+\s+)?SET\b/i.test(text) ? 'UPDATE' : 'SELECT';
}
