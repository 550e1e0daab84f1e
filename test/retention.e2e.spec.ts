/** What is kept for a time only goes when it is over, in small batches, and nothing else goes. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { EventPageBody } from '../src/events/events.dto.js';
import type { WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { ImportBench } from './support/import-bench.js';
import { Receiver } from './support/receiver.js';
import { startService, TestDatabase, type Service } from './support/service.js';

const SWEEP = { RETENTION_SWEEP_SECONDS: '1', EVENT_RETENTION_DAYS: '10', DELIVERY_RETENTION_DAYS: '5' };

describe('retention', () => {
  let service: Service;
  let database: TestDatabase;
  const others: Service[] = [];
  const own: TestDatabase[] = [];
  beforeAll(async () => {
    service = await startService({ ...SWEEP, WEBHOOK_RETRY_SECONDS: '1,1,1,1,1,1,1,1,1,1' });
    ({ database } = service);
  });
  afterEach(async () => {
    await Promise.all(others.splice(0).map((other) => other.stop()));
    for (const one of own.splice(0)) await one.drop();
  });
  afterAll(() => service.stop());

  /** One more process, which ends with the test. */
  async function another(env: Record<string, string>, on = database): Promise<Service> {
    const other = await startService(env, { database: on });
    others.push(other);
    return other;
  }
  const count = async (table: string, on = database): Promise<number> =>
    (await on.query(`SELECT count(*)::int AS n FROM ${table}`))[0].n;
  async function until(holds: () => Promise<boolean>, ms = 20_000): Promise<void> {
    for (const end = Date.now() + ms; !(await holds()); await delay(50)) expect(Date.now()).toBeLessThan(end);
  }
  /** Makes what is there so old. */
  const age = (days: number, on = database) =>
    on.query(`
      UPDATE outbox_batches SET created_at = created_at - interval '${days} days';
      UPDATE webhook_deliveries SET ended_at = ended_at - interval '${days} days';
      UPDATE idempotency_keys SET created_at = created_at - interval '${days} days'`);
  const list = ({ api }: Service, query = '') => api.get<EventPageBody & Problem>(`/v1/events?limit=100${query}`);

  it('of events ends after its days, with two processes at it; the ledger is sound, and what is left can be read', async () => {
    const on = await TestDatabase.create();
    own.push(on);
    const env = { ...SWEEP, GROUP_SIZE_MAX: '2' };
    const [first, second] = await Promise.all([another(env, on), another(env, on)]);
    const wallets = await Promise.all(Array.from({ length: 20 }, () => first.api.newWallet('100.00')));
    for (let n = 0; n < 20; n++) await Promise.all(wallets.map(({ id }) => first.api.debit(id, '0.01')));
    const old = expectStatus(200, await list(first)).data.at(-1)!.id;
    expect(await count('outbox_batches', on)).toBeGreaterThan(100); // more than are deleted at once
    await age(11, on);
    const late = expectStatus(201, await first.api.debit(wallets[0]!.id, '1.00'));
    await until(async () => (await count('outbox_batches', on)) < 10); // the last ones that are over, and the late one
    const { data, has_more } = expectStatus(200, await list(second));
    expect([(data.at(-1)!.data as { id: string }).id, has_more]).toEqual([late.id, false]);
    expect(await count('outbox', on)).toBe(data.length);
    expect(await list(second, `&after=${old}`)).toMatchObject({ status: 410, body: { code: 'events_expired' } });
    expect(await count('transactions', on)).toBe(20 + 400 + 1);
    // What is over is as old as its transactions again.
    await on.query(`
      UPDATE outbox_batches SET created_at = created_at + interval '11 days' WHERE created_at < now() - interval '1 day'`);
    expect(await on.check()).toEqual([]);
  }, 60_000);

  it('of events leaves the last of all: whoever has read everything goes on from there, whatever they ask for', async () => {
    const { api } = service;
    const quiet = await api.newWallet('100.00');
    const other = await api.newWallet('100.00');
    const queries = ['', '&type=user.*', `&wallet_id=${quiet.id}`];
    const read = async (query: string, after?: string | null) => {
      const place = after ? `&after=${after}` : '';
      return expectStatus(200, await list(service, query + place));
    };
    const places = await Promise.all(queries.map(async (query) => (await read(query)).last_id));
    const stale = places[2]!;
    await api.debit(other.id, '1.00');
    await age(1);
    // They ask again a day later, and have seen everything.
    for (const [i, query] of queries.entries()) places[i] = (await read(query, places[i])).last_id;
    await age(11);
    await until(async () => (await count('outbox_batches')) === 1);
    for (const [i, query] of queries.entries()) {
      expect(await read(query, places[i])).toMatchObject({ data: [], has_more: false });
    }
    await api.debit(quiet.id, '1.00');
    await read('');
    await delay(2_000); // two sweeps, and what is over is no longer the last of all
    const seen = await Promise.all(queries.map(async (query, i) => (await read(query, places[i])).data.length));
    expect(seen).toEqual([1, 0, 1]);
    expect(await list(service, `&wallet_id=${quiet.id}&after=${stale}`)).toMatchObject({ status: 410 });
  }, 60_000);

  it('keeps what an active endpoint was not sent yet, and lets go when it was, or is not active', async () => {
    const { api } = service;
    let isDown = true;
    const receiver = await Receiver.start(() => (isDown ? 503 : 204));
    const body = { url: receiver.url, types: ['wallet.opened'] };
    const { id } = expectStatus(201, await api.post<WebhookSecretBody>('/v1/webhook-endpoints', body));
    const wallet = await api.newWallet();
    const kept = () => count(`outbox WHERE subject_id IN ('${wallet.user_id}', '${wallet.id}')`);
    await receiver.until(({ received }) => received.length > 0);
    await age(11);
    await delay(3_000);
    expect(await kept()).toBe(2);
    isDown = false;
    await receiver.until(({ taken }) => taken.length === 1);
    expect(receiver.taken[0]!.event.data).toMatchObject({ id: wallet.id });
    await until(async () => (await kept()) === 1);

    // The attempts are kept for their own time.
    expect(await count('webhook_deliveries')).toBe(1);
    await until(
      async () => (await database.query('SELECT FROM webhook_deliveries WHERE ended_at IS NULL')).length === 0,
    );
    await age(6);
    await until(async () => (await count('webhook_deliveries')) === 0);

    const change = { status: 'disabled' };
    expectStatus(200, await api.call('PATCH', `/v1/webhook-endpoints/${id}`, change));
    await api.newWallet();
    await age(11);
    await until(async () => (await count('outbox_batches')) === 1);
    await receiver.stop();
  }, 60_000);

  it('of keys is for ever unless the configuration says otherwise; then they are free again', async () => {
    const { api } = service;
    const wallet = await api.newWallet('100.00');
    const debit = () => api.debit(wallet.id, '1.00', {}, 'rent');
    expectStatus(201, await debit());
    const keys = await count('idempotency_keys');
    await age(40);
    await delay(2_500);
    expect(await count('idempotency_keys')).toBe(keys);
    expect(await debit()).toMatchObject({ status: 409, body: { code: 'idempotency_key_expired' } });
    await another({ ...SWEEP, IDEMPOTENCY_FORGET_DAYS: '30' });
    await until(async () => (await count("idempotency_keys WHERE key = 'rent'")) === 0);
    expectStatus(201, await debit());
    expect((await api.wallet(wallet.id)).balance).toBe('98.00');
  }, 30_000);

  it('of keys leaves those of imports: a file of years ago is imported again as it was, with nothing posted twice', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'asper-import-'));
    const csv = path.join(folder, 'in.csv');
    await writeFile(
      csv,
      'transaction_id,date,account_id,type,amount\n1,2024-01-01,a,credit,10\n2,2024-01-02,a,debit,4\n',
    );
    const importing = async () =>
      (await ImportBench.run(['import', csv, '-m', '0'], { DATABASE_URL: database.url })).stdout;
    expect(await importing()).toMatch(/2 posted, 0 already imported/);
    const wallet = await service.api.newWallet('100.00');
    expectStatus(201, await service.api.debit(wallet.id, '1.00', {}, 'fee'));
    await age(4_000);
    await another({ ...SWEEP, IDEMPOTENCY_FORGET_DAYS: '30' });
    await until(async () => (await count("idempotency_keys WHERE scope NOT LIKE 'import:%'")) === 0);
    expect(await count('idempotency_keys')).toBe(2);
    expect(await importing()).toMatch(/0 posted, 2 already imported/);
    await rm(folder, { recursive: true });
  }, 30_000);
});
