import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { UserBody } from '../src/users/users.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

describe('users', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  const register = (phone_number: unknown, key?: string) =>
    service.api.post<UserBody & Problem>('/v1/users', { phone_number }, key);

  it('registers by phone number, kept as E.164, and finds it however it is written', async () => {
    const user = expectStatus(201, await register('098765 43210'));
    expect(user).toMatchObject({ phone_number: '+919876543210', status: 'active', version: 1, metadata: {} });
    expect(expectStatus(200, await service.api.get<UserBody>(`/v1/users/${user.id}`))).toEqual(user);
    const find = async (inUrl: string) =>
      expectStatus(200, await service.api.get<{ data: UserBody[] }>(`/v1/users?phone_number=${inUrl}`)).data;
    for (const written of ['9876543210', '+91 98765-43210'])
      expect(await find(encodeURIComponent(written))).toEqual([user]);
    // A plus in a URL is a blank, and without it this would be an Indian number.
    const abroad = expectStatus(201, await register('+14155552671'));
    for (const inUrl of ['+14155552671', '%2B14155552671']) expect(await find(inUrl)).toEqual([abroad]);
  });

  it('refuses a number that is registered, also when 20 try at once', async () => {
    const replies = await Promise.all(Array.from({ length: 20 }, () => register('+14155550100')));
    expect(replies.map(({ status }) => status).sort()).toEqual([201, ...Array<number>(19).fill(409)]);
    expect(replies.find(({ status }) => status === 409)!.body.code).toBe('phone_number_taken');
  });

  it('refuses what is no number', async () => {
    for (const wrong of [
      '',
      '12',
      'abcdefghij',
      '+999999999999999999',
      1234567890,
      null,
      undefined,
      ['+14155550101'],
      '1'.repeat(33),
      '+49123456789012345', // German plans have such, E.164 has not
    ]) {
      expect((await register(wrong)).body).toMatchObject({ status: 422, errors: [{ field: 'phone_number' }] });
    }
  });

  it('gives one key one outcome, refusals too', async () => {
    const first = await register('+14155550102', 'register-1');
    const again = await register('+14155550102', 'register-1');
    expect([again.status, again.text, again.headers.get('idempotency-replayed')]).toEqual([201, first.text, 'true']);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect((await register('+14155550103', 'register-1')).body.code).toBe('idempotency_key_reused');
    const refused = await register('+14155550102', 'register-2');
    const refusedAgain = await register('+14155550102', 'register-2');
    expect([refused.body.code, refusedAgain.body.code]).toEqual(['phone_number_taken', 'phone_number_taken']);
    expect(refusedAgain.headers.get('idempotency-replayed')).toBe('true');
    const raced = await Promise.all(Array.from({ length: 20 }, () => register('+14155550104', 'register-3')));
    expect(new Set(raced.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
  });

  it('changes fields under the version that was seen', async () => {
    const user = await service.api.newUser();
    const path = `/v1/users/${user.id}`;
    const change = (body: unknown, etag: string) =>
      service.api.call<UserBody>('PATCH', path, body, { 'if-match': etag });
    const changed = expectStatus(
      200,
      await change({ status: 'suspended', reason: 'asked', metadata: { why: 'asked' } }, '"1"'),
    );
    expect(changed).toMatchObject({ status: 'suspended', metadata: { why: 'asked' }, version: 2 });
    expect((await change({ status: 'active', reason: 'asked' }, '"1"')).status).toBe(412);
    const racing = await Promise.all(Array.from({ length: 10 }, (_, n) => change({ metadata: { n } }, '"2"')));
    expect(racing.filter(({ status }) => status === 200)).toHaveLength(1);
    expect((await service.api.post<Problem>('/v1/wallets', { user_id: user.id })).body.code).toBe('user_suspended');
    const taken = await service.api.newUser();
    expect((await service.api.call<Problem>('PATCH', path, { phone_number: taken.phone_number })).body.code).toBe(
      'phone_number_taken',
    );
    expect((await service.api.call('PATCH', path, { phone: 1 })).status).toBe(422);
  });

  it('pages through users, newest first', async () => {
    for (let i = 0; i < 5; i++) await service.api.newUser();
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const path: string = `/v1/users?limit=2${cursor && `&cursor=${cursor}`}`;
      const page: { data: UserBody[]; next_cursor: string | null } = expectStatus(200, await service.api.get(path));
      seen.push(...page.data.map(({ id }) => id));
      cursor = page.next_cursor;
    }
    const all = await service.database.query('SELECT id FROM users ORDER BY id DESC');
    expect(seen).toEqual(all.map(({ id }) => id));
  });
});
