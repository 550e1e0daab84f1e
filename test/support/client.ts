/** A small typed client for the tests: it says exactly what the server answered, errors too. */
import { Agent, request as httpRequest } from 'node:http';
import type { AuditEntryBody } from '../../src/audit/audit.dto.js';
import type { BatchBody } from '../../src/transactions/batch.dto.js';
import type { HoldBody } from '../../src/transactions/holds.dto.js';
import type { StatusChangeBody } from '../../src/transactions/wallet-states.dto.js';
import type { TransactionBody } from '../../src/transactions/transactions.dto.js';
import type { UserBody } from '../../src/users/users.dto.js';
import type { WalletBody } from '../../src/wallets/wallets.dto.js';

export interface Reply<Body = Record<string, never>> {
  status: number;
  headers: Headers;
  body: Body;
  text: string;
}
export type Problem = { code: string; detail: string; errors?: Array<{ field: string; message: string }> };
type Extra = Record<string, unknown>;

let phoneNumbers = 0;

export class WalletClient {
  private readonly agent: Agent;

  /** @param connections how many it opens at most; one leads to one worker, as long as that lives. */
  constructor(
    readonly url: string,
    connections = 512,
  ) {
    this.agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** One request. `key` becomes the Idempotency-Key. Rejects only where no answer came. */
  call<Body = never>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply<Body>> {
    const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        this.url + path,
        {
          method,
          agent: this.agent,
          headers: {
            ...(payload === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          const type = response.headers['content-type'] ?? '';
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          // Of a stream that goes on and on, the first message.
          const isStream = type.startsWith('text/event-stream');
          if (isStream)
            response.on('data', () => /^data: .*\n\n/m.test(String(Buffer.concat(chunks))) && response.destroy());
          else response.on('error', reject);
          response.on(isStream ? 'close' : 'end', () => {
            const said = Buffer.concat(chunks).toString();
            const text = isStream ? (/^data: (.*)$/m.exec(said)?.[1] ?? '{}') : said;
            const isJson = isStream || type.includes('json');
            const all = new Headers(
              Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)]),
            );
            resolve({
              status: response.statusCode!,
              headers: all,
              text,
              body: (isJson ? JSON.parse(text) : {}) as Body,
            });
          });
        },
      );
      request.on('error', reject);
      request.end(payload);
    });
  }

  get<Body = never>(path: string) {
    return this.call<Body>('GET', path);
  }

  post<Body = never>(path: string, body: unknown, key?: string) {
    return this.call<Body>('POST', path, body, key === undefined ? {} : { 'idempotency-key': key });
  }

  async newUser(): Promise<UserBody> {
    const phone_number = `+9198${String(process.pid % 1000).padStart(3, '0')}${String(phoneNumbers++).padStart(5, '0')}`;
    return expectStatus(201, await this.post<UserBody>('/v1/users', { phone_number }));
  }

  /** A new wallet of a new user, with money in it where an amount is given. No minimum balance unless said. */
  async newWallet(balance?: string, options: Extra = {}): Promise<WalletBody> {
    const user = await this.newUser();
    const body = { user_id: user.id, minimum_balance: '0', ...options };
    const wallet = expectStatus(201, await this.post<WalletBody>('/v1/wallets', body));
    if (balance === undefined) return wallet;
    expectStatus(201, await this.credit(wallet.id, balance));
    return this.wallet(wallet.id);
  }

  async wallet(id: string): Promise<WalletBody> {
    return expectStatus(200, await this.get<WalletBody>(`/v1/wallets/${id}`));
  }

  credit(id: string, amount: string | number, extra: Extra = {}, key?: string) {
    return this.post<TransactionBody & Problem>(`/v1/wallets/${id}/credits`, { amount, ...extra }, key);
  }

  debit(id: string, amount: string | number, extra: Extra = {}, key?: string) {
    return this.post<TransactionBody & Problem>(`/v1/wallets/${id}/debits`, { amount, ...extra }, key);
  }

  transfer(from: string, to: string, amount: string | number, extra: Extra = {}, key?: string) {
    return this.post<TransactionBody & Problem>(
      '/v1/transfers',
      { from_wallet_id: from, to_wallet_id: to, amount, ...extra },
      key,
    );
  }

  journal(entries: Array<[walletId: string, amount: string]>, extra: Extra = {}, key?: string) {
    const legs = entries.map(([wallet_id, amount]) => ({ wallet_id, amount }));
    return this.post<TransactionBody & Problem>('/v1/transactions', { entries: legs, ...extra }, key);
  }

  batch(items: Extra[], extra: Extra = {}, key?: string) {
    return this.post<BatchBody & Problem>('/v1/transactions/batch', { items, ...extra }, key);
  }

  reverse(id: string, extra: Extra = {}, key?: string) {
    return this.post<TransactionBody & Problem>(
      `/v1/transactions/${id}/reversals`,
      { reason: 'Goods returned', ...extra },
      key,
    );
  }

  hold(walletId: string, amount: string, extra: Extra = {}, key?: string) {
    return this.post<HoldBody & Problem>(`/v1/wallets/${walletId}/holds`, { amount, ...extra }, key);
  }

  changeHold(id: string, changes: Extra, headers: Record<string, string> = {}) {
    return this.call<HoldBody & Problem>('PATCH', `/v1/holds/${id}`, changes, headers);
  }

  capture(id: string, extra: Extra = {}, key?: string) {
    return this.post<TransactionBody & Problem>(`/v1/holds/${id}/captures`, extra, key);
  }

  void(id: string, key?: string) {
    return this.call<HoldBody & Problem>(
      'POST',
      `/v1/holds/${id}/void`,
      undefined,
      key ? { 'idempotency-key': key } : {},
    );
  }

  async readHold(id: string): Promise<HoldBody> {
    return expectStatus(200, await this.get<HoldBody>(`/v1/holds/${id}`));
  }

  /** What operators did to an object, latest first. */
  async actsOn(id: string): Promise<AuditEntryBody[]> {
    const log = await this.get<{ data: AuditEntryBody[] }>(`/v1/audit-log?object_id=${id}`);
    return expectStatus(200, log).data;
  }

  /** `freeze`, `unfreeze` or `close`. */
  setStatus(walletId: string, verb: string, extra: Extra = {}, key?: string) {
    return this.post<StatusChangeBody & Problem>(
      `/v1/wallets/${walletId}/${verb}`,
      { reason: 'a test', ...extra },
      key,
    );
  }
}

/** The body of a reply that must have this status; the whole reply in the error where it has not. */
export function expectStatus<Body>(status: number, reply: Reply<Body>): Body {
  if (reply.status !== status) throw new Error(`expected ${status}, got ${reply.status}: ${reply.text}`);
  return reply.body;
}
