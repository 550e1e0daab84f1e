/** The client in docs/examples: its types are those of openapi.json, and what fails for the moment is sent again and done once. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { startService, type Service } from './support/service.js';

interface Answered {
  // oxlint-disable-next-line typescript/no-explicit-any -- the types of it are looked at by a compiler of its own, below
  data?: any;
  error?: { code: string };
  response: Response;
}
interface Client {
  GET(path: string, init?: object): Promise<Answered>;
  POST(path: string, init: object): Promise<Answered>;
}
type Options = { baseUrl: string; token?: () => string; attemptsMax?: number; attemptMs?: number };

// By a variable: without the generated file beside it, the project's own compiler cannot read it.
const CLIENT: string = '../docs/examples/client.ts';
const { createClient } = (await import(CLIENT)) as { createClient: (options: Options) => Client };

/** What becomes of an attempt on its way. */
type Way = 'pass' | 'stall' | 'refuse' | 'lose the answer' | 'cut the answer' | 'hang' | 502;

/** Stands before the service; attempts fare as planned, and all after them well. */
class Front {
  plan: Way[] = [];
  readonly seen: Array<{ key?: string; bearer?: string }> = [];
  private readonly server = createServer((request, response) => this.take(request, response));

  constructor(private readonly target: string) {}

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    const { headers, method, url } = request;
    this.seen.push({ key: headers['idempotency-key'] as string | undefined, bearer: headers.authorization });
    const way = this.plan.shift() ?? 'pass';
    if (way === 'refuse') return void request.socket.destroy();
    if (way === 'hang') return;
    if (way === 502) return void response.writeHead(502).end('<h1>Bad Gateway</h1>');
    const onward = httpRequest(this.target + url, { method, headers }, (answer) => {
      if (way === 'lose the answer') return void answer.resume().on('end', () => request.socket.destroy());
      response.writeHead(answer.statusCode!, answer.headers);
      if (way === 'pass') return void answer.pipe(response);
      if (way === 'stall') return void answer.once('data', (chunk: Buffer) => response.write(chunk.subarray(0, 20)));
      answer.once('data', (chunk: Buffer) => response.write(chunk.subarray(0, 20), () => request.socket.destroy()));
    });
    request.pipe(onward);
  }
}

