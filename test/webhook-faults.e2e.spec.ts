/**
 * R19: processes that die, restart and share the work. No event is lost, each comes under one id, none tells of a
 * transaction that is not in the ledger. `WEBHOOK_KILLS=100` for the long run.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { figure } from '../torture/stage.js';
import type { EventBody, EventPageBody } from '../src/events/events.dto.js';
import type { WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus } from './support/client.js';
import { Receiver, type Answering } from './support/receiver.js';
import { startService, TestDatabase, type Service } from './support/service.js';

const KILLS = Number(process.env.WEBHOOK_KILLS ?? 1);
/** What a process that died has left is taken over by then. */
const TAKEN_OVER_MS = 25_000;

describe('webhooks of processes that die', () => {
  let database: TestDatabase;
  const services: Service[] = [];
  const receivers: Receiver[] = [];
  beforeAll(async () => {
    database = await TestDatabase.create();
  });
  afterEach(async () => {
    for (const service of alive().slice(1)) await service.stop();
    for (const receiver of receivers.splice(0)) await receiver.stop();
    await database.query('DELETE FROM webhook_endpoints');
  });
  afterAll(async () => {
    for (const service of services) await service.stop();
    await database.drop();
  });

  const alive = () => services.filter(({ process }) => process.exitCode === null && process.signalCode === null);
  async function start(): Promise<Service> {
    const service = await startService({ WEBHOOK_RETRY_SECONDS: '0,1,1,1,1,1' }, { database, quiet: true });
    services.push(service);
    return service;
  }
  /** The process that the test before has left, where there is one. */
  const running = async () => alive()[0] ?? (await start());
  async function kill(service: Service): Promise<void> {
    service.process.kill('SIGKILL');
    await once(service.process, 'exit');
  }
  async function receive({ api }: Service, answering?: Answering, types = ['transaction.posted']) {
    const receiver = await Receiver.start(answering);
    receivers.push(receiver);
    const body = { url: receiver.url, types };
    const endpoint = expectStatus(201, await api.post<WebhookSecretBody>('/v1/webhook-endpoints', body));
    receiver.secrets.push(endpoint.secret!);
    return receiver;
  }
  async function allEvents({ api }: Service, type: string): Promise<EventBody[]> {
    const events: EventBody[] = [];
    for (let after = ''; ;) {
      const page = expectStatus(200, await api.get<EventPageBody>(`/v1/events?limit=100&type=${type}${after}`));
      events.push(...page.data);
      if (!page.has_more) return events;
      after = `&after=${page.last_id}`;
    }
  }
  const nothingWaits = async () =>
    (await database.query(`SELECT FROM webhook_deliveries WHERE status = 'pending'`)).length === 0;

  it(`lose nothing in ${KILLS} × kill -9 between commit and delivery`, async () => {
    let service = await running();
    const receiver = await receive(service, () => (Math.random() < 0.1 ? 500 : 204));
    const wallets = await Promise.all(Array.from({ length: 5 }, () => service.api.newWallet('1000000.00')));
    const answered = new Set<string>();
    for (let n = 0; n < KILLS; n++) {
      const { api } = service;
      const load = wallets.map(async ({ id }) => {
        for (;;) {
          const reply = await api.debit(id, '0.01').catch(() => undefined);
          if (!reply) return; // it is dead
          answered.add(expectStatus(201, reply).id);
        }
      });
      await delay(100 + Math.random() * 1_000);
      await kill(service);
      await Promise.all(load);
      service = await start();
    }
    const ours = wallets.map(({ id }) => id);
    const events = (await allEvents(service, 'transaction.posted')).filter((event) =>
      event.wallets.some(({ wallet_id: id }) => ours.includes(id)),
    );
    await receiver.until(({ taken }) => taken.length >= events.length, TAKEN_OVER_MS + events.length * 5);
    const posted = 'SELECT DISTINCT transaction_id AS id FROM entries WHERE wallet_id = ANY($1)';
    const ledger = new Set((await database.query(posted, [ours])).map(({ id }) => id as string));
    const told = receiver.received.map(({ event }) => (event.data as { id: string }).id);
    expect([...answered].filter((id) => !told.includes(id))).toEqual([]);
    expect(told.filter((id) => !ledger.has(id))).toEqual([]);
    expect(new Set(receiver.taken.map(({ id }) => id))).toEqual(new Set(events.map(({ id }) => id)));
    expect([new Set(told).size, receiver.unsigned]).toEqual([ledger.size, []]);
    for (const id of ours) {
      const versions = receiver.taken
        .flatMap(({ event }) => event.wallets)
        .filter(({ wallet_id: wallet }) => wallet === id)
        .map(({ version }) => version);
      expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    }
    expect(await database.problems()).toEqual([]);
    figure(`${KILLS} kills, ${ledger.size} transactions, ${told.length} deliveries, 0 lost`);
  }, 600_000);

  it('come again, under the same id, where the process is killed in mid-send', async () => {
    const first = await running();
    const receiver = await receive(first, () => {
      if (receiver.received.length > 1) return 204;
      first.process.kill('SIGKILL');
    });
    await first.api.newWallet('1.00');
    await once(first.process, 'exit');
    await start();
    await receiver.until(({ taken }) => taken.length === 1, TAKEN_OVER_MS);
    const [lost, again] = receiver.received;
    expect([lost!.id, lost!.text]).toEqual([again!.id, again!.text]);
  }, 60_000);

  it('are shared between two processes; what a process leaves at its end is taken up at once, and ended first', async () => {
    const [first, second] = [await running(), await start()];
    const all = await Promise.all(
      Array.from({ length: 8 }, () =>
        receive(first, (received, response) => {
          setTimeout(() => response.writeHead((received.status = 204)).end(), 300);
        }),
      ),
    );
    for (const end = Date.now() + 5_000; Date.now() < end; await delay(50)) {
      const takers = await database.query('SELECT count(*)::int AS n FROM webhook_endpoints GROUP BY taken_by');
      if (takers.length === 2) break;
    }
    const takers = await database.query('SELECT DISTINCT taken_by FROM webhook_endpoints');
    expect(takers).toHaveLength(2);
    const wallet = await second.api.newWallet('10.00');
    for (const receiver of all) await receiver.until(({ received }) => received.length === 1);
    await first.stop();
    const stoppedAt = Date.now();
    expectStatus(201, await second.api.debit(wallet.id, '1.00'));
    for (const receiver of all) await receiver.until(({ taken }) => taken.length === 2);
    expect(Date.now() - stoppedAt).toBeLessThan(5_000);
    // Nothing that was under way was sent twice.
    expect(all.map(({ received }) => received.length)).toEqual(all.map(() => 2));
  }, 60_000);

  it('tell nothing of what was rolled back', async () => {
    const service = await running();
    const receiver = await receive(service, undefined, []);
    const wallet = await service.api.newWallet('10.00');
    await database.refusing('entries', `NEW.wallet_id = '${wallet.id}'`, async () => {
      for (let n = 0; n < 5; n++) expect((await service.api.debit(wallet.id, '1.00')).status).toBe(500);
    });
    expect((await service.api.debit(wallet.id, '11.00')).status).toBe(422);
    const last = expectStatus(201, await service.api.debit(wallet.id, '2.00'));
    await receiver.until(({ taken }) => (taken.at(-1)?.event.data as { id?: string })?.id === last.id);
    // Sorted: what concerns the user and what concerns the wallet are in no order to each other.
    expect(receiver.taken.map(({ event }) => event.type).sort()).toEqual([
      ...['transaction.posted', 'transaction.posted', 'user.registered', 'wallet.opened'],
    ]);
    for (const end = Date.now() + 5_000; !(await nothingWaits()); await delay(20)) expect(Date.now()).toBeLessThan(end);
  });
});
