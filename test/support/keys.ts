/** API keys put into the database as `asper keys create` would, where a test needs many. */
import { randomUUID } from 'node:crypto';
import { hashOf, hintOf, newSecret } from '../../src/auth/api-key.secret.js';
import type { Scope } from '../../src/auth/scopes.js';
import type { TestDatabase } from './service.js';

export async function insertKey(
  database: TestDatabase,
  { scopes, requestsPerMinute = null }: { scopes: readonly Scope[]; requestsPerMinute?: number | null },
): Promise<{ id: string; secret: string }> {
  const [id, secret] = [randomUUID(), newSecret()];
  await database.query(
    `INSERT INTO api_keys (id, name, scopes, requests_per_minute, secret_hash, secret_hint, created_by)
     VALUES ($1, 'a test', $2, $3, $4, $5, 'a test')`,
    [id, scopes, requestsPerMinute, hashOf(secret), hintOf(secret)],
  );
  return { id, secret };
}
