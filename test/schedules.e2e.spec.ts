/** Schedules: made, read, paused and ended, and posted when they are due, by the test clock. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ScheduleBody } from '../src/schedules/schedules.dto.js';
import type { TransactionBody } from '../src/transactions/transactions.dto.js';
import { expectStatus } from './support/client.js';
import { DAY_MS, Schedules } from './support/schedules.js';
import { startService, type Service } from './support/service.js';

describe('schedules', () => {
  let service: Service;
  let schedules: Schedules;
  beforeAll(async () => {
    service = await startService({ TEST_CLOCK: 'on' });
    schedules = new Schedules(service);
  });
  afterEach(async () => expect(await schedules.problems()).toEqual([]));
  afterAll(async () => {
    expect(await service.database.check()).toEqual([]);
    await service.stop();
  });

  const balanceOf = async (id: string) => (await service.api.wallet(id)).balance;
  /** n days after a schedule's start. */
  const day = ({ starts_at }: ScheduleBody, n: number) => new Date(Date.parse(starts_at) + n * DAY_MS).toISOString();
  /** Long enough for the runner to look, and to do what it must not. */
  const aWhile = () => delay(2_500);

  it('are answered, read, listed and told of with the same body', async () => {
    const more = { description: 'Rent', reference: 'flat-7', metadata: { flat: 7 }, time_zone: 'Europe/Berlin' };
    const made = await schedules.add({ every: 'monthly', missed: 'catch_up', ...more });
    expect(made).toMatchObject({
      ...{ amount: '10.00', currency: 'INR', every: 'monthly', missed: 'catch_up', status: 'active', ...more },
      ...{ next_at: made.starts_at, ends_at: null, last_occurrence: null, created_by: 'operator', changed_by: null },
      ...{ counts: { posted: 0, refused: 0, skipped: 0 }, version: 1 },
    });
    expect(await schedules.read(made.id)).toEqual(made);
    const [event] = await schedules.events(made.id);
    expect([event!.type, event!.wallets, event!.data]).toEqual(['schedule.created', [], made]);

    const second = expectStatus(201, await schedules.create({ ...requestOf(made), amount: '1.00' }));
    await schedules.do(second.id, 'pause');
    const list = async (query: string) =>
      expectStatus(
        200,
        await service.api.get<{ data: ScheduleBody[]; next_cursor: string | null }>(`/v1/schedules?${query}`),
      );
    const own = `wallet_id=${made.from_wallet_id}`;
    const first = await list(`${own}&limit=1`);
    const rest = await list(`${own}&limit=1&cursor=${first.next_cursor}`);
    expect([...first.data, ...rest.data].map(({ id }) => id)).toEqual([second.id, made.id]);
    expect(rest.next_cursor).toBeNull();
    expect((await list(`${own}&status=paused`)).data.map(({ id }) => id)).toEqual([second.id]);
    expect((await list(`wallet_id=${made.to_wallet_id}`)).data).toEqual([]);
  });

  it('are made once for one key', async () => {
    const request = requestOf(await schedules.add());
    const [one, other] = await Promise.all([schedules.create(request, 'rent'), schedules.create(request, 'rent')]);
    expect([one.status, other.status, other.body.id]).toEqual([201, 201, one.body.id]);
    const reused = await schedules.create({ ...request, amount: '11.00' }, 'rent');
    expect([reused.status, reused.body.code]).toEqual([422, 'idempotency_key_reused']);
    const key = { 'idempotency-key': randomUUID() };
    const paused = [await schedules.do(one.body.id, 'pause', key), await schedules.do(one.body.id, 'pause', key)];
    expect(paused.map(({ status, headers }) => [status, headers.get('idempotency-replayed')])).toEqual([
      [201, null],
      [201, 'true'],
    ]);
  });

  it('are refused where they could never be posted', async () => {
    const good = requestOf(await schedules.add());
    const [dollars, closed] = [
      await service.api.newWallet(undefined, { currency: 'USD' }),
      await service.api.newWallet(),
    ];
    expectStatus(201, await service.api.setStatus(closed.id, 'close'));
    const cases: Array<[object, string]> = [
      [{ amount: '0' }, 'amount'],
      [{ amount: '1.001' }, 'amount'],
      [{ every: 'yearly' }, 'every'],
      [{ starts_at: '2026-02-30T00:00:00Z' }, 'starts_at'],
      [{ starts_at: '2031-01-01' }, 'starts_at'],
      [{ starts_at: new Date((await schedules.now()) - 120_000).toISOString() }, 'starts_at'],
      [{ ends_at: day(good as ScheduleBody, -0.001) }, 'ends_at'],
      [{ time_zone: 'Mars/Olympus' }, 'time_zone'],
      [{ time_zone: '+05:30' }, 'time_zone'],
      [{ missed: 'forget' }, 'missed'],
      [{ to_wallet_id: good.from_wallet_id }, 'to_wallet_id'],
      [{ effective_at: '2026-01-01T00:00:00Z' }, 'effective_at'],
      [{ to_wallet_id: randomUUID() }, 'wallet_not_found'],
      [{ to_wallet_id: dollars.id }, 'currency_mismatch'],
      [{ to_wallet_id: closed.id }, 'wallet_closed'],
    ];
    for (const [change, wrong] of cases) {
      const { status, body } = await schedules.create({ ...good, ...change });
      expect([change, status >= 400, body.errors?.[0]?.field ?? body.code]).toEqual([change, true, wrong]);
    }
    expect((await service.api.get(`/v1/schedules/${randomUUID()}`)).status).toBe(404);
  });

  it('of once are posted once, as themselves, and are completed', async () => {
    const made = await schedules.add({ every: 'once', description: 'Deposit', metadata: { b: 1, aa: 'x' } });
    await aWhile();
    expect((await schedules.read(made.id)).counts.posted).toBe(0);
    await schedules.putClock(made.starts_at);
    const done = await schedules.after(made.id, 1);
    expect(done).toMatchObject({ status: 'completed', next_at: null, version: 2 });
    expect(done.last_occurrence).toMatchObject({ at: made.starts_at, outcome: 'posted', error: null });
    const posted = expectStatus(
      200,
      await service.api.get<TransactionBody>(`/v1/transactions/${done.last_occurrence!.transaction_id}`),
    );
    expect(posted).toMatchObject({ type: 'transfer', amount: '10.00', description: 'Deposit', metadata: { b: 1 } });
    expect(posted.actor).toBe(`schedule:${made.id}`);
    expect([await balanceOf(made.from_wallet_id), await balanceOf(made.to_wallet_id)]).toEqual(['90.00', '10.00']);
    const told = await schedules.events(made.id);
    expect(told.map(({ type }) => type)).toEqual(['schedule.created', 'schedule.changed']);
    expect(told[1]!.data).toEqual(done);
    for (const verb of ['pause', 'resume', 'cancel'])
      expect((await schedules.do(made.id, verb)).body.code).toBe('schedule_ended');
  });

  it('of every month are posted at the same time of day in their zone, at the ends of months too', async () => {
    // The next 31st of January, at noon in New York.
    const year = new Date(await schedules.now()).getUTCFullYear() + 1;
    const made = await schedules.add({
      ...{ every: 'monthly', starts_at: `${year}-01-31T12:00:00-05:00`, time_zone: 'America/New_York' },
      ends_at: `${year}-04-30T12:00:00-04:00`,
    });
    const lastOfFebruary = new Date(Date.UTC(year, 2, 0)).getUTCDate();
    const expected = [`01-31T17`, `02-${lastOfFebruary}T17`, '03-31T16', '04-30T16'].map(
      (at) => `${year}-${at}:00:00.000Z`,
    );
    for (const [i, at] of expected.entries()) {
      expect((await schedules.read(made.id)).next_at).toBe(at);
      await schedules.putClock(at);
      await schedules.after(made.id, i + 1);
    }
    expect(await schedules.posted(made.id)).toEqual(expected);
    expect(await schedules.read(made.id)).toMatchObject({ status: 'completed', counts: { posted: 4 } });
  });

  it('that missed some post each in order, or only the last, as they say', async () => {
    const [all, last] = [await schedules.add({ missed: 'catch_up' }), await schedules.add()];
    await schedules.putClock(day(last, 4));
    const caughtUp = await schedules.after(all.id, 5);
    expect(caughtUp).toMatchObject({ next_at: day(all, 5), counts: { posted: 5, skipped: 0 } });
    expect(await schedules.posted(all.id)).toEqual([0, 1, 2, 3, 4].map((n) => day(all, n)));
    const skipped = await schedules.after(last.id, 5);
    expect(skipped).toMatchObject({ next_at: day(last, 5), counts: { posted: 1, skipped: 4 } });
    expect(await schedules.posted(last.id)).toEqual([day(last, 4)]);
    const booked = await service.database.query(
      `SELECT created_at FROM transactions WHERE actor = 'schedule:${all.id}' ORDER BY id`,
    );
    expect(booked).toEqual([...booked].sort((a, b) => a.created_at - b.created_at));
  });

  it('go on after a refusal, which is told and final', async () => {
    const made = await schedules.add({ amount: '60.00' });
    await schedules.putClock(day(made, 0));
    await schedules.after(made.id, 1);
    await schedules.putClock(day(made, 1));
    const refused = await schedules.after(made.id, 2);
    const last = { at: day(made, 1), outcome: 'refused', transaction_id: null, error: 'insufficient_funds' };
    expect(refused).toMatchObject({ status: 'active', last_occurrence: last, counts: { posted: 1, refused: 1 } });
    const told = await schedules.events(made.id);
    expect(told.map(({ type }) => type)).toEqual(['schedule.created', 'schedule.refused']);
    expect(told[1]!.data).toEqual(refused);
    expectStatus(201, await service.api.credit(made.from_wallet_id, '20.00'));
    await aWhile();
    expect((await schedules.read(made.id)).counts).toEqual({ posted: 1, refused: 1, skipped: 0 });
    await schedules.putClock(day(made, 2));
    expect((await schedules.after(made.id, 3)).counts).toEqual({ posted: 2, refused: 1, skipped: 0 });

    expectStatus(201, await service.api.setStatus(made.from_wallet_id, 'freeze'));
    await schedules.putClock(day(made, 3));
    expect((await schedules.after(made.id, 4)).last_occurrence!.error).toBe('wallet_frozen');
  });

  it('do not wait for the many of a wallet that somebody has locked', async () => {
    const [locked, other] = [await schedules.add({ amount: '0.01' }), await schedules.add()];
    const request = { ...requestOf(locked), every: 'once' };
    for (let n = 0; n < 8; n++) await Promise.all(Array.from({ length: 10 }, () => schedules.create(request)));
    await service.database.locking(locked.to_wallet_id, async () => {
      await schedules.putClock(other.starts_at);
      await schedules.after(other.id, 1, 4_000);
    });
    expect((await schedules.after(locked.id, 1)).counts.posted).toBe(1);
  });

  it('post nothing while paused; what was missed then is passed over, or posted', async () => {
    const [skip, catchUp] = [await schedules.add(), await schedules.add({ missed: 'catch_up' })];
    for (const { id } of [skip, catchUp]) {
      const paused = expectStatus(201, await schedules.do(id, 'pause'));
      expect(paused).toMatchObject({ status: 'paused', changed_by: 'operator', version: 2 });
      expect((await schedules.do(id, 'pause')).body.code).toBe('schedule_not_active');
    }
    await schedules.putClock(day(skip, 2));
    await aWhile();
    for (const { id } of [skip, catchUp])
      expect((await schedules.read(id)).counts).toEqual({ posted: 0, refused: 0, skipped: 0 });

    const resumed = expectStatus(201, await schedules.do(skip.id, 'resume'));
    expect(resumed).toMatchObject({ status: 'active', next_at: day(skip, 3), counts: { posted: 0, skipped: 3 } });
    expect(resumed.last_occurrence).toMatchObject({ at: day(skip, 2), outcome: 'skipped' });
    expect((await schedules.do(skip.id, 'resume')).body.code).toBe('schedule_not_paused');
    expectStatus(201, await schedules.do(catchUp.id, 'resume'));
    expect((await schedules.after(catchUp.id, 3)).counts).toEqual({ posted: 3, refused: 0, skipped: 0 });

    await schedules.putClock(day(skip, 3));
    expect((await schedules.after(skip.id, 4)).counts).toEqual({ posted: 1, refused: 0, skipped: 3 });
    const types = (await schedules.events(skip.id)).map(({ type, data }) => `${type} ${data.status}`);
    expect(types).toEqual(['schedule.created active', 'schedule.changed paused', 'schedule.changed active']);
  });

  it('that are resumed after their end are completed', async () => {
    const made = await schedules.add({ every: 'once' });
    await schedules.do(made.id, 'pause');
    await schedules.putClock(day(made, 0));
    const resumed = expectStatus(201, await schedules.do(made.id, 'resume'));
    expect(resumed).toMatchObject({ status: 'completed', next_at: null, counts: { posted: 0, skipped: 1 } });
    expect((await schedules.events(made.id)).at(-1)!.data).toEqual(resumed);
  });

  it('post nothing once cancelled, and are changed only as they were seen', async () => {
    const made = await schedules.add();
    const { headers } = await service.api.get(`/v1/schedules/${made.id}`);
    expect(headers.get('etag')).toBe('"1"');
    expect((await schedules.do(made.id, 'cancel', { 'if-match': '"2"' })).status).toBe(412);
    const cancelled = expectStatus(201, await schedules.do(made.id, 'cancel', { 'if-match': '"1"' }));
    expect(cancelled).toMatchObject({ status: 'cancelled', next_at: null, version: 2 });
    await schedules.putClock(day(made, 1));
    await aWhile();
    expect(await schedules.read(made.id)).toEqual(cancelled);
    expect(await balanceOf(made.from_wallet_id)).toBe('100.00');
    expect((await schedules.events(made.id)).map(({ data }) => data.status)).toEqual(['active', 'cancelled']);
  });
});

/** What a schedule was asked for with. */
function requestOf({ from_wallet_id, to_wallet_id, amount, every, starts_at }: ScheduleBody) {
  return { from_wallet_id, to_wallet_id, amount, every, starts_at };
}
