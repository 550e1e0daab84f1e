/** Receivers that break HTTP: each answer is a failed attempt, and no more than that; so is one that makes no end. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { WebhookDeliveryBody, WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus } from './support/client.js';
import { startService, type Service } from './support/service.js';

const OK = 'HTTP/1.1 204 No Content\r\n\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

/** What is answered, in this order, one answer to each attempt. */
const BROKEN: Record<string, (socket: Socket) => void> = {
  nonsense: (socket) => socket.write('\0\x01\x02 nonsense\r\n\r\n'),
  'another protocol': (socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
  'endless headers': (socket) => socket.write(`HTTP/1.1 500 No\r\n${'x: y\r\n'.repeat(200_000)}`),
  'a chunk that is none': (socket) => socket.write(`${CHUNKED}zz\r\nnonsense\r\n`),
  'less than it said': (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort'),
  'two lengths': (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
  'a hang-up in the head': (socket) => socket.end('HTTP/1.1 500'),
  'a reset': (socket) => socket.resetAndDestroy(),
  'a hundred times nothing yet': (socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)),
  'NUL and half letters': (socket) =>
    socket.write('HTTP/1.1 500 No\r\nContent-Length: 7\r\n\r\na\0b\xff\xed\xa0\x80', 'latin1'),
  'two answers at once': (socket) => socket.write('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n' + OK + OK),
  'an odd Retry-After': (socket) => socket.write('HTTP/1.1 503 No\r\nRetry-After: -1e309\r\nContent-Length: 0\r\n\r\n'),
};

describe('receivers that break HTTP', () => {
  let service: Service;
  let server: Server;
  let attempts = 0;
  const names = Object.keys(BROKEN);
  beforeAll(async () => {
    service = await startService(
      {
        WEBHOOK_RETRY_SECONDS: Array(names.length + 3)
          .fill('0')
          .join(','),
        WEBHOOK_TIMEOUT_MS: '500',
      },
      { quiet: true },
    );
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        if (!chunk.includes('POST ')) return;
        const name = names[attempts++];
        if (name === undefined) socket.write(OK);
        else BROKEN[name]!(socket);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(async () => {
    server.close();
    await service.stop();
  });

  it('fail, attempt by attempt, and the delivery is taken in the end', async () => {
    const { api } = service;
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const body = { url, types: ['wallet.opened'] };
    const { id } = expectStatus(201, await api.post<WebhookSecretBody>('/v1/webhook-endpoints', body));
    await api.newWallet();
    let delivery: WebhookDeliveryBody | undefined;
    for (const until = Date.now() + 30_000; Date.now() < until; await delay(100)) {
      const reply = await api.get<{ data: WebhookDeliveryBody[] }>(`/v1/webhook-endpoints/${id}/deliveries`);
      delivery = expectStatus(200, reply).data[0];
      if (delivery?.status === 'delivered') break;
    }
    expect(service.process.exitCode).toBe(null);
    expect(delivery).toMatchObject({ status: 'delivered' });
    const told = delivery!.attempts.map(({ error }) => error);
    expect(told.slice(0, -1).every((error) => error !== null)).toBe(true);
    expect(delivery!.attempts.length).toBeGreaterThanOrEqual(names.length);
  }, 60_000);
});
