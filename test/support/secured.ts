/** A service with AUTH=required, and callers of every kind. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expectStatus, type Reply } from './client.js';
import { startService, type Service, type TestDatabase } from './service.js';

export interface Tokens {
  access_token: string;
  refresh_token: string;
  session_id: string;
  user_id: string;
}

/** 32 random bytes, as AUTH_SECRET and the like want them. */
export const newSecret = () => randomBytes(32).toString('base64');

/** A secured service whose one-time codes can be read from what it says, and which sends as many as a test needs. */
export function startSecured(
  env: Record<string, string> = {},
  options: { database?: TestDatabase; quiet?: boolean } = {},
) {
  const many = String(1_000_000);
  return startService(
    {
      AUTH: 'required',
      AUTH_SECRET: newSecret(),
      CODE_SENDER: 'console',
      ...{ CODES_PER_NUMBER_HOUR: '1000', CODES_PER_NUMBER_DAY: '10000', CODES_PER_PREFIX_HOUR: many },
      ...{ CODES_PER_ADDRESS_HOUR: many, REQUESTS_PER_MINUTE_ADDRESS: many, REQUESTS_PER_MINUTE_PERSON: '0' },
      ...env,
    },
    options,
  );
}

/** Signs a person in: asks for a code, reads it where the service prints it, and trades it for tokens. */
export async function signIn(service: Service, phoneNumber: string): Promise<Tokens> {
  const { id, code } = await askForCode(service, phoneNumber);
  return expectStatus(201, await service.api.post<Tokens>('/v1/auth/tokens', { code_id: id, code }));
}

/** A one-time code, and the id that it is good with. */
export async function askForCode(service: Service, phoneNumber: string): Promise<{ id: string; code: string }> {
  const said = service.said().length;
  const { id } = expectStatus(
    201,
    await service.api.post<{ id: string }>('/v1/auth/codes', { phone_number: phoneNumber }),
  );
  return { id, code: await printedCode(service, said) };
}

async function printedCode(service: Service, from: number): Promise<string> {
  for (const until = Date.now() + 5_000; Date.now() < until; await delay(5)) {
    const code = /one-time code for \S+: (\d{6})/.exec(service.said().slice(from))?.[1];
    if (code) return code;
  }
  throw new Error('no code was printed');
}

/** The header of an access token or API key. */
export const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });

/** What a reply says, without what is different in every one. */
export function sameAs<Body>({ status, text }: Reply<Body>, ...ids: string[]): string {
  const body = text.replace(/"request_id":"[^"]*"/, '"request_id":"…"');
  return `${status} ${ids.reduce((said, id) => said.replaceAll(id, '<id>'), body)}`;
}
