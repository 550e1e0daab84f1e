/** Credentials for the load: as persons and servers have them, got through the front door. */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import { hashOf, hintOf, newSecret } from '../src/auth/api-key.secret.js';
import type { Served } from './processes.js';
import { walletIdOf } from './wallet-ids.js';

/** What a service needs to let the whole bench sign in from one address, and print the codes. */
export const SIGN_IN_ENV = {
  AUTH_SECRET: randomBytes(32).toString('base64'),
  CODE_SENDER: 'console',
  ...{ CODES_PER_ADDRESS_HOUR: '1000000', CODES_PER_PREFIX_HOUR: '1000000', CODES_PER_DAY: '1000000' },
  ...{ REQUESTS_PER_MINUTE_ADDRESS: '1000000', REQUESTS_PER_MINUTE_PERSON: '100000' },
};

const PRINTED_MAX_MS = 5_000;

/** Gives each of the first `count` wallets an owner of its own and signs them in. @returns their access tokens. */
export async function signInOwners(client: Client, service: Served, count: number): Promise<string[]> {
  const owners = Array.from({ length: count }, (_, i) => ({
    userId: randomUUID(),
    phoneNumber: `+9190000${String(i).padStart(5, '0')}`,
    walletId: walletIdOf(i),
  }));
  const columns = [owners.map(({ userId }) => userId), owners.map(({ phoneNumber }) => phoneNumber)];
  await client.query(INSERT_USERS, columns);
  await client.query(OWN_WALLETS, [columns[0], owners.map(({ walletId }) => walletId)]);
  const tokens: string[] = [];
  for (const { phoneNumber } of owners) tokens.push(await signIn(service, phoneNumber));
  return tokens;
}

async function signIn(service: Served, phone_number: string): Promise<string> {
  const heard = service.said().length;
  const { id } = await post<{ id: string }>(service, '/v1/auth/codes', { phone_number });
  for (const until = Date.now() + PRINTED_MAX_MS; Date.now() < until; await delay(1)) {
    const code = /one-time code for \S+: (\d{6})/.exec(service.said().slice(heard))?.[1];
    if (code)
      return (await post<{ access_token: string }>(service, '/v1/auth/tokens', { code_id: id, code })).access_token;
  }
  throw new Error('the service has printed no one-time code');
}

async function post<Body>(service: Served, path: string, body: object): Promise<Body> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(service.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`POST ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as Body;
}

/** Makes an API key that may post. @returns its secret. */
export async function makeKey(client: Client): Promise<string> {
  const secret = newSecret();
  await client.query(INSERT_KEY, [randomUUID(), hashOf(secret), hintOf(secret)]);
  return secret;
}

const INSERT_USERS = `
  INSERT INTO users (id, phone_number, status) SELECT id, phone_number, 'active' FROM unnest($1::uuid[], $2::text[]) AS u(id, phone_number)`;
const OWN_WALLETS = `
  UPDATE wallets w SET user_id = o.user_id FROM unnest($1::uuid[], $2::uuid[]) AS o(user_id, wallet_id) WHERE w.id = o.wallet_id`;
const INSERT_KEY = `
  INSERT INTO api_keys (id, name, scopes, secret_hash, secret_hint, created_by)
  VALUES ($1, 'bench', '{transactions:write}', $2, $3, 'bench')`;
