/**
 * S10: where webhooks may go. The sender is the real one; what is not is the resolver, whose names stand for what a hostile
 * owner of a name would have them stand for.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import dns from 'node:dns';
import { getEventListeners, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../src/config.js';
import { checkedLookup, urlProblem } from '../src/webhooks/webhook.addresses.js';
import { WebhookSender } from '../src/webhooks/webhook.sender.js';
import { reachOf } from '../src/webhooks/webhooks.config.js';

/** Addresses that are nobody's public service: of this machine, its networks, its cloud, or another's in disguise. */
const HOSTILE_ADDRESSES = [
  ...['127.0.0.1', '127.8.9.1', '0.0.0.0', '10.0.0.5', '172.16.0.1', '172.31.255.254', '192.168.1.1', '100.64.0.1'],
  ...['169.254.169.254', '169.254.170.2', '192.0.0.192', '198.18.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'],
  ...['192.0.2.1', '198.51.100.7', '203.0.113.9', '::', '::1', '::ffff:127.0.0.1', '::ffff:169.254.169.254'],
  ...['::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::7f00:1', '2002:7f00:1::1', '2001:0:1::1', '2001:db8::1'],
  ...['fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd00:ec2::254', 'ff02::1', '100::1', 'fec0::1', '5f00::1'],
];

/** Spellings of such addresses, and other tricks, in the URL itself. */
const HOSTILE_URLS = [
  ...[
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://0/',
    'https://127.0.0.1./',
  ],
  ...[
    'https://0xa9fea9fe/latest/meta-data/',
    'https://169.254.43518/',
    'https://１２７.０.０.１/',
    'https://①②⑦.0.0.1/',
  ],
  ...[
    'https://[::ffff:7f00:1]/',
    'https://[0:0:0:0:0:ffff:a9fe:a9fe]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::]/',
  ],
  ...['https://localhost/', 'https://LOCALHOST./', 'https://a.localhost/', 'https://metadata.google.internal/'],
  ...[
    'https://printer.local/',
    'https://1.0.0.127.in-addr.arpa/',
    'https://user:secret@example.com/',
    'https://user@127.0.0.1/',
  ],
  ...['https://example.com#@127.0.0.1/', 'http://example.com/', 'ftp://example.com/', 'file:///etc/passwd'],
  ...['gopher://127.0.0.1:6379/_FLUSHALL', 'unix:/var/run/docker.sock', 'javascript:alert(1)', '//127.0.0.1/', ''],
];

