/** The example in docs/examples: a code reaches the provider's API once, signed for, and somebody else's does not. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expectStatus } from './support/client.js';
import { newSecret, startSecured, type Tokens } from './support/secured.js';
import type { Service } from './support/service.js';

describe('the example gateway', () => {
  /** What the provider was asked to send, and what it answers. */
  const messages: Array<{ authorization?: string; url?: string; form: URLSearchParams }> = [];
  let answers: number[] = [];
  let provider: Server;
  let gateway: ChildProcess;
  let gatewayUrl: string;
  let service: Service;
  beforeAll(async () => {
    provider = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { authorization } = request.headers;
        messages.push({ authorization, url: request.url, form: new URLSearchParams(body) });
        response.writeHead(answers.shift() ?? 201).end('{}');
      });
    }).listen(0, '127.0.0.1');
    await once(provider, 'listening');
    const secret = newSecret();
    gateway = spawn(process.execPath, ['docs/examples/sms-gateway.mjs'], {
      env: {
        ...{ PORT: '0', CODE_WEBHOOK_SECRET: secret, TWILIO_FROM: '+15005550006' },
        ...{ TWILIO_ACCOUNT_SID: 'AC1', TWILIO_AUTH_TOKEN: 'token' },
        TWILIO_URL: `http://127.0.0.1:${(provider.address() as AddressInfo).port}`,
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [line] = (await once(gateway.stdout!, 'data')) as [Buffer];
    gatewayUrl = /http:\S+/.exec(line.toString())![0];
    service = await startSecured({
      ...{ CODE_SENDER: 'webhook', CODE_WEBHOOK_URL: gatewayUrl, CODE_WEBHOOK_SECRET: secret, SIGN_UP: 'open' },
    });
  });
  afterAll(async () => {
    await service.stop();
    gateway.kill();
    provider.close();
  });

  it('hands a code to the provider, also where that fails at first, and the code signs in', async () => {
    answers = [503];
    const asked = await service.api.post<{ id: string }>('/v1/auth/codes', { phone_number: '+14155550123' });
    for (const until = Date.now() + 5_000; messages.length < 2 && Date.now() < until;) await delay(20);
    const { authorization, url, form } = messages.at(-1)!;
    expect(url).toBe('/2010-04-01/Accounts/AC1/Messages.json');
    expect(Buffer.from(authorization!.slice('Basic '.length), 'base64').toString()).toBe('AC1:token');
    expect([form.get('To'), form.get('From')]).toEqual(['+14155550123', '+15005550006']);
    const code = /\d{6}/.exec(form.get('Body')!)![0];
    const body = { code_id: expectStatus(201, asked).id, code };
    expect(expectStatus(201, await service.api.post<Tokens>('/v1/auth/tokens', body)).access_token).toMatch(/^ey/);
  });

  it('sends nothing that the wallet has not signed', async () => {
    const before = messages.length;
    const forged = {
      'webhook-id': 'x',
      'webhook-timestamp': String(Math.floor(Date.now() / 1_000)),
      'webhook-signature': 'v1,AAAA',
    };
    const body = JSON.stringify({ type: 'one_time_code', phone_number: '+14155550199', code: '000000' });
    expect((await fetch(gatewayUrl, { method: 'POST', headers: forged, body })).status).toBe(401);
    expect(messages).toHaveLength(before);
  });
});
