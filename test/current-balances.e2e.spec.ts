/** Balance reads that share a query: what goes wrong for one must not stay wrong for those who come later. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startService, type Service } from './support/service.js';

describe('balances read together', () => {
  let service: Service;
  beforeEach(async () => {
    service = await startService(
      { DATABASE_POOL_SIZE_MAX: '2', DATABASE_STATEMENT_TIMEOUT_MS: '500', DATABASE_CONNECT_TIMEOUT_MS: '500' },
      { quiet: true },
    );
  });
  afterEach(() => service.stop());
  const read = (id: string) => service.api.get<{ balance: string }>(`/v1/wallets/${id}/balance`);

  it('fail in time while the database does not answer, however many there are, and are read again after', async () => {
    const wallets = await Promise.all(['1.00', '2.00', '3.00'].map((balance) => service.api.newWallet(balance)));
    const readAll = () => Promise.all(Array.from({ length: 60 }, (_, i) => read(wallets[i % wallets.length]!.id)));
    for (let round = 1; round <= 2; round++) {
      await service.database.query('BEGIN; LOCK TABLE wallets');
      const started = Date.now();
      // Two queries at a time: these are under way, and the third round of them begins when one has failed.
      const replies = (await Promise.all([readAll(), readAll()])).flat();
      expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([503]));
      expect(Date.now() - started).toBeLessThan(5_000);
      await service.database.query('ROLLBACK');
      const balances = (await readAll()).map(({ body }) => body.balance);
      expect(balances).toEqual(Array.from({ length: 60 }, (_, i) => `${(i % 3) + 1}.00`));
    }
  });

  it('are read again after their connections were lost', async () => {
    const wallet = await service.api.newWallet('1.00');
    await service.database.query('BEGIN; LOCK TABLE wallets');
    const replies = Array.from({ length: 20 }, () => read(wallet.id));
    await new Promise((resolve) => setTimeout(resolve, 100));
    await service.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    await service.database.query('ROLLBACK');
    for (const { status } of await Promise.all(replies)) expect([200, 503]).toContain(status);
    expect((await read(wallet.id)).body.balance).toBe('1.00');
  });
});
