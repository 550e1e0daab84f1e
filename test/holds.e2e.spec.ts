/** Holds by their HTTP face: reserve, change, capture, void, expire; one end each, and `held` exact at every read. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { figure } from '../torture/stage.js';
import type { HoldBody, HoldChangeBody } from '../src/transactions/holds.dto.js';
import type { Page } from '../src/paging.js';
import { cursorAt } from '../src/paging.js';
import { HeldReads } from './scenarios/held-reads.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

const DAY_MS = 24 * 3_600_000;
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();

describe('holds', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService({ CAPTURE_TOLERANCE_PERCENT: '10' })));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(async () => {
    const found = await service.database.check();
    await service.stop();
    expect(found).toEqual([]);
  });
  const api = () => service.api;

  /** A wallet with 100.00, and a hold on it. */
  async function held(amount: string, extra: Record<string, unknown> = {}) {
    const wallet = await api().newWallet('100.00');
    return { wallet, hold: expectStatus(201, await api().hold(wallet.id, amount, extra)) };
  }

  /** A hold that ends after so long. On a busy machine a short time may be over before it is made: then another. */
  async function holdFor(walletId: string, amount: string, ms: number): Promise<HoldBody> {
    const reply = await api().hold(walletId, amount, { expires_at: inMs(ms) });
    return reply.text.includes('must be in the future') ? holdFor(walletId, amount, ms) : expectStatus(201, reply);
  }

  async function heldFor(amount: string, ms: number) {
    const wallet = await api().newWallet('100.00');
    return { wallet, hold: await holdFor(wallet.id, amount, ms) };
  }

  async function money(id: string) {
    const { balance, held: isHeld, available } = await api().wallet(id);
    return { balance, held: isHeld, available };
  }

  it('set money aside: it counts like spent, without an entry', async () => {
    const { wallet, hold } = await held('70.00', { reference: 'order-1', metadata: { table: 4 } });
    expect(hold).toMatchObject({
      ...{ status: 'active', amount: '70.00', captured: '0.00', remaining: '70.00', currency: 'INR' },
      ...{ reference: 'order-1', metadata: { table: 4 }, wallet_id: wallet.id, ended_at: null, version: 1 },
    });
    expect(Date.parse(hold.expires_at) - Date.now()).toBeGreaterThan(6.99 * DAY_MS);
    expect(await money(wallet.id)).toEqual({ balance: '100.00', held: '70.00', available: '30.00' });
    expect((await api().debit(wallet.id, '30.01')).body.code).toBe('insufficient_funds');
    expect((await api().hold(wallet.id, '30.01')).body.code).toBe('insufficient_funds');
    expectStatus(201, await api().debit(wallet.id, '30.00'));
    expect(await api().readHold(hold.id)).toEqual(hold);
  });

  it('keep to the minimum balance', async () => {
    const wallet = await api().newWallet('100.00', { minimum_balance: '40.00' });
    expect((await api().hold(wallet.id, '60.01')).body.code).toBe('below_minimum_balance');
    expectStatus(201, await api().hold(wallet.id, '60.00'));
  });

  it('are raised, lowered and extended, by the version that the caller saw', async () => {
    const { wallet, hold } = await held('70.00');
    expect((await api().changeHold(hold.id, { amount: '100.01' })).body.code).toBe('insufficient_funds');
    const raised = expectStatus(200, await api().changeHold(hold.id, { amount: '100.00' }, { 'if-match': '"1"' }));
    expect(raised).toMatchObject({ amount: '100.00', version: 2 });
    expect((await api().changeHold(hold.id, { amount: '50.00' }, { 'if-match': '"1"' })).body.code).toBe(
      'precondition_failed',
    );
    const expires_at = inMs(30 * DAY_MS);
    const lowered = expectStatus(200, await api().changeHold(hold.id, { amount: '50.00', expires_at }));
    expect(lowered).toMatchObject({ remaining: '50.00', expires_at, version: 3 });
    expect(await money(wallet.id)).toEqual({ balance: '100.00', held: '50.00', available: '50.00' });
    expectStatus(201, await api().capture(hold.id, { amount: '20.00' }));
    expect((await api().changeHold(hold.id, { amount: '20.00' })).body.code).toBe('hold_too_low');
    expect((await api().changeHold(hold.id, {})).body.errors![0]!.field).toBe('amount');
  });

  it('are captured in parts; the final one releases the rest', async () => {
    const { wallet, hold } = await held('70.00', { description: 'Room 12' });
    const merchant = await api().newWallet();
    const first = expectStatus(201, await api().capture(hold.id, { amount: '30.00', to_wallet_id: merchant.id }));
    expect(first).toMatchObject({ type: 'capture', amount: '30.00', hold_id: hold.id, description: 'Room 12' });
    expect(first.entries.map(({ wallet_id, amount }) => [wallet_id, amount])).toEqual([
      [wallet.id, '-30.00'],
      [merchant.id, '30.00'],
    ]);
    expect(await money(wallet.id)).toEqual({ balance: '70.00', held: '40.00', available: '30.00' });
    expectStatus(201, await api().capture(hold.id, { amount: '15.00', final: true }));
    expect(await money(wallet.id)).toEqual({ balance: '55.00', held: '0.00', available: '55.00' });
    const ended = await api().readHold(hold.id);
    expect(ended).toMatchObject({ status: 'captured', captured: '45.00', remaining: '0.00', version: 3 });
    expect((await api().capture(hold.id, { amount: '1.00' })).body.code).toBe('hold_not_active');
    expect((await api().void(hold.id)).body.code).toBe('hold_not_active');
    expect((await api().wallet(merchant.id)).balance).toBe('30.00');
    const list = await api().get<Page<{ id: string }>>(`/v1/transactions?hold_id=${hold.id}`);
    expect(list.body.data).toHaveLength(2);
  });

  it('end with the capture of all that is left, and are captured above within the tolerance', async () => {
    const { wallet, hold } = await held('50.00');
    expectStatus(201, await api().capture(hold.id));
    expect((await api().readHold(hold.id)).status).toBe('captured');
    const second = expectStatus(201, await api().hold(wallet.id, '40.00'));
    expect((await api().capture(second.id, { amount: '44.01' })).body.code).toBe('capture_exceeds_hold');
    expectStatus(201, await api().capture(second.id, { amount: '44.00' }));
    expect(await money(wallet.id)).toEqual({ balance: '6.00', held: '0.00', available: '6.00' });
    // The tolerance is a permission, not money.
    const third = expectStatus(201, await api().hold(wallet.id, '6.00'));
    expect((await api().capture(third.id, { amount: '6.60' })).body.code).toBe('insufficient_funds');
  });

  it('are voided', async () => {
    const { wallet, hold } = await held('70.00');
    expectStatus(201, await api().capture(hold.id, { amount: '20.00' }));
    const voided = expectStatus(201, await api().void(hold.id));
    expect(voided).toMatchObject({ status: 'voided', captured: '20.00', remaining: '0.00' });
    expect(voided.ended_at).toBe(voided.updated_at);
    expect(await money(wallet.id)).toEqual({ balance: '80.00', held: '0.00', available: '80.00' });
  });

  it('stop counting the moment they expire, before anything has recorded it', async () => {
    const { wallet, hold } = await heldFor('70.00', 1_200);
    const other = expectStatus(201, await api().hold(wallet.id, '10.00'));
    expect(await money(wallet.id)).toEqual({ balance: '100.00', held: '80.00', available: '20.00' });
    await delay(1_300);
    expect(await money(wallet.id)).toEqual({ balance: '100.00', held: '10.00', available: '90.00' });
    const row = await service.database.query(`SELECT held FROM wallets WHERE id = '${wallet.id}'`);
    expect(row).toEqual([{ held: '8000' }]); // nothing has swept it
    expect(await api().readHold(hold.id)).toMatchObject({ status: 'expired', ended_at: hold.expires_at });
    expect((await api().capture(hold.id)).body.code).toBe('hold_not_active'); // which also records it
    const changes = await api().get<Page<HoldChangeBody>>(`/v1/holds/${hold.id}/changes`);
    expect(changes.body.data[0]).toMatchObject({ action: 'expired', actor: 'system', version: 2 });
    expectStatus(201, await api().debit(wallet.id, '90.00'));
    expect(await money(wallet.id)).toEqual({ balance: '10.00', held: '10.00', available: '0.00' });
    expectStatus(201, await api().void(other.id));
  });

  it('expired change nothing that was not seen: If-Match goes by the version that reads show', async () => {
    const { wallet } = await heldFor('70.00', 700);
    const { version } = await api().wallet(wallet.id);
    await delay(800);
    expect(await money(wallet.id)).toMatchObject({ held: '0.00' });
    expect((await api().wallet(wallet.id)).version).toBe(version);
    const debit = (ifMatch: number) =>
      api().call<Problem>(
        'POST',
        `/v1/wallets/${wallet.id}/debits`,
        { amount: '1.00' },
        { 'if-match': `"${ifMatch}"` },
      );
    expect((await debit(version - 1)).body.code).toBe('precondition_failed');
    expect((await api().wallet(wallet.id)).version).toBe(version + 1); // written down with what was refused
    expect((await debit(version)).body.code).toBe('precondition_failed');
    const { wallet: other } = await heldFor('70.00', 300);
    await delay(400);
    const seen = await api().wallet(other.id);
    const { status } = await api().call(
      'POST',
      `/v1/wallets/${other.id}/debits`,
      { amount: '90.00' },
      { 'if-match': `"${seen.version}"` },
    );
    expect([status, (await api().wallet(other.id)).available]).toEqual([201, '10.00']);
  });

  it('expired say so also to who names the version that was read', async () => {
    const { hold } = await heldFor('70.00', 300);
    await delay(400);
    for (const version of [hold.version, hold.version, hold.version + 2]) {
      const path = `/v1/holds/${hold.id}/captures`;
      const { body } = await api().call<Problem>('POST', path, {}, { 'if-match': `"${version}"` });
      expect(body.code).toBe(version === hold.version ? 'hold_not_active' : 'precondition_failed');
    }
  });

  it('expired make room for a higher minimum balance and for closing', async () => {
    const { wallet } = await heldFor('70.00', 700);
    const patch = (minimum_balance: string) =>
      api().call<{ code: string; shortfall: string }>('PATCH', `/v1/wallets/${wallet.id}`, { minimum_balance });
    expect((await patch('50.00')).body.code).toBe('below_minimum_balance');
    await delay(800);
    expect((await patch('50.00')).body.shortfall).toBe('0.00');
    expect((await api().debit(wallet.id, '50.01')).body.code).toBe('below_minimum_balance');
    expectStatus(201, await api().debit(wallet.id, '50.00'));
    expect(await service.database.query(`SELECT shortfall FROM wallets WHERE id = '${wallet.id}'`)).toEqual([
      { shortfall: '0' },
    ]);
  });

  it('answer a repeated key with the first outcome, also when the hold has moved on', async () => {
    const wallet = await api().newWallet('100.00');
    const first = await api().hold(wallet.id, '70.00', {}, 'hold-key');
    await api().capture(first.body.id, { amount: '10.00' }, 'capture-key');
    const repeated = await api().hold(wallet.id, '70.00', {}, 'hold-key');
    expect([repeated.status, repeated.text]).toEqual([201, first.text]);
    expect(repeated.headers.get('idempotency-replayed')).toBe('true');
    const again = await api().capture(first.body.id, { amount: '10.00' }, 'capture-key');
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect((await api().hold(wallet.id, '71.00', {}, 'hold-key')).body.code).toBe('idempotency_key_reused');
    expect((await api().capture(first.body.id, { amount: '11.00' }, 'capture-key')).body.code).toBe(
      'idempotency_key_reused',
    );
    expect((await api().readHold(first.body.id)).captured).toBe('10.00');
  });

  it('answer a repeated key also after the time that it asked for, which a mistake does not use up', async () => {
    const { wallet, hold } = await held('70.00');
    const soon = { expires_at: inMs(700) };
    const first = expectStatus(201, await api().hold(wallet.id, '10.00', soon, 'short-hold'));
    const change = () => api().changeHold(hold.id, soon, { 'idempotency-key': 'short-change' });
    const changed = expectStatus(200, await change());
    await delay(800);
    expect(await api().hold(wallet.id, '10.00', soon, 'short-hold')).toMatchObject({ status: 201, body: first });
    expect(await change()).toMatchObject({ status: 200, body: changed });
    expect((await api().hold(wallet.id, '10.00', soon, 'late-hold')).body.errors?.[0]?.field).toBe('expires_at');
    expectStatus(201, await api().hold(wallet.id, '10.00', {}, 'late-hold'));
  });

  it('refuse what cannot be, and name the field', async () => {
    const { wallet, hold } = await held('10.00');
    const dollars = await api().newWallet(undefined, { currency: 'USD' });
    const field = async (reply: Promise<{ body: { errors?: Array<{ field: string }> } }>) =>
      (await reply).body.errors?.[0]?.field;
    expect(await field(api().hold(wallet.id, '0'))).toBe('amount');
    expect(await field(api().hold(wallet.id, '1.001'))).toBe('amount');
    expect(await field(api().hold(wallet.id, '1.00', { expires_at: inMs(-1_000) }))).toBe('expires_at');
    expect(await field(api().hold(wallet.id, '1.00', { expires_at: inMs(400 * DAY_MS) }))).toBe('expires_at');
    expect(await field(api().capture(hold.id, { to_wallet_id: wallet.id }))).toBe('to_wallet_id');
    expect(await field(api().capture(hold.id, { final: 'yes' }))).toBe('final');
    expect((await api().capture(hold.id, { to_wallet_id: dollars.id })).body.code).toBe('currency_mismatch');
    expect((await api().capture('01890000-0000-7000-8000-000000000001')).body.code).toBe('hold_not_found');
    expect((await api().hold('01890000-0000-7000-8000-000000000001', '1.00')).body.code).toBe('wallet_not_found');
    const forged = cursorAt(`changes/${hold.id}`, '999999999999999999');
    expect(await field(api().get(`/v1/holds/${hold.id}/changes?cursor=${forged}`))).toBe('cursor');
    expect((await api().readHold(hold.id)).version).toBe(1);
  });

  it('are listed, newest first, by their status of now', async () => {
    const { wallet, hold } = await heldFor('10.00', 300);
    const second = expectStatus(201, await api().hold(wallet.id, '20.00'));
    await delay(400);
    const ids = async (query: string) =>
      (await api().get<Page<{ id: string }>>(`/v1/wallets/${wallet.id}/holds${query}`)).body.data.map(({ id }) => id);
    expect(await ids('')).toEqual([second.id, hold.id]);
    expect(await ids('?status=active')).toEqual([second.id]);
    expect(await ids('?status=expired')).toEqual([hold.id]);
  });

  describe('beside a process that sweeps', () => {
    let other: Service;
    beforeAll(
      async () => void (other = await startService({ HOLD_SWEEP_SECONDS: '1' }, { database: service.database })),
    );
    afterAll(() => other.stop());

    it('are recorded as expired by the sweeper where nobody touches the wallet', async () => {
      const { hold } = await heldFor('70.00', 300);
      const status = async () =>
        (await service.database.query('SELECT status FROM holds WHERE id = $1', [hold.id]))[0].status as string;
      while ((await status()) === 'active') await delay(50);
      expect(await status()).toBe('expired');
    }, 15_000);

    it('R14: 1,000 holds under racing captures, voids and expiries end once each, with `held` exact', async () => {
      const services = [service, other];
      const wallets = await Promise.all(Array.from({ length: 20 }, () => api().newWallet('1000.00')));
      const reads = new HeldReads(
        services.map(({ api: a }) => a),
        wallets.map(({ id }) => id),
      );
      let reading = true;
      const wrong: string[] = [];
      const reader = (async () => {
        while (reading) {
          const rows = await service.database.query(`
            SELECT w.id FROM wallets w WHERE w.held <> (
              SELECT coalesce(sum(amount - captured), 0) FROM holds h WHERE h.wallet_id = w.id AND h.status = 'active')`);
          wrong.push(...rows.map(({ id }: { id: string }) => id));
          await delay(2);
        }
      })();
      const raceOne = async (i: number): Promise<string> => {
        const isShort = i % 4 === 0;
        const hold = await holdFor(wallets[i % 20]!.id, '10.00', isShort ? 1_500 : DAY_MS);
        if (isShort) await delay(Math.max(0, Date.parse(hold.expires_at) - Date.now()) + Math.random() * 40 - 20);
        const soon = () => delay(Math.random() * 10);
        const race = await Promise.all([
          ...Array.from({ length: 4 }, (_x, c) =>
            soon().then(() => services[c % 2]!.api.capture(hold.id, { amount: '6.00', final: c > 1 })),
          ),
          ...services.map(({ api: a }) => soon().then(() => a.void(hold.id))),
        ]);
        for (const { status, body } of race) {
          if (status !== 201) expect(['hold_not_active', 'capture_exceeds_hold']).toContain(body.code);
        }
        const { status } = await api().readHold(hold.id);
        const captures = race.slice(0, 4).filter((reply) => reply.status === 201).length;
        const voids = race.slice(4).filter((reply) => reply.status === 201).length;
        // A second one of 6.00 is more than is left of 10.00.
        expect(status === 'captured' ? [1] : [0, 1]).toContain(captures);
        expect(voids).toBe(status === 'voided' ? 1 : 0);
        return status;
      };
      const ends: string[] = [];
      let next = 0;
      await Promise.all(
        Array.from({ length: 64 }, async () => {
          while (next < 1_000) ends.push(await raceOne(next++));
        }),
      );
      reading = false;
      await reader;
      expect(wrong).toEqual([]);
      const answered = await reads.end();
      expect(answered.wrong).toEqual([]);
      expect(ends.filter((status) => status === 'active')).toEqual([]);
      const terminal = await service.database.query(`
        SELECT hold_id FROM hold_changes WHERE status <> 'active' GROUP BY hold_id HAVING count(*) > 1`);
      expect(terminal).toEqual([]);
      const count = (status: string) => ends.filter((end) => end === status).length;
      figure(
        `${count('captured')} captured, ${count('voided')} voided, ${count('expired')} expired, ${answered.count} reads`,
      );
    }, 120_000);
  });
});
