/** Whose schedules a person may make, see and end. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ALL_SCOPES } from '../src/auth/scopes.js';
import type { ScheduleBody } from '../src/schedules/schedules.dto.js';
import type { WalletBody } from '../src/wallets/wallets.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { insertKey } from './support/keys.js';
import { bearer, sameAs, signIn, startSecured } from './support/secured.js';
import { DAY_MS, Schedules } from './support/schedules.js';
import type { Service } from './support/service.js';

interface Someone {
  userId: string;
  walletId: string;
  token: string;
}

describe('a person', () => {
  let service: Service;
  let server: string;
  let payer: Someone;
  let payee: Someone;

  function call<B = ScheduleBody & Problem>(credential: string, method: string, path: string, body?: object) {
    return service.api.call<B>(method, path, body, bearer(credential));
  }
  async function someone(phone_number: string): Promise<Someone> {
    const user = expectStatus(201, await call<{ id: string }>(server, 'POST', '/v1/users', { phone_number }));
    const opening = { user_id: user.id, minimum_balance: '0' };
    const wallet = expectStatus(201, await call<WalletBody>(server, 'POST', '/v1/wallets', opening));
    expectStatus(201, await call(server, 'POST', `/v1/wallets/${wallet.id}/credits`, { amount: '100.00' }));
    return { userId: user.id, walletId: wallet.id, token: (await signIn(service, phone_number)).access_token };
  }
  const from = (one: Someone, other: Someone, more: object = {}) => ({
    ...{ from_wallet_id: one.walletId, to_wallet_id: other.walletId, amount: '1.00', every: 'daily' },
    starts_at: new Date(Date.now() + DAY_MS).toISOString(),
    ...more,
  });
  const listOf = async (token: string, query = '') =>
    expectStatus(200, await call<{ data: ScheduleBody[] }>(token, 'GET', `/v1/schedules${query}`)).data.map(
      ({ id }) => id,
    );

  let own: ScheduleBody;
  let houses: ScheduleBody;
  beforeAll(async () => {
    service = await startSecured({ TEST_CLOCK: 'on' });
    server = (await insertKey(service.database, { scopes: ALL_SCOPES })).secret;
    [payer, payee] = [await someone('+919812410001'), await someone('+919812410002')];
    own = expectStatus(201, await call(payer.token, 'POST', '/v1/schedules', from(payer, payee)));
    houses = expectStatus(201, await call(server, 'POST', '/v1/schedules', from(payer, payee)));
  });
  afterAll(async () => {
    expect(await new Schedules(service).problems()).toEqual([]);
    await service.stop();
  });

  it('schedules transfers from their own wallet, and ends them', async () => {
    expect(own.created_by).toBe(`user:${payer.userId}`);
    const made = expectStatus(201, await call(payer.token, 'POST', '/v1/schedules', from(payer, payee)));
    for (const [verb, status] of Object.entries({ pause: 'paused', resume: 'active', cancel: 'cancelled' }))
      expect((await call(payer.token, 'POST', `/v1/schedules/${made.id}/${verb}`)).body.status).toBe(status);
  });

  it('cannot have another pay, whose wallet is answered as one that does not exist', async () => {
    const theirs = await call(payee.token, 'POST', '/v1/schedules', from(payer, payee));
    const absent = { ...payer, walletId: randomUUID() };
    const none = await call(payee.token, 'POST', '/v1/schedules', from(absent, payee));
    expect([theirs.status, theirs.body.code]).toEqual([404, 'wallet_not_found']);
    expect(sameAs(theirs, payer.walletId)).toBe(sameAs(none, absent.walletId));
  });

  it('sees what their own wallets pay, not what pays them, and touches nobody else’s', async () => {
    expect(await listOf(payer.token)).toEqual(expect.arrayContaining([houses.id, own.id]));
    expect(await listOf(payer.token, `?wallet_id=${payer.walletId}&status=active`)).toEqual([houses.id, own.id]);
    expect([await listOf(payee.token), await listOf(payee.token, `?wallet_id=${payer.walletId}`)]).toEqual([[], []]);
    const absent = randomUUID();
    for (const [method, verb] of [
      ['GET', ''],
      ['POST', '/pause'],
      ['POST', '/resume'],
      ['POST', '/cancel'],
    ] as const) {
      const theirs = await call(payee.token, method, `/v1/schedules/${own.id}${verb}`);
      const none = await call(payee.token, method, `/v1/schedules/${absent}${verb}`);
      expect(theirs.body.code).toBe('schedule_not_found');
      expect(sameAs(theirs, own.id)).toBe(sameAs(none, absent));
    }
  });

  it('reads what the house has arranged for their wallet, and cannot end it', async () => {
    expect((await call(payer.token, 'GET', `/v1/schedules/${houses.id}`)).body).toEqual(houses);
    const { status, body } = await call(payer.token, 'POST', `/v1/schedules/${houses.id}/cancel`);
    expect([status, body.code]).toEqual([403, 'forbidden']);
    // The house can end theirs.
    const made = expectStatus(201, await call(payer.token, 'POST', '/v1/schedules', from(payer, payee)));
    const ended = expectStatus(201, await call(server, 'POST', `/v1/schedules/${made.id}/cancel`));
    expect([ended.status, ended.changed_by]).toEqual(['cancelled', expect.stringMatching(/^key:/)]);
  });

  it('may have a hundred at a time', async () => {
    const saver = await someone('+919812410003');
    const requests = Array.from({ length: 100 }, () => call(saver.token, 'POST', '/v1/schedules', from(saver, payee)));
    const [one] = (await Promise.all(requests)).map((reply) => expectStatus(201, reply));
    const more = await call(saver.token, 'POST', '/v1/schedules', from(saver, payee));
    expect([more.status, more.body.code]).toEqual([409, 'too_many_schedules']);
    expectStatus(201, await call(saver.token, 'POST', `/v1/schedules/${one!.id}/cancel`));
    expectStatus(201, await call(saver.token, 'POST', '/v1/schedules', from(saver, payee)));
  });

  it('who is suspended pays nothing that they scheduled, but what the house did', async () => {
    const path = `/v1/users/${payer.userId}`;
    expectStatus(200, await call(server, 'PATCH', path, { status: 'suspended', reason: 'a test' }));
    const outcomeOf = async (id: string) =>
      (await call(server, 'GET', `/v1/schedules/${id}`)).body.last_occurrence ?? undefined;
    expectStatus(200, await call(server, 'PUT', '/v1/test-clock', { ahead_seconds: DAY_MS / 1_000 + 60 }));
    for (const until = Date.now() + 10_000; Date.now() < until; await delay(50)) {
      if ((await outcomeOf(own.id)) && (await outcomeOf(houses.id))) break;
    }
    expect(await outcomeOf(own.id)).toMatchObject({ outcome: 'refused', error: 'user_suspended' });
    expect(await outcomeOf(houses.id)).toMatchObject({ outcome: 'posted' });
  });
});