describe('addresses of webhooks', () => {
  let server: Server;
  let port: number;
  let requests = 0;
  /** Every connection that this process tries to make, as Node tells of them. */
  const connections: string[] = [];
  const watch = (message: unknown) => {
    const { socket } = message as { socket: Socket };
    socket.on('connectionAttempt', (address: string) => connections.push(address));
    socket.on('connect', () => connections.push(`${socket.remoteAddress}`));
  };
  beforeAll(async () => {
    subscribe('net.client.socket', watch);
    server = createServer((_, response) => {
      requests += 1;
      response.setHeader('connection', 'close').writeHead(204).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  beforeEach(() => {
    connections.length = 0;
    requests = 0;
  });
  afterAll(() => {
    unsubscribe('net.client.socket', watch);
    server.close();
  });

  const config = (changes: Partial<Config> = {}) =>
    ({ production: true, webhookAllowedNetworks: [] as string[], webhookTimeoutMs: 2_000, ...changes }) as Config;
  /** A resolver whose every name stands for these addresses, one list after the other. */
  function resolving(...answers: string[][]) {
    const asked: string[] = [];
    const resolve = ((name: string, _: object, done: (error: null, found: object[]) => void) => {
      const found = answers[Math.min(asked.length, answers.length - 1)]!;
      asked.push(name);
      done(
        null,
        found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    }) as unknown as typeof dns.lookup;
    return { asked, resolve };
  }
  const send = (sender: WebhookSender, url: string) =>
    sender.send({ url, secrets: [Buffer.alloc(32)], eventId: 'event', body: '{}' }, new AbortController().signal);

  it(`lead nowhere else: ${HOSTILE_URLS.length} hostile URLs, refused when given and when sent to`, async () => {
    const sender = new WebhookSender(config(), resolving(['127.0.0.1']).resolve);
    for (const url of HOSTILE_URLS) {
      expect([url, typeof urlProblem(url, reachOf(config()))]).toEqual([url, 'string']);
      expect([url, (await send(sender, url)).error]).toEqual([url, expect.stringContaining('the URL must')]);
    }
    expect(connections).toEqual([]);
  });

  it(`lead nowhere else: names that stand for ${HOSTILE_ADDRESSES.length} hostile addresses, alone or among good ones`, async () => {
    for (const address of HOSTILE_ADDRESSES) {
      const bare = address.replace(/%.*/, '');
      const literal = bare.includes(':') ? `https://[${bare}]/` : `https://${bare}/`;
      expect([address, urlProblem(literal, reachOf(config()))]).toEqual([
        address,
        expect.stringMatching(/^must be a public address, or .*WEBHOOK_ALLOWED_NETWORKS/),
      ]);
      for (const found of [[address], ['93.184.216.34', address]]) {
        const sender = new WebhookSender(config(), resolving(found).resolve);
        const { error } = await send(sender, `https://example.com:${port}/`);
        expect(error).toBe(`example.com stands for ${address}, which is not public`);
      }
    }
    expect(connections).toEqual([]);
  });

  it('are looked up once for a connection, which goes to what was checked; a name that changes its mind gains nothing', async () => {
    const { asked, resolve } = resolving(['127.0.0.1'], ['127.0.0.2']);
    const sender = new WebhookSender(config({ production: false, webhookAllowedNetworks: ['127.0.0.1/32'] }), resolve);
    expect((await send(sender, `http://example.com:${port}/`)).statusCode).toBe(204);
    expect([asked.length, requests, new Set(connections)]).toEqual([1, 1, new Set(['127.0.0.1'])]);
    connections.length = 0;
    expect((await send(sender, `http://example.com:${port}/`)).error).toBe(
      'example.com stands for 127.0.0.2, which is not public',
    );
    expect([asked.length, requests, connections]).toEqual([2, 1, []]);
  });

  it('are looked up once for all that wait for a name; names that do not resolve leave the others a thread', async () => {
    const asked: Array<[name: string, answer: () => void]> = [];
    const resolve = ((name: string, _: object, done: (error: null, found: object[]) => void) =>
      asked.push([name, () => done(null, [{ address: '93.184.216.34', family: 4 }])])) as unknown as typeof dns.lookup;
    const lookUp = checkedLookup(reachOf(config()), resolve);
    const told: string[] = [];
    const look = (name: string) => lookUp(name, {}, (_, address) => told.push(`${name} ${address as string}`));
    const names = () => asked.map(([name]) => name);
    const answer = (name: string) => asked.splice(names().indexOf(name), 1)[0]![1]();

    for (const name of ['slow', 'slow', 'mute', 'slow', 'good']) look(name);
    expect(names()).toEqual(['slow', 'mute']); // as many as libuv has threads for
    await delay(1_000);
    answer('slow');
    answer('mute');
    answer('good');
    expect(told).toEqual(['slow', 'slow', 'slow', 'mute', 'good'].map((name) => `${name} 93.184.216.34`));
    for (const name of ['slow', 'mute', 'good']) look(name);
    expect(names()).toEqual(['slow', 'good']); // one that is known to be slow at a time
    answer('good');
    look('good');
    expect(names()).toEqual(['slow', 'good']);
    for (const name of ['good', 'slow', 'mute']) answer(name);
    for (const name of ['slow', 'mute']) look(name);
    expect(names()).toEqual(['slow', 'mute']); // neither is any more
  });

  it('leave nothing with the signal that ends their attempts, which lasts as long as the endpoint', async () => {
    const { resolve } = resolving(['127.0.0.1']);
    const sender = new WebhookSender(config({ production: false, webhookAllowedNetworks: ['127.0.0.1/32'] }), resolve);
    const { signal } = new AbortController();
    const shipment = { url: `http://example.com:${port}/`, secrets: [Buffer.alloc(32)], eventId: 'event', body: '{}' };
    for (let n = 0; n < 3; n++) expect((await sender.send(shipment, signal)).statusCode).toBe(204);
    // Also of what Node itself keeps there, such as signals that depend on it.
    const kept = Object.getOwnPropertySymbols(signal)
      .map((name) => (signal as never as Record<symbol, { size?: number } | null | undefined>)[name])
      .filter((value) => typeof value === 'object' && value !== null && (value.size ?? 0) > 0);
    expect([getEventListeners(signal, 'abort').length, kept.length]).toEqual([0, 0]);
  });

  it('may have names of the house where networks of the house are allowed, and go to those networks alone', async () => {
    const inside = config({ webhookAllowedNetworks: ['10.0.0.0/8'] });
    for (const url of ['https://hooks.corp.internal/', 'https://hooks.svc.cluster.local/']) {
      expect(urlProblem(url, reachOf(config()))).toMatch(/WEBHOOK_ALLOWED_NETWORKS/);
      expect(urlProblem(url, reachOf(inside))).toBeUndefined();
      const sender = new WebhookSender(inside, resolving(['192.168.1.1']).resolve);
      expect((await send(sender, url)).error).toMatch(/192\.168\.1\.1, which is not public/);
    }
    for (const url of ['https://localhost/', 'https://a.localhost/', 'https://1.0.0.10.in-addr.arpa/'])
      expect(typeof urlProblem(url, reachOf(inside))).toBe('string');
  });

  it('of a network that is named in the configuration are open, and only those', async () => {
    const allowed = config({ webhookAllowedNetworks: ['10.0.0.0/8', 'fd00::/8'] });
    expect(urlProblem('https://10.1.2.3/', reachOf(allowed))).toBeUndefined();
    expect(urlProblem('https://[fd00::7]/', reachOf(allowed))).toBeUndefined();
    for (const url of ['https://127.0.0.1/', 'https://192.168.1.1/', 'https://[::1]/', 'https://localhost/'])
      expect(urlProblem(url, reachOf(allowed))).toMatch(/public/);
    for (const url of ['https://example.com/hook?a=1', 'https://93.184.216.34:8443/', 'https://[2606:4700::1111]/'])
      expect(urlProblem(url, reachOf(config()))).toBeUndefined();
  });
});