describe('the typed client', () => {
  let service: Service;
  let front: Front;
  let baseUrl: string;
  let folder: string;
  let walletId: string;
  beforeAll(async () => {
    service = await startService();
    folder = await mkdtemp(path.join(os.tmpdir(), 'asper-client-'));
    walletId = (await service.api.newWallet('100.00')).id;
  });
  afterEach(async () => {
    front?.stop();
    expect(await service.database.problems()).toEqual([]);
  });
  afterAll(async () => {
    await service?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function clientOn(plan: Way[], options: Partial<Options> = {}): Promise<Client> {
    front = new Front(service.api.url);
    front.plan = plan;
    baseUrl = await front.start();
    return createClient({ baseUrl, ...options });
  }

  const debit = (client: Client, extra: object = {}) =>
    client.POST('/v1/wallets/{wallet_id}/debits', {
      params: { path: { wallet_id: walletId }, ...extra },
      body: { amount: '1.00' },
    });
  const balance = async () => (await service.api.wallet(walletId)).balance;
  const debited = async (before: string) => (Number(before) - Number(await balance())).toFixed(2);

  it('sends again what was lost, cut off, late or not let through, under one key: it is done once', async () => {
    const client = await clientOn(['lose the answer', 'cut the answer', 'hang', 502], { attemptMs: 1_000 });
    const before = await balance();
    const { data, response } = await debit(client);
    expect(response.status).toBe(201);
    expect(response.headers.get('idempotency-replayed')).toBe('true');
    expect(data.amount).toBe('1.00');
    expect(await debited(before)).toBe('1.00');
    expect(front.seen.length).toBe(5);
    expect(new Set(front.seen.map(({ key }) => key)).size).toBe(1);
    expect(front.seen[0]!.key).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('waits for a service that says so, and asks for a token each time', async () => {
    let asked = 0;
    const client = await clientOn([], { token: () => `t${(asked += 1)}` });
    const answers = [503, 429, 201];
    front.stop();
    const stub = createServer(({ headers }, response) => {
      front.seen.push({ bearer: headers.authorization, key: headers['idempotency-key'] as string });
      const status = answers.shift()!;
      response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '1' });
      response.end(JSON.stringify(status === 201 ? { id: 'x' } : { code: 'overloaded', retryable: true }));
    });
    stub.listen(Number(new URL(baseUrl).port), '127.0.0.1');
    await once(stub, 'listening');
    const startedAt = performance.now();
    expect((await debit(client)).data).toEqual({ id: 'x' });
    expect(performance.now() - startedAt).toBeGreaterThan(1_990);
    expect(front.seen.map(({ bearer }) => bearer)).toEqual(['Bearer t1', 'Bearer t2', 'Bearer t3']);
    stub.closeAllConnections();
    stub.close();
  });

  it('does not repeat what would be refused again, nor what has no key', async () => {
    const client = await clientOn([]);
    const { error, response } = await client.POST('/v1/wallets/{wallet_id}/debits', {
      params: { path: { wallet_id: walletId } },
      body: { amount: '1000.00' },
    });
    expect([response.status, error!.code]).toEqual([422, 'insufficient_funds']);
    expect(front.seen.length).toBe(1);
    front.plan = ['lose the answer'];
    await expect(client.POST('/v1/auth/codes', { body: { phone_number: '+919800000000' } })).rejects.toThrow();
    expect(front.seen.length).toBe(2);
    expect(front.seen[1]!.key).toBeUndefined();
  });

  it('gives up after as many attempts as it may make, or when it is told to', async () => {
    const client = await clientOn(Array<Way>(9).fill('refuse'), { attemptsMax: 3 });
    await expect(debit(client)).rejects.toThrow();
    expect(front.seen.length).toBe(3);
    const stop = new AbortController();
    const waiting = client.GET('/v1/wallets/{wallet_id}', {
      params: { path: { wallet_id: walletId } },
      signal: stop.signal,
    });
    setTimeout(() => stop.abort(), 50);
    await expect(waiting).rejects.toThrow(/abort/i);
    expect(front.seen.length).toBeLessThan(6);
  });

  it('reads again what stops or breaks off in the middle', async () => {
    const client = await clientOn(['stall', 'cut the answer'], { attemptMs: 500 });
    const { data } = await client.GET('/v1/wallets/{wallet_id}', { params: { path: { wallet_id: walletId } } });
    expect(data.id).toBe(walletId);
    expect(front.seen.length).toBe(3);
  });

  it('takes the key of the caller, and reads what is long as it comes', async () => {
    const client = await clientOn(['lose the answer'], { attemptMs: 5_000 });
    const before = await balance();
    const key = { header: { 'Idempotency-Key': 'order-1' } };
    for (let i = 0; i < 2; i++) expect((await debit(client, key)).response.status).toBe(201);
    expect(await debited(before)).toBe('1.00');
    expect(front.seen.map((one) => one.key)).toEqual(['order-1', 'order-1', 'order-1']);
    const { data } = await client.GET('/v1/wallets/{wallet_id}/statement', {
      params: { path: { wallet_id: walletId } },
      headers: { accept: 'text/csv' },
      parseAs: 'text',
    });
    expect(data).toContain('100.00');
  });

  it('gives a key to exactly the operations that have one', async () => {
    const { paths } = (await service.api.get<{ paths: Record<string, Record<string, Operation>> }>('/docs-json')).body;
    const client = await clientOn([]);
    const kept = globalThis.fetch;
    const seen = new Map<string, boolean>();
    globalThis.fetch = (request: unknown) => {
      const { method, url, headers } = request as Request;
      seen.set(`${method} ${decodeURI(new URL(url).pathname)}`, headers.has('idempotency-key'));
      return Promise.resolve(new Response('{}', { headers: { 'content-type': 'application/json' } }));
    };
    const expected = new Map<string, boolean>();
    try {
      for (const [route, operations] of Object.entries(paths)) {
        for (const [method, { parameters = [] }] of Object.entries(operations)) {
          expected.set(
            `${method.toUpperCase()} ${route}`,
            parameters.some(({ name }) => name === 'Idempotency-Key'),
          );
          const call = (client as unknown as Record<string, Client['GET']>)[method.toUpperCase()]!;
          await call(route);
        }
      }
    } finally {
      globalThis.fetch = kept;
    }
    expect(expected.size).toBeGreaterThan(70);
    expect(seen).toEqual(expected);
  });

  it('knows every field: what is missing, of another type or not there is an error of the compiler', async () => {
    await cp('docs/examples/client.ts', path.join(folder, 'client.ts'));
    await symlink(path.resolve('node_modules'), path.join(folder, 'node_modules'));
    await writeFile(path.join(folder, 'package.json'), '{"type": "module"}');
    await writeFile(path.join(folder, 'uses.ts'), USES);
    const run = (script: string, ...args: string[]) =>
      promisify(execFile)(process.execPath, [path.resolve('node_modules', script), ...args], { cwd: folder });
    const types = [path.resolve('openapi.json'), '-o', 'api.ts', '--default-non-nullable=false'];
    await run('openapi-typescript/bin/cli.js', ...types);
    const options = [
      ...['--noEmit', '--strict', '--skipLibCheck'],
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--lib',
      'es2023,dom,dom.iterable',
    ];
    const { stdout } = await run('@typescript/native/bin/tsc', ...options, 'uses.ts').catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  });
});

interface Operation {
  parameters?: Array<{ name: string }>;
}

const USES = `
import { createClient } from './client.js';

const asper = createClient({ baseUrl: 'http://127.0.0.1:5000', token: async () => 'key' });
const path = { wallet_id: '019a0000-0000-7000-8000-000000000000' };
const { data, error } = await asper.POST('/v1/wallets/{wallet_id}/debits', { params: { path }, body: { amount: '5.00' } });
if (data) {
  const id: string | undefined = data.id; // a dry run has none
  const amount: string | null = data.amount;
  console.log(id, amount, data.entries[0]?.balance_after);
  // @ts-expect-error there is no such field
  console.log(data.amonut);
} else console.log(error.code, error.detail);
// @ts-expect-error there is no such call
await asper.POST('/v1/wallets/{wallet_id}/debit', { params: { path }, body: { amount: '5.00' } });
// @ts-expect-error the amount is missing
await asper.POST('/v1/wallets/{wallet_id}/debits', { params: { path }, body: {} });
// @ts-expect-error no amount is a boolean
await asper.POST('/v1/wallets/{wallet_id}/debits', { params: { path }, body: { amount: true } });
// @ts-expect-error no wallet is named
await asper.POST('/v1/wallets/{wallet_id}/debits', { body: { amount: '5.00' } });
const { data: page } = await asper.GET('/v1/wallets/{wallet_id}/entries', { params: { path, query: { limit: 10 } } });
const next: string | null | undefined = page?.next_cursor;
console.log(next);
`;
