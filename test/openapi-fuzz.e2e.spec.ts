/**
 * R18: whatever is asked of an operation of the OpenAPI document, the answer is one that it declares: status, media type,
 * every field, every error code. Never a fault, never a look inside, and the books balance afterwards.
 *
 * FUZZ_CASES says how many requests each operation gets (200 for the full run), FUZZ_SEED repeats a run.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { figure } from '../torture/stage.js';
import { Contract, parsed, routesOf, type Answer, type Document, type Route } from './support/fuzz/document.js';
import { Random } from './support/fuzz/random.js';
import { Requests, type Case } from './support/fuzz/requests.js';
import { curl, send } from './support/fuzz/send.js';
import { Values } from './support/fuzz/values.js';
import { World } from './support/fuzz/world.js';
import { Receiver } from './support/receiver.js';
import { startSecured } from './support/secured.js';
import type { Service } from './support/service.js';

const CASES = Number(process.env.FUZZ_CASES ?? 6);
const SEED = process.env.FUZZ_SEED ?? String(Date.now() % 1_000_000);

describe('every operation of the OpenAPI document', () => {
  let service: Service;
  let receiver: Receiver;
  let contract: Contract;
  let world: World;
  const agent = new Agent({ keepAlive: true });
  /** What was wrong, and the first request that showed it. */
  const breaches = new Map<string, { count: number; example: string }>();
  const statuses = new Map<number, number>();
  /** The operations that did what they were asked, at least once. */
  const done = new Set<string>();

  beforeAll(async () => {
    receiver = await Receiver.start();
    service = await startSecured({
      WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
      CODES_PER_DAY: '1000000',
      TEST_CLOCK: 'on',
    });
    contract = new Contract((await service.api.get<Document>('/docs-json')).body);
    world = await World.of(service);
  });
  afterAll(async () => {
    agent.destroy();
    await service.stop();
    await receiver.stop();
  });

  const note = (breach: string, { request }: Case, answer?: Answer) => {
    const known = breaches.get(breach);
    if (known) known.count++;
    else
      breaches.set(breach, { count: 1, example: `${curl(request)}\n    → ${answer?.body.toString().slice(0, 400)}` });
  };

  /** What is wrong with an answer; nothing where it is as declared. */
  function breachOf(route: Route, { json, isOffRoute, request }: Case, answer: Answer): string | undefined {
    const { status } = answer;
    if (isOffRoute) {
      if (status >= 500) return `answers ${status} off its route`;
      const type = String(answer.headers['content-type']);
      return status < 400 || /problem\+json|application\/json/.test(type) ? undefined : `answers ${status} as ${type}`;
    }
    const breach = contract.breach(route, answer);
    if (breach || status >= 300) return breach;
    const schema = route.operation.requestBody?.content['application/json']?.schema;
    if (!schema || json === undefined || request.method !== route.method) return undefined;
    const mismatch = contract.mismatch(schema, json);
    return mismatch && `lets in a body that is not declared: ${mismatch}`;
  }

  it('answers as it declares, whatever it is asked', async () => {
    const routes = routesOf(contract.document);
    const requests = new Requests(contract, new Values(contract, world.known, receiver.url));
    for (let i = 0; i < CASES; i++) {
      if (i % 3 === 0) await world.refresh();
      await world.refreshCode();
      for (const route of routes) {
        const random = new Random(SEED, route.at, i);
        const credential = await world.credentialFor(random, route);
        const tried = requests.next(random, route, credential);
        const answer = await send(service.api.url, agent, tried.request).catch((error: Error) => {
          note(`${route.at}: no answer: ${error.message}`, tried);
        });
        if (!answer) continue;
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        if (answer.status < 300 && !tried.isOffRoute) done.add(route.at);
        const breach = breachOf(route, tried, answer);
        if (breach) note(`${route.at} ${breach}`, tried, answer);
        const key = tried.request.headers['idempotency-key'];
        if (key && answer.status < 500) world.keep('key', key);
        if (!tried.isOffRoute) world.learn(credential, route, answer);
      }
    }
    const told = [...breaches].map(([breach, { count, example }]) => `${breach} (${count} times)\n    ${example}`);
    const sorted = Object.fromEntries([...statuses].sort(([a], [b]) => a - b));
    const never = routes.map(({ at }) => at).filter((at) => !done.has(at));
    figure(
      `FUZZ_SEED=${SEED} FUZZ_CASES=${CASES}: ${routes.length} operations, answers ${JSON.stringify(sorted)}, ` +
        `never done: ${never.join(', ') || 'none'}`,
    );
    expect(told.join('\n')).toBe('');
    // Six cases leave a few operations undone, 200 none.
    if (CASES >= 200) expect(never).toEqual([]);
  }, 1_800_000);

  it('leaves the laws of the ledger whole', async () => {
    // Webhooks may be on their way, in a transaction of theirs at this moment.
    let problems = await service.database.problems();
    for (let i = 0; i < 50 && problems.length > 0; i++) {
      await delay(100);
      problems = await service.database.problems();
    }
    expect(problems).toEqual([]);
    expect(await service.database.check()).toEqual([]);
    expect(parsed(JSON.stringify((await service.api.get('/health/ready')).body))).toMatchObject({ status: 'ok' });
  });
});

describe('while the database is away', () => {
  it('every operation answers as it declares, and all is well when it is back', async () => {
    const service = await startSecured(
      { GROUP_ATTEMPTS_MAX: '2', GROUP_DEADLINE_MS: '500', DATABASE_CONNECT_TIMEOUT_MS: '500' },
      { quiet: true },
    );
    const agent = new Agent({ keepAlive: true });
    const admin = new pg.Client({ connectionString: process.env.ASPER_TEST_DATABASE_URL });
    await admin.connect();
    try {
      const contract = new Contract((await service.api.get<Document>('/docs-json')).body);
      const world = await World.of(service);
      await world.refresh();
      const requests = new Requests(contract, new Values(contract, world.known, 'https://example.com'));
      const routes = routesOf(contract.document);
      const tried = [];
      for (const route of routes) {
        const credential = await world.usualFor(route);
        tried.push({ route, request: requests.good(new Random(SEED, route.at), route, credential).request });
      }
      const { name } = service.database;
      await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
      const end = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1';
      await admin.query(end, [name]);
      const breaches: string[] = [];
      let away = 0;
      for (const { route, request } of tried) {
        const answer = await send(service.api.url, agent, request);
        if (answer.status === 503) away++;
        const breach = contract.breach(route, answer, true);
        if (breach) breaches.push(`${route.at} ${breach}\n    ${curl(request)}\n    → ${answer.body.toString()}`);
      }
      await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
      expect(breaches.join('\n')).toBe('');
      expect(away).toBeGreaterThan(routes.length / 2);
      expect((await service.api.get('/health/ready')).status).toBe(200);
    } finally {
      await admin.end();
      agent.destroy();
      await service.stop();
    }
  }, 120_000);
});
