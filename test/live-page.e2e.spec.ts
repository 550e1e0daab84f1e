/** The page in docs/examples shows a balance as it moves, in a real browser, from another origin than the wallet's. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Browser, findChromium } from './support/browser.js';
import { expectStatus } from './support/client.js';
import { insertKey } from './support/keys.js';
import { startSecured } from './support/secured.js';
import { startService, type Service } from './support/service.js';

const chromium = findChromium();

describe('the live page', () => {
  let site: Server;
  let origin: string;
  let service: Service;
  let browser: Browser | undefined;
  beforeAll(async () => {
    const page = readFileSync('docs/examples/live-balance.html');
    site = createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(page));
    await once(site.listen(0, '127.0.0.1'), 'listening');
    origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
    service = await startService({ CORS_ORIGINS: origin });
  });
  afterEach(async () => {
    await browser?.stop();
    browser = undefined;
    expect(await service.database.problems()).toEqual([]);
  });
  afterAll(async () => {
    await service.stop();
    site.closeAllConnections();
    site.close();
  });

  /** Opens the page for a wallet, as a link to it does. */
  async function open(parameters: Record<string, string>): Promise<Browser> {
    const hash = new URLSearchParams({ base: service.api.url, ...parameters });
    return (browser = await Browser.open(chromium!, `${origin}/#${hash}`));
  }
  const changeCount = (page: Browser) => page.evaluate<number>(`document.querySelectorAll('#changes li').length`);
  /** Nothing is said of a browser that is not here. */
  const sentence = (name: string, says: () => Promise<void>) =>
    it(name, async () => {
      if (!chromium) return console.log('skipped: Chromium is not here');
      await says();
    });

  sentence('shows how a wallet stands, and each change within two seconds', async () => {
    const { api } = service;
    const wallet = await api.newWallet('100.00');
    const page = await open({ wallet: wallet.id });
    await page.untilText('#balance', '100.00', 20_000);
    expect([await page.text('#status'), await page.text('#currency')]).toEqual(['live', 'INR']);
    expect(await changeCount(page)).toBe(0);

    expectStatus(201, await api.debit(wallet.id, '30.50'));
    expect(await page.untilText('#balance', '69.50')).toBeLessThan(2_000);
    expectStatus(201, await api.hold(wallet.id, '9.50'));
    expect(await page.untilText('#available', '60.00')).toBeLessThan(2_000);
    expect([await page.text('#balance'), await page.text('#held')]).toEqual(['69.50', '9.50']);
    const changes = await page.evaluate<string[]>(
      `[...document.querySelectorAll('#changes li')].map(({ children }) => children[1].textContent + ' ' + children[2].textContent)`,
    );
    expect(changes).toEqual(['hold.created INR 69.50', 'transaction.posted INR 69.50']);
  });

  sentence('keeps the last twenty changes', async () => {
    const { api } = service;
    const wallet = await api.newWallet('100.00');
    const page = await open({ wallet: wallet.id });
    await page.untilText('#balance', '100.00', 20_000);
    for (let i = 0; i < 25; i++) expectStatus(201, await api.debit(wallet.id, '1.00'));
    await page.untilText('#balance', '75.00');
    expect(await changeCount(page)).toBe(20);
    expect(await page.text('#changes li:last-child span:last-child')).toBe('INR 94.00');
  });

  sentence('comes back after the wallet was away, and misses nothing', async () => {
    const wallet = await service.api.newWallet('100.00');
    const { database } = service;
    const first = await startService({ CORS_ORIGINS: origin }, { database });
    const page = await open({ wallet: wallet.id, base: first.api.url });
    await page.untilText('#balance', '100.00', 20_000);
    await first.stop();
    await page.untilText('#status', /^reconnecting/);
    for (let i = 0; i < 3; i++) expectStatus(201, await service.api.debit(wallet.id, '10.00'));
    const { port: PORT } = new URL(first.api.url);
    const second = await startService({ CORS_ORIGINS: origin, PORT }, { database });
    try {
      await page.untilText('#balance', '70.00', 20_000);
      expect(await page.text('#status')).toBe('live');
      expect(await changeCount(page)).toBe(3);
    } finally {
      await second.stop();
    }
  });

  sentence('stops with the reason where it is refused, and needs a key where the wallet asks for one', async () => {
    const wallet = await service.api.newWallet('5.00');
    const { database } = service;
    const secured = await startSecured({ CORS_ORIGINS: origin }, { database });
    try {
      const page = await open({ wallet: wallet.id, base: secured.api.url });
      await page.untilText('#status', /^Stopped: /, 20_000);
      const { secret } = await insertKey(database, { scopes: ['wallets:read'] });
      const fill = (values: Record<string, string>) =>
        page.evaluate(
          `for (const [name, value] of Object.entries(${JSON.stringify(values)})) document.querySelector('form')[name].value = value;
           document.querySelector('button').click()`,
        );
      await fill({ token: secret });
      await page.untilText('#balance', '5.00');
      await fill({ wallet: randomUUID() });
      await page.untilText('#status', 'Stopped: No such wallet');
      expect(await page.text('#balance')).toBe('–');
    } finally {
      await secured.stop();
    }
  });
});
