/** R11: a database that is slow, and a wallet that somebody holds. 503 in time, others notice nothing, memory stays. */
import { expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { startService, TestDatabase, type Service } from '../../test/support/service.js';
import { ClientLog, quantile } from '../client-log.js';
import { FaultyNetwork } from '../proxy.js';
import { randomOf, report, times } from '../stage.js';

const SLOW_MS = times(20_000, 4_000);
const HELD_MS = times(30_000, 6_000);
const DEADLINE_MS = 15_000;
const LOCK_MS = 5_000;
const ADDED_MB_MAX = 50;

/** Memory that is taken in the middle of it and given back would be missed by a look before and after. */
class MemoryWatch {
  private readonly beforeMB: number;
  private mostMB: number;
  private readonly timer: NodeJS.Timeout;

  constructor(service: Service) {
    this.mostMB = this.beforeMB = residentMB(service);
    this.timer = setInterval(() => (this.mostMB = Math.max(this.mostMB, residentMB(service))), 500);
  }

  /** @returns how much more there was at most than at the beginning */
  stop(): number {
    clearInterval(this.timer);
    return this.mostMB - this.beforeMB;
  }
}

const residentMB = ({ process: { pid } }: Service) =>
  Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_000;

it.each([200, 2_000])('R11: a database that is slow by %s ms a packet', async (ms) => {
  const database = await TestDatabase.create();
  const network = await FaultyNetwork.start(database.url);
  const service = await startService({ DATABASE_URL: network.url }, { database, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    randomOf(`r11 ${ms}`),
    `r11slow${ms}`,
  );
  log.start(64, () => service.api);
  await delay(2_000);
  const memory = new MemoryWatch(service);
  network.mode = { kind: 'slow', ms };
  await delay(SLOW_MS);
  const added = memory.stop();
  network.mode = { kind: 'pass' };
  await delay(2_000);
  await log.stop();
  const unknown = await log.resolve(service.api);
  const problems = await log.problems(database);
  const longest = Math.max(...log.latenciesMs);
  const late = longest > DEADLINE_MS + 1_000 ? [`a request took ${longest.toFixed(0)} ms`] : [];
  if (added > ADDED_MB_MAX) problems.push(`${added.toFixed(0)} MB more`);
  const refused = log.statuses.get(503) ?? 0;
  const broken = report(
    'R11',
    `database slow by ${ms} ms a packet`,
    `${log.acknowledged} acknowledged, ${refused} × 503, ${unknown} resolved, longest request ${longest.toFixed(0)} ms, at most ${added.toFixed(0)} MB more`,
    problems,
    late,
  );
  await service.stop();
  network.stop();
  await database.drop();
  expect(broken).toEqual([]);
});

it(`R11: a hot wallet that is held for ${HELD_MS / 1_000} s`, async () => {
  const database = await TestDatabase.create();
  const service = await startService({}, { database, quiet: true });
  const hot = await service.api.newWallet('1000000.00');
  const others = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const log = new ClientLog(
    others.map(({ id }) => id),
    randomOf('r11'),
    'r11held',
  );
  const hotLog = new ClientLog([hot.id], randomOf('r11 hot'), 'r11hot');
  log.start(16, () => service.api);
  await delay(HELD_MS / 4);
  const before = quantile(log.latenciesMs.splice(0), 0.99);
  const memory = new MemoryWatch(service);
  await database.locking(hot.id, async () => {
    hotLog.start(16, () => service.api);
    await delay(HELD_MS);
  });
  const held = quantile(log.latenciesMs.splice(0), 0.99);
  const added = memory.stop();
  await hotLog.stop();
  log.latenciesMs.splice(0);
  // Usual is what it was before and is after: the machine has other guests.
  await delay(HELD_MS / 4);
  const usual = Math.max(before, quantile(log.latenciesMs, 0.99));
  await log.stop();
  const unknown = (await log.resolve(service.api)) + (await hotLog.resolve(service.api));
  const problems = [...(await log.problems(database)), ...(await hotLog.problems(database))];
  const longest = Math.max(...hotLog.latenciesMs);
  const late = longest > DEADLINE_MS + 1_000 ? [`a request on the hot wallet took ${longest.toFixed(0)} ms`] : [];
  if (held >= 2 * usual) late.push(`p99 of other wallets ${held.toFixed(0)} ms, usually ${usual.toFixed(0)}`);
  if (added > ADDED_MB_MAX) problems.push(`${added.toFixed(0)} MB more`);
  const refused = hotLog.statuses.get(503) ?? 0;
  // Whoever is held for longer than a lock is waited for hears so.
  if (HELD_MS > LOCK_MS && refused === 0) problems.push('nobody on the hot wallet heard 503');
  const broken = report(
    'R11',
    `a hot wallet held for ${HELD_MS / 1_000} s`,
    `other wallets' p99 ${held.toFixed(0)} ms, usually ${usual.toFixed(0)}; hot ones: ${refused} × 503, answered within ${longest.toFixed(0)} ms; ${unknown} resolved, at most ${added.toFixed(0)} MB more`,
    problems,
    late,
  );
  await service.stop();
  await database.drop();
  expect(broken).toEqual([]);
});
