/** The engine under what does not happen every day: overload, locks held by others, postings that break a law. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startService, type Service } from './support/service.js';

describe('the posting engine', () => {
  let service: Service;
  let outsider: pg.Client;
  beforeAll(async () => {
    service = await startService(
      { QUEUE_LENGTH_MAX: '8', DATABASE_LOCK_TIMEOUT_MS: '3000', GROUP_DEADLINE_MS: '3000' },
      { quiet: true },
    );
  });
  beforeEach(async () => {
    outsider = new pg.Client({ connectionString: service.database.url });
    await outsider.connect();
  });
  afterEach(async () => {
    await outsider.end();
    expect(await service.database.problems()).toEqual([]);
  });
  afterAll(() => service.stop());
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
    const move = async (minor: number) => {
      await outsider.query('ALTER TABLE wallets DISABLE TRIGGER USER');
      await outsider.query('UPDATE wallets SET balance = balance + $2 WHERE id = $1', [wallets[1]!.id, minor]);
      await outsider.query('ALTER TABLE wallets ENABLE TRIGGER USER');
    };
    // Somebody turned the triggers off and moved a balance by hand: the ledger refuses to build on it.
    await move(5);
    const replies = await Promise.all(wallets.map(({ id }) => service.api.debit(id, '1.00')));
    expect(codes(replies)).toEqual(['201', 'internal_error', '201', '201']);
    expect(replies[1]!.text).not.toMatch(/AW002|entries|history/);
    await move(-5);
  });

  it('waits out a lost database, and serves again without a restart', async () => {
    const wallet = await service.api.newWallet('100.00');
    const [{ pid: ours }] = await service.database.query('SELECT pg_backend_pid() AS pid');
    await outsider.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), $1)`,
      [ours],
    );
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, i) => service.api.debit(wallet.id, '1.00', {}, `lost-${i}`)),
    );
    expect(codes(replies)).toEqual(Array(8).fill('201'));
    expect((await service.api.wallet(wallet.id)).balance).toBe('92.00');
  });
});

describe('a wallet that somebody else has locked', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({ DATABASE_LOCK_TIMEOUT_MS: '2500' }, { quiet: true });
  });
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());
  /** Far less than any time-out: on a busy machine an answer takes tens of milliseconds. */
  const PROMPT_MS = 1_000;
  const isPending = async (reply: Promise<unknown>) => (await Promise.race([reply, delay(0, 'pending')])) === 'pending';
  const promptly = async <T>(reply: Promise<T>): Promise<T> => {
    const late = Symbol('late');
    const first = await Promise.race([reply, delay(PROMPT_MS, late)]);
    expect(first).not.toBe(late);
    return first as T;
  };
  /** Sends calls in an order that the service sees. */
  const inOrder = async <T>(...calls: Array<() => Promise<T>>): Promise<Array<Promise<T>>> => {
    const replies: Array<Promise<T>> = [];
    for (const call of calls) {
      replies.push(call());
      await delay(100); // it has reached the queue by then, on a busy machine too
    }
    return replies;
  };
  /** What a wallet's history says, oldest first. */
  const history = async (walletId: string) =>
    service.database.query(
      `SELECT e.seq::int, t.description FROM entries e JOIN transactions t ON t.id = e.transaction_id
        WHERE e.wallet_id = $1 ORDER BY e.seq`,
      [walletId],
    );

  it('delays nobody but those who name it, who come through in their order, once', async () => {
    const { api, database } = service;
    const [locked, payee, member, free, other] = await Promise.all(
      ['100.00', undefined, '10.00', '10.00', '10.00'].map((balance) => api.newWallet(balance)),
    );
    const hold = await api.hold(locked!.id, '5.00');
    const pay = () => api.debit(locked!.id, '2.00', { description: 'earlier' }, 'earlier');
    const earlier = await pay();
    expect([hold.status, earlier.status]).toEqual([201, 201]);
    const waiting = await database.locking(locked!.id, async () => {
      expect((await promptly(pay())).body.id).toBe(earlier.body.id); // known by its key, so it need not wait
      const debit = (description: string) => () => api.debit(locked!.id, '1.00', { description }, description);
      const item = (walletId: string) => ({ type: 'debit', wallet_id: walletId, amount: '1.00', description: 'batch' });
      const items = [item(member!.id), item(locked!.id)];
      const replies = await inOrder<{ status: number }>(
        ...[debit('first'), debit('second')],
        () => api.transfer(locked!.id, payee!.id, '3.00', { description: 'transfer' }),
        () => api.debit(payee!.id, '3.00', { description: 'spent' }),
        () => api.batch(items, { atomic: true }),
        () => api.reverse(earlier.body.id, { description: 'reversal' }),
        () => api.capture(hold.body.id, { description: 'capture' }),
        debit('last'),
      );
      for (const wallet of [free!, other!]) {
        expect((await promptly(api.credit(wallet.id, '1.00'))).status).toBe(201);
        expect((await promptly(api.debit(wallet.id, '1.00'))).status).toBe(201);
      }
      expect((await promptly(api.transfer(free!.id, other!.id, '1.00'))).status).toBe(201);
      expect((await promptly(api.wallet(locked!.id))).balance).toBe('98.00');
      for (const reply of replies) expect(await isPending(reply)).toBe(true);
      return replies;
    });
    const statuses = (await Promise.all(waiting)).map(({ status }) => status);
    expect(statuses).toEqual(Array(waiting.length).fill(201));
    const descriptions = (await history(locked!.id)).map(({ description }) => description as string);
    expect(descriptions.slice(1)).toEqual(
      ['earlier', 'first', 'second', 'transfer', 'batch', 'reversal', 'capture', 'last'], // prettier-ignore
    );
    expect((await history(payee!.id)).map(({ description }) => description as string)).toEqual(['transfer', 'spent']);
    expect((await promptly(api.debit(locked!.id, '1.00'))).status).toBe(201);
  });

  it('is not overtaken on the other wallets of a posting by what shares its group', async () => {
    const { api, database } = service;
    const [locked, payee, free] = await Promise.all(['10.00', undefined, '10.00'].map((money) => api.newWallet(money)));
    const outsider = new pg.Client({ connectionString: database.url });
    await outsider.connect();
    try {
      const replies = await database.locking(locked!.id, async () => {
        // The first group waits for the wallet outside; what comes meanwhile is the next group.
        await outsider.query('BEGIN');
        await outsider.query(`SELECT FROM wallets WHERE kind = 'external' FOR UPDATE`);
        const first = api.debit(free!.id, '1.00');
        await service.database.locksAwaited(1);
        const next = await inOrder(
          () => api.transfer(locked!.id, payee!.id, '10.00'),
          () => api.debit(payee!.id, '10.00'),
        );
        await outsider.query('ROLLBACK');
        expect((await promptly(first)).status).toBe(201);
        await delay(100);
        return next;
      });
      expect((await Promise.all(replies)).map(({ status }) => status)).toEqual([201, 201]);
    } finally {
      await outsider.end();
    }
  });

  it('answers 503 in time to those who name it, and to nobody who waited beside them', async () => {
    const { api, database } = service;
    const [locked, second] = await Promise.all([api.newWallet('10.00'), api.newWallet('10.00')]);
    const replies = await database.locking(locked.id, async () => {
      const outsider = new pg.Client({ connectionString: database.url });
      await outsider.connect();
      await outsider.query('BEGIN');
      await outsider.query('SELECT FROM wallets WHERE id = $1 FOR UPDATE', [second.id]);
      const sent = await inOrder(
        () => api.debit(locked.id, '1.00', {}, 'alone'),
        () => api.debit(second.id, '1.00', {}, 'beside'),
        () => api.debit(locked.id, '1.00', {}, 'together'),
      );
      await outsider.end();
      return Promise.all(sent);
    });
    expect(replies.map(({ status, body }) => (status === 201 ? 'posted' : body.code))).toEqual([
      ...['database_unavailable', 'posted', 'database_unavailable'],
    ]);
    const again = await Promise.all(['alone', 'beside'].map((key) => api.debit(locked.id, '1.00', {}, key)));
    expect(again.map(({ status }) => status)).toEqual([201, 422]);
    expect((await api.wallet(second.id)).balance).toBe('9.00');
  });

  it('does not keep a service from ending, which first answers those who wait', async () => {
    const start = () => startService({ DATABASE_LOCK_TIMEOUT_MS: '1500' }, { database: service.database, quiet: true });
    const [first, second] = await Promise.all([start(), start()]);
    for (const [ending, isUnlocked] of [
      [first, true],
      [second, false],
    ] as const) {
      const wallet = await ending.api.newWallet('10.00');
      const exit = once(ending.process, 'exit');
      let reply!: ReturnType<typeof ending.api.debit>;
      await service.database.locking(wallet.id, async () => {
        reply = ending.api.debit(wallet.id, '1.00');
        await delay(200);
        ending.process.kill('SIGTERM');
        await delay(200);
        expect([ending.process.exitCode, await isPending(reply)]).toEqual([null, true]);
        if (!isUnlocked) await exit;
      });
      expect((await reply).status).toBe(isUnlocked ? 201 : 503);
      expect(await exit).toEqual([0, null]);
    }
  });
});
