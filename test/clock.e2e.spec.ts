/** The test clock: what takes days can be tried at once, in development only. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClockBody } from '../src/clock/clock.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { failedStart, startService, TestDatabase, type Service } from './support/service.js';

const DAY_SECONDS = 86_400;

describe('the test clock', () => {
  let database: TestDatabase;
  let service: Service;
  let other: Service;
  beforeAll(async () => {
    database = await TestDatabase.create();
    const start = () => startService({ TEST_CLOCK: 'on' }, { database });
    [service, other] = await Promise.all([start(), start()]);
  });
  afterEach(async () => expect(await database.problems()).toEqual([]));
  afterAll(async () => {
    await Promise.all([service.stop(), other.stop()]);
    await database.drop();
  });

  const setAhead = (ahead_seconds: number) =>
    service.api.call<ClockBody & Problem>('PUT', '/v1/test-clock', { ahead_seconds });

  it('lets holds run out at once, in every process', async () => {
    const wallet = await service.api.newWallet('100.00');
    const hold = expectStatus(201, await service.api.hold(wallet.id, '40.00'));
    expect(expectStatus(200, await setAhead(8 * DAY_SECONDS)).ahead_seconds).toBe(8 * DAY_SECONDS);
    expect(expectStatus(200, await service.api.get<ClockBody>('/v1/test-clock')).ahead_seconds).toBe(8 * DAY_SECONDS);

    expect((await other.api.readHold(hold.id)).status).toBe('expired');
    expect((await other.api.wallet(wallet.id)).available).toBe('100.00');
    const written = `SELECT count(*)::int AS n FROM outbox WHERE type = 'hold.expired' AND object_id = '${hold.id}'`;
    for (const until = Date.now() + 5_000; Date.now() < until; await delay(50)) {
      if ((await database.query(written))[0].n > 0) break;
    }
    expect(await database.query(written)).toEqual([{ n: 1 }]);
  });

  it('is the time of what is posted then, and of holds that begin then', async () => {
    expectStatus(200, await setAhead(38 * DAY_SECONDS));
    await delay(1_000); // the other process looks
    const wallet = await other.api.newWallet('100.00');
    const { created_at } = expectStatus(201, await other.api.debit(wallet.id, '1.00'));
    const hold = expectStatus(201, await other.api.hold(wallet.id, '1.00'));
    const daysFromNow = (time: string) => (Date.parse(time) - Date.now()) / DAY_SECONDS / 1_000;
    expect(daysFromNow(created_at)).toBeGreaterThan(29);
    expect(daysFromNow(hold.expires_at)).toBeGreaterThan(36);
    expect(hold.status).toBe('active');
  });

  it('is the time of outcomes that keys keep, refusals too', async () => {
    expectStatus(200, await setAhead(38 * DAY_SECONDS));
    const { phone_number } = await service.api.newUser();
    const register = () => service.api.post<Problem>('/v1/users', { phone_number }, 'taken');
    const [first, again] = [await register(), await register()];
    expect([first.status, first.body.code]).toEqual([409, 'phone_number_taken']);
    expect([again.status, again.body.code]).toEqual([409, 'phone_number_taken']);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
  });

  it('never goes back', async () => {
    for (const seconds of [-1, 0, 60, 8 * DAY_SECONDS + 0.5, 1e12]) expect((await setAhead(seconds)).status).toBe(422);
  });

  it('keeps a service from starting that is to run by the real time', async () => {
    expectStatus(200, await setAhead(38 * DAY_SECONDS));
    const { code, said } = await failedStart({ DATABASE_URL: database.url });
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(/did not start\. The clock .* was put 3283200 seconds ahead/),
    ]);
    expect(said).not.toMatch(/\bat /);
  });
});
