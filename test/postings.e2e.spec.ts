import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startService, type Service } from './support/service.js';

describe('postings', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  it('credits and debits a wallet in double entry', async () => {
    const wallet = await service.api.newWallet();
    expect((await service.api.credit(wallet.id, '500.00')).body.entries.map((e) => e.amount)).toEqual(['-500.00', '500.00']);
    const { status, body } = await service.api.debit(wallet.id, 150, { description: 'Order 1042', reference: 'order-1042' });
    expect(status).toBe(201);
    expect(body).toMatchObject({ type: 'debit', status: 'posted', amount: '150.00', currency: 'INR', actor: 'operator' });
    expect(body.entries[0]).toEqual({ wallet_id: wallet.id, seq: 2, amount: '-150.00', balance_after: '350.00' });
    expect((await service.api.wallet(wallet.id)).balance).toBe('350.00');
  });
});
