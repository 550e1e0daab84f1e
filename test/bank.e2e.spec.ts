/** R1, the bank test: 40 snapshots under load here, BANK_SNAPSHOTS=1000 for the long run. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../torture/stage.js';
import { bank } from './scenarios/bank.js';
import { startService, TestDatabase, type Service } from './support/service.js';

const SNAPSHOTS = Number(process.env.BANK_SNAPSHOTS ?? 40);

describe.each(['pessimistic', 'optimistic'])('the bank test, %s locking, two processes', (LOCKING) => {
  let services: Service[];
  beforeAll(async () => {
    const database = await TestDatabase.create();
    services = await Promise.all([1, 2].map(() => startService({ LOCKING }, { database })));
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await services[0]!.database.drop();
  });

  it.each([8, 1_000])(
    'keeps every total, floor and sequence over %s wallets',
    async (wallets) => {
      const { findings, transfers, snapshots } = await bank(services, {
        ...{ wallets, transfersEach: 16, snapshots: SNAPSHOTS },
      });
      figure(`${LOCKING}, ${wallets} wallets: ${transfers} transfers, ${snapshots} snapshots meanwhile`);
      expect(findings).toEqual([]);
      expect(snapshots).toBeGreaterThanOrEqual(SNAPSHOTS);
    },
    600_000,
  );
});
