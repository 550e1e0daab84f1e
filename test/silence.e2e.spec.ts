/** A network that swallows what is sent: nobody hangs up, and nothing comes back. The pool is whole again soon after. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { expectStatus } from './support/client.js';
import { startService, TestDatabase, type Service } from './support/service.js';

const STATEMENT_TIMEOUT_MS = 1_000;

describe('connections that have gone silent', () => {
  let database: TestDatabase;
  let proxy: Server;
  let service: Service;
  /** Those that swallow everything from now on. */
  const open = new Map<Socket, Socket>();
  beforeAll(async () => {
    database = await TestDatabase.create();
    const target = new URL(database.url);
    proxy = createServer((client) => {
      const upstream = connect(Number(target.port), target.hostname);
      open.set(client, upstream);
      client.pipe(upstream).pipe(client);
      for (const socket of [client, upstream]) socket.on('error', () => undefined);
      client.on('close', () => upstream.destroy());
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const url = new URL(database.url);
    url.port = String((proxy.address() as AddressInfo).port);
    service = await startService(
      {
        DATABASE_URL: url.href,
        DATABASE_STATEMENT_TIMEOUT_MS: String(STATEMENT_TIMEOUT_MS),
        DATABASE_POOL_SIZE_MAX: '3',
      },
      { database, quiet: true },
    );
  });
  afterAll(async () => {
    await service.stop();
    proxy.close();
    await database.drop();
  });

  it('are given up with the query that waits there, for reads and postings alike', async () => {
    const wallet = await service.api.newWallet('100.00');
    await Promise.all(Array.from({ length: 6 }, () => service.api.wallet(wallet.id))); // all three are open
    for (const [client, upstream] of open) {
      client.unpipe().resume();
      upstream.unpipe().resume();
    }
    const startedAt = performance.now();
    const replies = await Promise.all([
      ...Array.from({ length: 6 }, () => service.api.get(`/v1/wallets/${wallet.id}`)),
      service.api.debit(wallet.id, '1.00', {}, 'once'),
    ]);
    // Answered in their time, from connections made anew or with 503: the client's own clock is a second behind the server's, and
    // what waited for a connection has its turn then.
    expect(performance.now() - startedAt).toBeLessThan(STATEMENT_TIMEOUT_MS + 1_000 + 2_000);
    expect(replies.filter(({ status }) => ![200, 201, 503].includes(status))).toEqual([]);
    expectStatus(201, await service.api.debit(wallet.id, '1.00', {}, 'once'));
    for (let n = 0; n < 12; n++) expect((await service.api.wallet(wallet.id)).balance).toBe('99.00');
    expect(await database.problems()).toEqual([]);
  }, 30_000);
});
