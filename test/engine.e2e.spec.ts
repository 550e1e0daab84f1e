/** The engine under what does not happen every day: overload, locks held by others, postings that break a law. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startService, type Service } from './support/service.js';

describe('the posting engine', () => {
  let service: Service;
  let outsider: pg.Client;
  beforeEach(async () => {
    service = await startService(
      { QUEUE_LENGTH_MAX: '8', DATABASE_LOCK_TIMEOUT_MS: '3000', GROUP_DEADLINE_MS: '3000' },
      { quiet: true },
    );
    outsider = new pg.Client({ connectionString: service.database.url });
    await outsider.connect();
  });
  afterEach(async () => {
    await outsider.end();
    await service.stop();
  });
  const codes = (replies: Array<{ status: number; body: { code: string } }>) =>
    replies.map(({ status, body }) => (status === 201 ? '201' : body.code));

  it('answers 503 at once when the queue is full, and serves again after', async () => {
    const wallet = await service.api.newWallet('1000.00');
    await outsider.query('BEGIN');
    await outsider.query('SELECT FROM wallets WHERE id = $1 FOR UPDATE', [wallet.id]);
    const blocked = service.api.debit(wallet.id, '1.00', {}, 'blocked');
    await delay(100);
    let refusals = 0;
    const rest = Array.from({ length: 40 }, async (_, i) => {
      const sent = Date.now();
      const reply = await service.api.debit(wallet.id, '1.00', {}, `over-${i}`);
      if (reply.status === 503) {
        refusals++;
        expect([reply.body.code, reply.headers.get('retry-after')]).toEqual(['overloaded', '1']);
        expect(Date.now() - sent).toBeLessThan(1_500);
      }
      return reply;
    });
    // 8 wait in the queue behind the lock; every other one is refused while it is still held.
    for (const until = Date.now() + 2_000; refusals < 32 && Date.now() < until;) await delay(5);
    expect(refusals).toBe(32);
    await outsider.query('ROLLBACK');
    const outcomes = codes(await Promise.all([blocked, ...rest]));
    expect(outcomes.filter((outcome) => outcome === 'overloaded')).toHaveLength(32);
    expect(outcomes.filter((outcome) => outcome === '201')).toHaveLength(9);
    expect(codes([await service.api.debit(wallet.id, '1.00', {}, 'over-39')])).toEqual(['201']);
    expect(await service.database.problems()).toEqual([]);
  });

  it('gives up on a lock in time, says that nothing was written, and the key still works', async () => {
    const wallet = await service.api.newWallet('10.00');
    await outsider.query('BEGIN');
    await outsider.query('SELECT FROM wallets WHERE id = $1 FOR UPDATE', [wallet.id]);
    const started = Date.now();
    const reply = await service.api.debit(wallet.id, '1.00', {}, 'held');
    expect([reply.status, reply.body.code]).toEqual([503, 'database_unavailable']);
    expect(Date.now() - started).toBeLessThan(6_000);
    await outsider.query('ROLLBACK');
    expect((await service.api.debit(wallet.id, '1.00', {}, 'held')).status).toBe(201);
    expect((await service.api.wallet(wallet.id)).balance).toBe('9.00');
  });

  it('fails a posting that breaks a law alone; its neighbours in the group go through', async () => {
    const wallets = await Promise.all(Array.from({ length: 4 }, () => service.api.newWallet('10.00')));
    // Somebody turned the triggers off and moved a balance by hand: the ledger refuses to build on it.
    await outsider.query('ALTER TABLE wallets DISABLE TRIGGER USER');
    await outsider.query('UPDATE wallets SET balance = balance + 5 WHERE id = $1', [wallets[1]!.id]);
    await outsider.query('ALTER TABLE wallets ENABLE TRIGGER USER');
    const replies = await Promise.all(wallets.map(({ id }) => service.api.debit(id, '1.00')));
    expect(codes(replies)).toEqual(['201', 'internal_error', '201', '201']);
    expect(replies[1]!.text).not.toMatch(/AW002|entries|history/);
  });

  it('waits out a lost database, and serves again without a restart', async () => {
    const wallet = await service.api.newWallet('100.00');
    await outsider.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, i) => service.api.debit(wallet.id, '1.00', {}, `lost-${i}`)),
    );
    expect(codes(replies)).toEqual(Array(8).fill('201'));
    expect((await service.api.wallet(wallet.id)).balance).toBe('92.00');
  });
});
