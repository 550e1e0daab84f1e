/** Schedules when things go wrong: processes that die, a database that refuses, one schedule among many. Nothing twice. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expectStatus } from './support/client.js';
import { DAY_MS, Schedules } from './support/schedules.js';
import { startService, TestDatabase, type Service } from './support/service.js';

const ENV = { TEST_CLOCK: 'on' };

describe('schedules', () => {
  /** Those that run. */
  const services: Service[] = [];
  let database: TestDatabase;
  let schedules: Schedules;
  beforeAll(async () => {
    database = await TestDatabase.create();
  });
  beforeEach(async () => {
    schedules = new Schedules(services[0] ?? (await another()));
  });
  afterEach(async () => {
    for (const other of services.splice(1)) await other.stop();
    expect(await schedules.problems()).toEqual([]);
    // The clock goes on with the next test, and these do not.
    await database.query(
      `UPDATE schedules SET status = 'cancelled', next_at = NULL, due_at = NULL WHERE status = 'active'`,
    );
  });
  afterAll(async () => {
    expect(await database.check()).toEqual([]);
    for (const service of services) await service.stop();
    await database.drop();
  });

  /** One more process on the database. */
  async function another(): Promise<Service> {
    const service = await startService(ENV, { database, quiet: true });
    services.push(service);
    return service;
  }

  async function kill(service: Service): Promise<void> {
    services.splice(services.indexOf(service), 1);
    const exit = once(service.process, 'exit');
    service.process.kill('SIGKILL');
    await exit;
  }

  /** Lets no outcome of an occurrence be written down, so that each process gets as far as the posting. */
  const refuseOutcomes = () =>
    database.query(`
      CREATE FUNCTION refuse_outcome() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
      CREATE TRIGGER refuse_outcome BEFORE UPDATE ON schedules FOR EACH ROW
        WHEN (NEW.next_n > OLD.next_n) EXECUTE FUNCTION refuse_outcome()`);
  const allowOutcomes = () => database.query('DROP TRIGGER refuse_outcome ON schedules; DROP FUNCTION refuse_outcome');
  const isPosted = async (id: string, times = 1) => {
    for (const until = Date.now() + 15_000; Date.now() < until; await delay(20))
      if ((await schedules.posted(id)).length >= times) return;
    throw new Error('it was not posted');
  };

  it('whose process is killed between posting and writing it down are posted once', async () => {
    const made = await schedules.add();
    const cancelled = await schedules.add();
    await refuseOutcomes();
    await schedules.putClock(made.next_at!);
    await isPosted(made.id);
    await isPosted(cancelled.id);
    expect((await schedules.read(made.id)).counts.posted).toBe(0);
    await kill(services[0]!);

    const second = await another();
    schedules = new Schedules(second);
    expectStatus(201, await schedules.do(cancelled.id, 'cancel'));
    await allowOutcomes();
    for (const [{ id, starts_at }, status] of [
      [made, 'active'],
      [cancelled, 'cancelled'],
    ] as const) {
      const schedule = await schedules.after(id, 1, 30_000);
      expect(schedule).toMatchObject({ status, counts: { posted: 1, refused: 0, skipped: 0 } });
      expect(schedule.last_occurrence).toMatchObject({ at: starts_at, outcome: 'posted' });
      expect(await schedules.posted(id)).toEqual([starts_at]);
      expect((await second.api.wallet(schedule.from_wallet_id)).balance).toBe('90.00');
    }
  });

  it('find what they posted long after its key can be replayed, though the next is due', async () => {
    const made = await schedules.add();
    await refuseOutcomes();
    await schedules.putClock(made.next_at!);
    await isPosted(made.id);
    const day = (n: number) => new Date(Date.parse(made.starts_at) + n * DAY_MS).toISOString();
    await schedules.putClock(day(10));
    await delay(1_500);
    await allowOutcomes();
    await schedules.putClock(Date.parse(day(10)) + 120_000);
    const schedule = await schedules.after(made.id, 11);
    expect(schedule.counts).toEqual({ posted: 2, refused: 0, skipped: 9 });
    expect(await schedules.posted(made.id)).toEqual([day(0), day(10)]);
  });

  it('are posted once by several processes, one of which is killed at some moment', async () => {
    const [days, count] = [20, 30];
    const second = await another();
    const made = await Promise.all(
      Array.from({ length: count }, (_, i) => schedules.add({ amount: '1.00', missed: i % 3 ? 'catch_up' : 'skip' })),
    );
    const end = Date.parse(made.at(-1)!.starts_at) + (days - 1) * DAY_MS;
    await schedules.putClock(end);
    await delay(randomInt(50, 500));
    await kill(second);
    await delay(500);
    await schedules.putClock(end + 60_000); // what the dead one had taken is free
    for (const { id, starts_at, missed, from_wallet_id } of made) {
      const { counts } = await schedules.after(id, days, 30_000);
      const posted = await schedules.posted(id);
      expect(counts).toMatchObject({ posted: posted.length, refused: 0, skipped: days - posted.length });
      const all = Array.from({ length: days }, (_, n) => new Date(Date.parse(starts_at) + n * DAY_MS).toISOString());
      if (missed === 'catch_up') expect(posted).toEqual(all);
      else expect(posted.at(-1)).toBe(all.at(-1));
      const { balance } = await services[0]!.api.wallet(from_wallet_id);
      expect(balance).toBe((100 - posted.length).toFixed(2));
    }
  });

  it('are posted and counted once, though several processes work at the same one', async () => {
    await another();
    const [days, count] = [10, 12];
    const made = await Promise.all(
      Array.from({ length: count }, () => schedules.add({ amount: '1.00', missed: 'catch_up' })),
    );
    await schedules.putClock(Date.parse(made.at(-1)!.starts_at) + (days - 1) * DAY_MS);
    // No process keeps what it has taken to itself.
    for (let open = 1; open > 0; await delay(1)) {
      await database.query('UPDATE schedules SET due_at = next_at WHERE due_at > next_at');
      [{ open }] = await database.query('SELECT count(*)::int AS open FROM schedules WHERE next_at <= clock_now()');
    }
    await delay(1_500);
    for (const { id } of made) {
      expect((await schedules.read(id)).counts).toEqual({ posted: days, refused: 0, skipped: 0 });
      expect(await schedules.posted(id)).toHaveLength(days);
    }
  });

  it('that meet a locked wallet are tried again, and hold up no other', async () => {
    const [stuck, other] = [await schedules.add(), await schedules.add()];
    await database.locking(stuck.from_wallet_id, async () => {
      await schedules.putClock(other.next_at!);
      expect((await schedules.after(other.id, 1, 4_000)).counts.posted).toBe(1);
      await delay(6_000); // past DATABASE_LOCK_TIMEOUT_MS
      expect((await schedules.read(stuck.id)).counts).toEqual({ posted: 0, refused: 0, skipped: 0 });
    });
    expect((await schedules.after(stuck.id, 1, 20_000)).counts).toEqual({ posted: 1, refused: 0, skipped: 0 });
    expect(await schedules.posted(stuck.id)).toEqual([stuck.starts_at]);
  });

  it('that cannot be written down do not keep the others from theirs', async () => {
    const made = await Promise.all(Array.from({ length: 70 }, () => schedules.add({ amount: '1.00' })));
    const bad = made.slice(0, 66).map(({ id }) => id);
    const good = made.slice(66);
    await database.query(`
      CREATE FUNCTION refuse_outcome() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
      CREATE TRIGGER refuse_outcome BEFORE UPDATE ON schedules FOR EACH ROW
        WHEN (NEW.next_n > OLD.next_n AND NEW.id IN (${bad.map((id) => `'${id}'`).join()})) EXECUTE FUNCTION refuse_outcome()`);
    await schedules.putClock(good.at(-1)!.next_at!);
    for (const { id } of good) expect((await schedules.after(id, 1, 5_000)).counts.posted).toBe(1);
    await allowOutcomes();
    for (const id of bad) expect((await schedules.after(id, 1, 20_000)).counts.posted).toBe(1);
    const [{ n }] = await database.query('SELECT count(*)::int AS n FROM transactions WHERE actor = ANY($1)', [
      made.map(({ id }) => `schedule:${id}`),
    ]);
    expect(n).toBe(70);
  });
});
