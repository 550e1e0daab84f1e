/** What operators ask over HTTP: the trial balance, and the check of a small ledger. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CheckBody, TrialBalanceBody } from '../src/ledger/ledger.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

describe('the ledger', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService({ DEFAULT_MINIMUM_BALANCE: '0', EXTERNAL_STRIPE: '1' })));
  afterAll(() => service.stop());

  const trialBalance = async () =>
    expectStatus(200, await service.api.get<TrialBalanceBody>('/v1/ledger/trial-balance'));
  const check = (query = '', { api } = service) => api.get<CheckBody & Problem>(`/v1/ledger/check${query}`);

  it('is balanced and sound while it is empty', async () => {
    expect(await trialBalance()).toEqual({ is_balanced: true, at: expect.any(String), currencies: [] });
    expect((await check()).body).toEqual({
      ...{ is_sound: true, entries: 0, wallets: 0, transactions: 0, broken_rows: 0, findings: [] },
    });
  });

  it('adds up by currency: people, the house, the world outside as one, and zero', async () => {
    const { api } = service;
    const a = await api.newWallet('100.00');
    const b = await api.newWallet('50.00');
    const house = expectStatus(201, await api.post<{ id: string }>('/v1/wallets', { label: 'fees' }));
    await api.newWallet('700', { currency: 'JPY' });
    expectStatus(201, await api.transfer(a.id, house.id, '2.50'));
    expectStatus(201, await api.debit(b.id, '7.05'));
    // A second process, so that a second wallet stands for the world outside.
    const other = await startService({ EXTERNAL_STRIPE: '3' }, { database: service.database });
    expectStatus(201, await other.api.credit(b.id, '1.00'));
    await other.stop();
    expect(await trialBalance()).toEqual({
      is_balanced: true,
      at: expect.stringMatching(/Z$/),
      currencies: [
        {
          currency: 'INR',
          people: { wallets: 2, balance: '141.45', held: '0.00' },
          house: { wallets: 1, balance: '2.50', held: '0.00' },
          external: '-143.95',
          total: '0.00',
          total_debit: '160.55',
          total_credit: '160.55',
          is_balanced: true,
        },
        {
          currency: 'JPY',
          people: { wallets: 1, balance: '700', held: '0' },
          house: { wallets: 0, balance: '0', held: '0' },
          external: '-700',
          total: '0',
          total_debit: '700',
          total_credit: '700',
          is_balanced: true,
        },
      ],
    });
  });

  it('says where it does not add up, and the check names the row', async () => {
    const { database } = service;
    const [{ id }] = await database.query(`SELECT id FROM wallets WHERE label = 'fees'`);
    const add = (minor: number) =>
      database.query(`SET session_replication_role = 'replica';
        UPDATE wallets SET balance = balance + ${minor} WHERE id = '${id}';
        SET session_replication_role = 'origin'`);
    await add(1);
    expect(await trialBalance()).toMatchObject({
      is_balanced: false,
      currencies: [
        { currency: 'INR', total: '0.01', is_balanced: false },
        { currency: 'JPY', is_balanced: true },
      ],
    });
    const { body } = await check();
    expect(body).toMatchObject({ is_sound: false, broken_rows: 1 });
    expect(body.findings).toEqual([
      {
        law: 'balance is history',
        table: 'wallets',
        row: id,
        detail: 'balance is 251, its last entry says 250',
      },
    ]);
    expect((await check(`?wallet_id=${id}`)).body.is_sound).toBe(false);
    await add(-1);
    expect((await check()).body).toMatchObject({ is_sound: true, wallets: 7, transactions: 6, entries: 12 });
    expect((await check(`?wallet_id=${id}`)).body).toMatchObject({ is_sound: true, wallets: 1, entries: 1 });
  });

  it('is sound at any moment while money moves', async () => {
    const { api } = service;
    const a = await api.newWallet('1000.00');
    const b = await api.newWallet('1000.00');
    let isMoving = true;
    const movers = Array.from({ length: 8 }, async (_, i) => {
      while (isMoving)
        expectStatus(201, await (i % 2 ? api.transfer(a.id, b.id, '0.01') : api.transfer(b.id, a.id, '0.01')));
    });
    const seen = new Set<number>();
    for (let i = 0; i < 10; i++) {
      const { body } = await check();
      expect(body).toMatchObject({ is_sound: true, findings: [] });
      seen.add(body.entries);
      expect((await trialBalance()).is_balanced).toBe(true);
    }
    isMoving = false;
    await Promise.all(movers);
    expect(seen.size).toBeGreaterThan(1);
  });

  it('is checked over HTTP only up to a size, and one check at a time', async () => {
    const small = await startService({ LEDGER_CHECK_ENTRIES_MAX: '5' }, { database: service.database });
    try {
      expect(await check('', small)).toMatchObject({ status: 422, body: { code: 'ledger_too_large' } });
      const [{ id }] = await service.database.query(`SELECT id FROM wallets WHERE label = 'fees'`);
      expect((await check(`?wallet_id=${id}`, small)).status).toBe(200);
    } finally {
      await small.stop();
    }
    const replies = await Promise.all([check(), check(), check(`?wallet_id=${randomUUID()}`)]);
    expect(replies.slice(0, 2).map(({ status }) => status)).toEqual([200, 200]);
    expect([404, 503]).toContain(replies[2].status);
    expect((await check(`?wallet_id=${randomUUID()}`)).body.code).toBe('wallet_not_found');
    expect((await check('?wallet_id=17')).body.code).toBe('validation_failed');
  });
});
