/** People who sign in: an SMS gateway that takes the codes, and the way from a number to tokens. */
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CodeBody, TokensBody } from '../../src/auth/sign-in.dto.js';
import { expectStatus, type Problem, type Reply } from './client.js';
import type { Service } from './service.js';

export const AUTH_SECRET = randomBytes(32).toString('base64');
const WEBHOOK_SECRET = randomBytes(32);

export interface Message {
  id: string;
  phoneNumber: string;
  code: string;
  expiresAt: string;
}

export class Gateway {
  readonly messages: Message[] = [];
  /** Calls whose signature was not ours, or not of what was sent, or old. */
  badSignatures = 0;
  /** What it answers; 200 at once unless a test says otherwise. */
  answer: (response: ServerResponse) => unknown = (response) => response.end();

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Gateway> {
    const server = createServer();
    const gateway = new Gateway(server);
    server.on('request', (request, response) => void gateway.take(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/send`;
  }

  /** The environment of a service that sends its codes here, with limits that no test meets by chance. */
  env(more: Record<string, string> = {}): Record<string, string> {
    return {
      AUTH_SECRET,
      CODE_SENDER: 'webhook',
      CODE_WEBHOOK_URL: this.url,
      CODE_WEBHOOK_SECRET: WEBHOOK_SECRET.toString('base64'),
      CODES_PER_NUMBER_HOUR: '1000',
      CODES_PER_NUMBER_DAY: '1000',
      CODES_PER_PREFIX_HOUR: '100000',
      CODES_PER_ADDRESS_HOUR: '100000',
      REQUESTS_PER_MINUTE_ADDRESS: '100000',
      ...more,
    };
  }

  /** The message of a code, when it has come. */
  async message(id: string): Promise<Message> {
    for (let waited = 0; waited < 500; waited++) {
      const message = this.messages.find((candidate) => candidate.id === id);
      if (message) return message;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`no message ${id} came`);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const id = String(request.headers['webhook-id']);
    const timestamp = String(request.headers['webhook-timestamp']);
    const signature = createHmac('sha256', WEBHOOK_SECRET).update(`${id}.${timestamp}.${body}`).digest('base64');
    const isOld = Math.abs(Date.now() / 1_000 - Number(timestamp)) > 5;
    if (request.headers['webhook-signature'] !== `v1,${signature}` || isOld) this.badSignatures++;
    const { phone_number, code, expires_at } = JSON.parse(body) as Record<string, string>;
    this.messages.push({ id, phoneNumber: phone_number!, code: code!, expiresAt: expires_at! });
    this.answer(response);
  }
}

export function askForCode(service: Service, phone_number: string, headers: Record<string, string> = {}) {
  return service.api.call<CodeBody & Problem>('POST', '/v1/auth/codes', { phone_number }, headers);
}

export function tryCode(service: Service, code_id: string, code: string, headers: Record<string, string> = {}) {
  return service.api.call<TokensBody & Problem>('POST', '/v1/auth/tokens', { code_id, code }, headers);
}

export function refresh(service: Service, refresh_token: string) {
  return service.api.post<TokensBody & Problem>('/v1/auth/tokens/refresh', { refresh_token });
}

/** The tokens of whoever has the number. */
export async function signIn(
  service: Service,
  gateway: Gateway,
  phoneNumber: string,
  headers: Record<string, string> = {},
): Promise<TokensBody> {
  const { id } = expectStatus(201, await askForCode(service, phoneNumber));
  const { code } = await gateway.message(id);
  return expectStatus(201, await tryCode(service, id, code, headers));
}

/** One request as whoever has the token. */
export function as<Body = unknown>(
  service: Service,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Reply<Body & Problem>> {
  return service.api.call<Body & Problem>(method, path, body, { authorization: `Bearer ${token}` });
}

/** The status of a request that every signed-in person may make. */
export async function statusOf(service: Service, token: string): Promise<number> {
  return (await as(service, token, 'GET', '/v1/auth/sessions')).status;
}

/** Another code than the right one. */
export function wrongOf(code: string, by = 1): string {
  return String((Number(code) + by) % 1_000_000).padStart(6, '0');
}
