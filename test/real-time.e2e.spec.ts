/**
 * R17, real time: what was answered before another call began is before it in the history, and a read sees all that
 * was answered before it. Clients talk to two processes; each notes when it sent and when it heard.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../torture/stage.js';
import { expectStatus } from './support/client.js';
import { startService, TestDatabase, type Service } from './support/service.js';

const OPERATIONS = Number(process.env.REAL_TIME_OPERATIONS ?? 3_000);
const CLIENTS = 32;

interface Seen {
  sentAt: number;
  heardAt: number;
  /** The wallet's number of entries: after a debit, or as a read told it. */
  seq: number;
  isRead: boolean;
}

describe('real time', () => {
  let database: TestDatabase;
  let services: Service[];
  beforeAll(async () => {
    database = await TestDatabase.create();
    services = await Promise.all([1, 2].map(() => startService({}, { database })));
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await database.drop();
  });

  it(`is kept over ${OPERATIONS} operations on 4 wallets through two processes`, async () => {
    const wallets = await Promise.all(Array.from({ length: 4 }, () => services[0]!.api.newWallet('1000000.00')));
    const seen = wallets.map((): Seen[] => []);
    let left = OPERATIONS;
    await Promise.all(
      Array.from({ length: CLIENTS }, async (_, c) => {
        while (left-- > 0) {
          const w = Math.floor(Math.random() * wallets.length);
          const { api } = services[Math.random() < 0.5 ? 0 : 1]!;
          const isRead = c % 3 === 0;
          const sentAt = performance.now();
          const seq = isRead
            ? (await api.wallet(wallets[w]!.id)).entry_count
            : expectStatus(201, await api.debit(wallets[w]!.id, '0.01')).entries[0]!.seq!;
          seen[w]!.push({ sentAt, heardAt: performance.now(), seq, isRead });
        }
      }),
    );
    expect(seen.flatMap(violations)).toEqual([]);
    const done = seen.reduce((n, list) => n + list.length, 0);
    expect(done).toBe(OPERATIONS);
    figure(`${done} operations, 0 violations`);
    expect(await database.problems()).toEqual([]);
  }, 300_000);
});

/** In the order of sending, nobody may see less than the most that anybody had been told by then. */
function violations(list: Seen[]): string[] {
  const bySent = [...list].sort((a, b) => a.sentAt - b.sentAt);
  const byHeard = [...list].sort((a, b) => a.heardAt - b.heardAt);
  const found: string[] = [];
  let heard = 0;
  let most = 0;
  for (const { sentAt, seq, isRead } of bySent) {
    for (; byHeard[heard]!.heardAt < sentAt; heard++) most = Math.max(most, byHeard[heard]!.seq);
    if (isRead ? seq < most : seq <= most) found.push(`${isRead ? 'read' : 'posted'} ${seq} after ${most} was told`);
  }
  return found;
}
