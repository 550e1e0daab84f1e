/** What an API key can be allowed to do, and the sets that are usual. Reading and writing are for servers, the rest is for operators. */
export const SCOPES = {
  'users:read': 'read and find users',
  'users:write': 'register users, change phone number and notes',
  'wallets:read': 'read wallets, histories, statements, receipts',
  'wallets:write': 'open wallets, change label and notes, raise the minimum balance',
  'transactions:read': 'read transactions and holds',
  'transactions:write': 'credit, debit, transfer, batches; hold, capture, void',
  'transactions:reverse': 'reverse transactions',
  'schedules:read': 'read scheduled transfers',
  'schedules:write': 'schedule transfers; pause, resume, cancel',
  'events:read': 'read all events',
  'wallets:admin': 'freeze, unfreeze, close and limit wallets, lower a minimum balance',
  'users:admin': 'suspend users and end their sessions',
  'ledger:admin': 'trial balance and check of the whole ledger',
  'keys:admin': 'make, renew and revoke API keys',
  'webhooks:admin': 'make, change and replay webhooks',
  'audit:read': 'read what operators did',
  'metrics:read': 'read the metrics',
} as const;

export type Scope = keyof typeof SCOPES;
export const ALL_SCOPES = Object.keys(SCOPES) as Scope[];

/** Scopes that usually go together, by name. */
export const ROLES = {
  reader: ALL_SCOPES.filter((scope) => scope.endsWith(':read') && scope !== 'audit:read'),
  server: ALL_SCOPES.filter((scope) => /:(read|write)$/.test(scope) && scope !== 'audit:read'),
  operator: ALL_SCOPES,
} as const satisfies Record<string, readonly Scope[]>;

export type Role = keyof typeof ROLES;

export function isScope(text: unknown): text is Scope {
  return typeof text === 'string' && Object.hasOwn(SCOPES, text);
}
