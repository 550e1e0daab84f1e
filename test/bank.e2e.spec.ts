import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { bank } from './scenarios/bank.js';
import { startService, type Service } from './support/service.js';

describe.each(['pessimistic', 'optimistic'])('the bank test, %s locking, two processes', (LOCKING) => {
  let services: Service[];
  beforeAll(async () => {
    const first = await startService({ LOCKING });
    services = [first, await startService({ LOCKING }, { database: first.database })];
  });
  afterAll(async () => {
    await services[1]!.stop();
    await services[0]!.stop();
  });

  it('keeps every total, floor and sequence over 8 wallets', async () => {
    const { findings, snapshots } = await bank(services, {
      wallets: 8,
      transfersEach: 40,
      snapshots: LOCKING === 'pessimistic' ? 500 : 50,
    });
    expect(findings).toEqual([]);
    expect(snapshots).toBeGreaterThanOrEqual(50);
  });

  it('keeps every total, floor and sequence over 1,000 wallets', async () => {
    const { findings } = await bank(services, {
      wallets: 1_000,
      transfersEach: 40,
      snapshots: LOCKING === 'pessimistic' ? 500 : 50,
    });
    expect(findings).toEqual([]);
  });
});
