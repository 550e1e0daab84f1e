/**
 * R12: ten times more than it can do, as an open loop: requests arrive whether or not earlier ones are answered. What it can do it
 * goes on doing; the rest hears 503 and when to come back. The service is made slow (small groups, a slow line to the
 * database), so that one machine can ask for ten times as much. Nothing is sent twice here, so R2 is a comparison of ids.
 */
import { expect, it } from '@jest/globals';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { WalletClient, type Reply } from '../../test/support/client.js';
import { startService, TestDatabase } from '../../test/support/service.js';
import { quantile } from '../client-log.js';
import { report, times } from '../stage.js';

const PHASE_MS = times(15_000, 5_000);
const FACTORS = times(1, 0) === 1 ? [1, 2, 5, 10] : [1, 10];
/** Each packet to and from the database is late by so much. */
const PACKET_MS = 5;
const LIVE_MS_MAX = 100;
const GOODPUT_SHARE = 0.9;

interface Phase {
  done: number;
  refused: number;
  odd: string[];
  liveMs: number[];
}

it('R12: ten times more than it can do', async () => {
  const database = await TestDatabase.create();
  const line = fork('torture/line.js', [database.url]);
  const url = new URL(database.url);
  url.port = String((await once(line, 'message'))[0]);
  const env = { DATABASE_URL: url.href, GROUP_SIZE_MAX: '8', QUEUE_LENGTH_MAX: '200' };
  const service = await startService(env, { database, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 50 }, () => service.api.newWallet('1000000.00')));
  line.send(PACKET_MS);
  const api = new WalletClient(service.api.url, 4_000);
  const told: string[] = [];
  const debit = async (n: number) => {
    const reply = await api.debit(wallets[n % wallets.length]!.id, '0.01');
    if (reply.status === 201) told.push(reply.body.id);
    return reply;
  };
  const peak = await peakOf(debit);
  const problems: string[] = [];
  const late: string[] = [];
  const lines: string[] = [`peak ${peak.toFixed(0)}/s`];
  for (const factor of FACTORS) {
    const { done, refused, odd, liveMs } = await openLoop(factor * peak, debit, service.api.url);
    const goodput = done / (PHASE_MS / 1_000);
    const longest = Math.max(...liveMs);
    const live = `live p99 ${quantile(liveMs, 0.99).toFixed(0)}, longest ${longest.toFixed(0)} ms of ${liveMs.length}`;
    lines.push(`${factor} ×: ${goodput.toFixed(0)}/s done, ${refused} × 503, ${live}`);
    problems.push(...odd.slice(0, 3));
    if (factor === 10 && goodput < GOODPUT_SHARE * peak)
      late.push(`goodput at 10 × is ${(goodput / peak).toFixed(2)} of the peak`);
    if (liveMs.length === 0 || longest > LIVE_MS_MAX) late.push(`live took ${longest.toFixed(0)} ms at ${factor} ×`);
    if (factor > 1 && refused === 0) problems.push(`nothing was refused at ${factor} ×`);
    await delay(1_000);
  }
  problems.push(...(await unkept(told, database)), ...(await database.problems()));
  const figures = `${lines.join('; ')}; ${told.length} acknowledged`;
  const broken = report('R12', 'overload, open loop', figures, problems, late);
  await service.stop();
  line.disconnect();
  await database.drop();
  expect(broken).toEqual([]);
});

/** What was acknowledged and is absent, or is acknowledged for two requests. */
async function unkept(told: string[], database: TestDatabase): Promise<string[]> {
  const ids = new Set((await database.query('SELECT id FROM transactions')).map(({ id }) => id as string));
  const absent = told.filter((id) => !ids.has(id)).map((id) => `${id} was acknowledged and is absent`);
  const twice = told.length - new Set(told).size;
  return [...absent.slice(0, 5), ...(twice > 0 ? [`${twice} ids were acknowledged twice`] : [])];
}

/** What it does in a second, asked by 100 clients who wait for their answers. */
async function peakOf(debit: (n: number) => Promise<Reply<unknown>>): Promise<number> {
  let [n, done] = [0, 0];
  let isOver = false;
  const clients = Array.from({ length: 100 }, async () => {
    while (!isOver) if ((await debit(n++)).status === 201) done += 1;
  });
  await delay(1_000);
  const before = done;
  const startedAt = performance.now();
  await delay(3_000);
  const peak = ((done - before) * 1_000) / (performance.now() - startedAt);
  isOver = true;
  await Promise.all(clients);
  return peak;
}

async function openLoop(rate: number, debit: (n: number) => Promise<Reply<unknown>>, url: string): Promise<Phase> {
  const phase: Phase = { done: 0, refused: 0, odd: [], liveMs: [] };
  const pending: Promise<void>[] = [];
  // A process of its own: this one is busy making the load, and would measure itself.
  const probe = fork('torture/probe.js', [`${url}/health/live`]);
  probe.on('message', (ms) => phase.liveMs.push(Number(ms)));
  const startedAt = performance.now();
  let sent = 0;
  for (let elapsed = 0; elapsed < PHASE_MS; elapsed = performance.now() - startedAt) {
    for (; sent < (rate * elapsed) / 1_000; sent++) pending.push(ask(debit(sent), phase));
    await delay(1);
  }
  const { done } = phase; // what is done after the phase does not count
  probe.disconnect();
  await once(probe, 'exit');
  await Promise.all(pending);
  return { ...phase, done };
}

async function ask(asked: Promise<Reply<unknown>>, phase: Phase): Promise<void> {
  const reply = await asked.catch((error: Error) => error);
  if (reply instanceof Error) phase.odd.push(reply.message);
  else if (reply.status === 201) phase.done += 1;
  else if (reply.status === 503 && reply.headers.get('retry-after') && isProblem(reply)) phase.refused += 1;
  else phase.odd.push(`${reply.status} ${reply.text}`);
}

function isProblem({ headers }: Reply<unknown>): boolean {
  return headers.get('content-type')?.startsWith('application/problem+json') ?? false;
}
