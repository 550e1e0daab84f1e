/** R10: what becomes of money when the primary dies, freezes, or hands over, behind Patroni, etcd and HAProxy. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { startService, TestDatabase, type Service } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { randomOf, report, skip } from '../stage.js';
import { Cluster, missing, TTL_SECONDS, type Member } from './cluster.js';

const UNPLANNED_MS_MAX = (TTL_SECONDS + 5) * 1_000;
const PLANNED_MS_MAX = 5_000;
const SERVICE_MS_MAX = 5_000;

interface Stage {
  cluster: Cluster;
  members: { leader: Member; standby: Member };
}

let why: string | undefined;
let cluster: Cluster;
let service: Service;

beforeAll(async () => {
  why = await missing();
  if (why) return;
  report('R10', 'versions', await Cluster.versions());
  cluster = await Cluster.start();
  process.env.ASPER_TEST_DATABASE_URL = cluster.url;
  const admin = await TestDatabase.join('postgres');
  await admin.query('CREATE DATABASE wallet');
  await admin.close();
  service = await startService({}, { database: await TestDatabase.join('wallet'), quiet: true });
}, 180_000);

afterAll(async () => {
  await service?.stop();
  await cluster?.stop();
});

/** Load on the service while something happens to its database. @param gapMsMax without any success */
async function underLoad(name: string, what: string, gapMsMax: number, happen: (stage: Stage) => Promise<void>) {
  if (why) return skip('R10', what, why);
  const members = await cluster.whole();
  await delay(2_000); // HAProxy has noticed who leads
  const random = randomOf(name);
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    random,
    name,
  );
  log.start(16, () => service.api);
  await delay(2_000);
  await happen({ cluster, members });
  await cluster.whole();
  await delay(3_000);
  await log.stop();
  const unknown = await log.resolve(service.api);
  const database = await TestDatabase.join('wallet');
  const problems = await log.problems(database);
  await database.close();
  if (log.gapMs > gapMsMax) problems.push(`${(log.gapMs / 1_000).toFixed(1)} s without a success`);
  const figures = `${log.acknowledged} acknowledged, ${unknown} unknown and resolved, longest gap ${(log.gapMs / 1_000).toFixed(1)} s of ${gapMsMax / 1_000}`;
  report('R10', what, figures, problems);
  expect(problems).toEqual([]);
}

it('a planned switchover', () =>
  underLoad('planned', 'planned switchover', PLANNED_MS_MAX, ({ cluster, members }) => cluster.switchOver(members)));

it('kill -9 of the primary', () =>
  underLoad('killed', 'kill -9 of PostgreSQL on the primary', UNPLANNED_MS_MAX, async ({ cluster, members }) => {
    cluster.killPostgres(members.leader);
    await delay(1_000);
  }));

it('a primary whose host is gone, and comes back', () =>
  underLoad('gone', 'the host of the primary is gone', UNPLANNED_MS_MAX, async ({ cluster, members }) => {
    cluster.kill(members.leader);
    await delay(UNPLANNED_MS_MAX);
    await cluster.bringBack(members.leader);
  }));

it('a primary that freezes, and wakes up believing that it leads', () =>
  underLoad(
    'frozen',
    'the host of the primary freezes and wakes up',
    UNPLANNED_MS_MAX,
    async ({ cluster, members }) => {
      const thaw = cluster.freeze(members.leader);
      await delay(UNPLANNED_MS_MAX);
      thaw();
      await delay(2_000);
    },
  ));

it('kill -9 of the service', () =>
  underLoad('service', 'kill -9 of the service', SERVICE_MS_MAX, async () => {
    const { url } = service.database;
    service.process.kill('SIGKILL');
    await once(service.process, 'exit');
    service = await startService({ DATABASE_URL: url }, { database: service.database, quiet: true });
  }));
