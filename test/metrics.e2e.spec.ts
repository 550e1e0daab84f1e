/** /metrics: that it counts what happened, of all workers together, and goes on telling while the database is away. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus, WalletClient } from './support/client.js';
import { CommitCutter } from './support/proxy.js';
import { Receiver } from './support/receiver.js';
import { bearer, startSecured } from './support/secured.js';
import { startService, type Service } from './support/service.js';
import { parseRules } from './support/rules.js';

const TOKEN = 'a-token-of-the-metrics-only';

async function scrape(api: WalletClient, headers: Record<string, string> = {}): Promise<string> {
  await delay(150); // what was looked up for an earlier scrape is shared for 100 ms
  const { status, text, headers: said } = await api.call('GET', '/metrics', undefined, headers);
  expect([status, said.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  return text;
}

/** The sum of a metric's samples whose labels contain all of these. */
function valueOf(text: string, name: string, ...labels: string[]): number {
  const samples = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  const wanted = samples.filter((line) => labels.every((label) => line.includes(label)));
  return wanted.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

function rise(before: string, after: string, name: string, ...labels: string[]): number {
  return valueOf(after, name, ...labels) - valueOf(before, name, ...labels);
}

describe('metrics', () => {
  let service: Service;
  let both: Service; // of two workers
  beforeAll(async () => {
    [service, both] = await Promise.all([
      startService({ WEBHOOK_RETRY_SECONDS: '0' }, { quiet: true }),
      startSecured({ WORKERS: '2', METRICS_TOKEN: TOKEN }),
    ]);
  });
  afterAll(() => Promise.all([service.stop(), both.stop()]));

  it('know of the error that wakes somebody up before there is one: a rise from nothing would be none', async () => {
    expect(await scrape(service.api)).toContain('\nasper_problems_total{code="internal_error"} 0\n');
  });

  it('count requests, problems, postings, groups, and how long they took', async () => {
    const { api } = service;
    const { id } = await api.newWallet('10.00');
    const replies = await Promise.all(Array.from({ length: 50 }, () => api.debit(id, '1.00')));
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(10);
    const dry = `/v1/wallets/${id}/credits?dry_run=true`;
    expectStatus(200, await api.post(dry, { amount: '1.00' }));
    await api.batch([{ type: 'debit', wallet_id: id, amount: '1.00' }], { atomic: true });
    const text = await scrape(api);
    const debits = ['method="POST"', 'route="/v1/wallets/:wallet_id/debits"'];
    expect(valueOf(text, 'asper_http_request_duration_seconds_count', ...debits, 'status="201"')).toBe(10);
    expect(valueOf(text, 'asper_http_request_duration_seconds_count', ...debits, 'status="422"')).toBe(40);
    expect(valueOf(text, 'asper_problems_total', 'code="insufficient_funds"')).toBe(40);
    expect(valueOf(text, 'asper_postings_total', 'outcome="posted"')).toBe(11);
    expect(valueOf(text, 'asper_postings_total', 'outcome="insufficient_funds"')).toBe(40);
    expect(valueOf(text, 'asper_postings_total', 'outcome="batch_refused"')).toBe(1);
    // The credit, the debits, the dry run, the batch.
    expect(valueOf(text, 'asper_posting_group_size_sum')).toBe(53);
    const groups = valueOf(text, 'asper_posting_group_size_count');
    expect(groups).toBeLessThan(30);
    expect(valueOf(text, 'asper_posting_group_duration_seconds_count')).toBe(groups);
    expect(valueOf(text, 'asper_posting_queue_wait_seconds_count')).toBe(53);
    expect(valueOf(text, 'asper_database_connections_max')).toBe(10);
    expect(valueOf(text, 'asper_database_up')).toBe(1);
    expect(valueOf(text, 'process_resident_memory_bytes')).toBeGreaterThan(50e6);
    expect(valueOf(text, 'nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0);
  });

  it('count further attempts by SQLSTATE, and time each COMMIT', async () => {
    const { api, database } = service;
    const { id } = await api.newWallet('10.00');
    const before = await scrape(api);
    // A sequence is not rolled back: the first attempt fails, the second does not.
    await database.query(`
      CREATE SEQUENCE attempts;
      CREATE FUNCTION fail_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        IF nextval('attempts') = 1 THEN RAISE 'not now' USING ERRCODE = '40001'; END IF;
        RETURN NULL;
      END $$;
      CREATE TRIGGER fail_first AFTER INSERT ON transactions FOR EACH STATEMENT EXECUTE FUNCTION fail_first()`);
    expectStatus(201, await api.debit(id, '1.00'));
    await database.query('DROP TRIGGER fail_first ON transactions');
    const after = await scrape(api);
    expect(rise(before, after, 'asper_posting_retries_total', 'sqlstate="40001"')).toBe(1);
    expect(rise(before, after, 'asper_posting_commit_duration_seconds_count')).toBe(1);
    expect(rise(before, after, 'asper_posting_commit_duration_seconds_sum')).toBeGreaterThan(0);
  });

  it('count attempts to deliver, by what became of them', async () => {
    const { api } = service;
    const answers = [500, 204, 500, 500];
    const receiver = await Receiver.start(() => answers.shift() ?? 204);
    const { id } = await api.newWallet('10.00');
    const made = { url: receiver.url, types: ['transaction.posted'] };
    const hook = expectStatus(201, await api.post<WebhookSecretBody>('/v1/webhook-endpoints', made));
    const before = await scrape(api);
    for (let n = 1; n <= 2; n++) {
      expectStatus(201, await api.debit(id, '1.00'));
      await receiver.until(({ received }) => received.length === 2 * n);
    }
    await delay(200);
    const after = await scrape(api);
    const outcomes = ['delivered', 'failed', 'dead'].map((outcome) =>
      rise(before, after, 'asper_webhook_attempts_total', `outcome="${outcome}"`),
    );
    expect(outcomes).toEqual([1, 2, 1]);
    expect(rise(before, after, 'asper_webhook_attempt_duration_seconds_count')).toBe(4);
    await api.call('DELETE', `/v1/webhook-endpoints/${hook.id}`);
    await receiver.stop();
  });

  it('make no series of what a caller has made up', async () => {
    const { api } = service;
    for (let n = 0; n < 20; n++) await api.call(n % 2 ? 'GET' : 'PROPFIND', `/made/up/${n}`);
    const text = await scrape(api);
    expect(text.includes('made/up')).toBe(false);
    expect(valueOf(text, 'asper_http_request_duration_seconds_count', 'route="none"')).toBeGreaterThanOrEqual(10);
  });

  it('tell what waits in the tables', async () => {
    const { api, database } = service;
    await database.query(`UPDATE outbox_batches SET created_at = now() - interval '1 hour'`);
    expectStatus(201, await api.post('/v1/webhook-endpoints', { url: 'http://127.0.0.1:9/hook' }));
    await database.query(
      `UPDATE webhook_endpoints SET position = 0, taken_by = gen_random_uuid(), taken_until = now() + interval '1 day'`,
    );
    // A process has begun it ten minutes ago, failed, and put it off.
    const [from, to] = [await api.newWallet('1.00'), await api.newWallet()];
    const made = {
      from_wallet_id: from.id,
      to_wallet_id: to.id,
      amount: '1.00',
      every: 'once',
      starts_at: '2199-01-01T00:00:00Z',
    };
    expectStatus(201, await api.post('/v1/schedules', made));
    await database.query(
      `UPDATE schedules SET begun_at = now() - interval '10 minutes', due_at = now() + interval '5 minutes', attempts = 7`,
    );
    const text = await scrape(api);
    expect(valueOf(text, 'asper_schedules_due')).toBe(0);
    expect(valueOf(text, 'asper_schedules_lag_seconds')).toBeGreaterThan(590);
    expect(valueOf(text, 'asper_webhook_endpoints_active')).toBe(1);
    expect(valueOf(text, 'asper_webhook_lag_seconds')).toBeGreaterThan(3_500);
  });

  it('are those of all workers together', async () => {
    // A connection leads to one worker; each of these clients has one.
    const clients = Array.from({ length: 6 }, () => new WalletClient(both.api.url, 1));
    for (const client of clients) for (let n = 0; n < 10; n++) expectStatus(200, await client.get('/version'));
    for (const client of clients) {
      const text = await scrape(client, bearer(TOKEN));
      expect(valueOf(text, 'asper_http_request_duration_seconds_count', 'route="/version"')).toBe(60);
      expect(valueOf(text, 'asper_database_connections_max')).toBe(20);
      expect(valueOf(text, 'asper_database_up')).toBe(1);
    }
  });

  it('are, of memory and delays, those of the worst worker', async () => {
    const one = valueOf(await scrape(service.api), 'process_resident_memory_bytes');
    const first = await scrape(both.api, bearer(TOKEN));
    expect(valueOf(first, 'process_resident_memory_bytes')).toBeLessThan(1.5 * one);
    // What is measured between two scrapes: one worker stands still for most of it.
    const held = Number(/workers: processes (\d+)/.exec(both.said())![1]);
    process.kill(held, 'SIGSTOP');
    await delay(700);
    process.kill(held, 'SIGCONT');
    const second = await scrape(both.api, bearer(TOKEN));
    expect(valueOf(second, 'nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0.6);
  });

  it('are for keys with metrics:read and for METRICS_TOKEN, which opens nothing else', async () => {
    const { api } = both;
    expect((await api.get('/metrics')).status).toBe(401);
    expect((await api.call('GET', '/metrics', undefined, bearer(`${TOKEN}x`))).status).toBe(401);
    expect((await api.call('GET', '/v1/wallets', undefined, bearer(TOKEN))).status).toBe(401);
    await scrape(api, bearer(TOKEN));
  });

  it('go on while the database is away, and say so', async () => {
    const proxy = await CommitCutter.start(service.database.url, 'after');
    const secured = await startSecured(
      { METRICS_TOKEN: TOKEN, DATABASE_URL: proxy.url, DATABASE_CONNECT_TIMEOUT_MS: '500' },
      { database: service.database, quiet: true },
    );
    expect(valueOf(await scrape(secured.api, bearer(TOKEN)), 'asper_database_up')).toBe(1);
    await proxy.stop();
    const text = await scrape(secured.api, bearer(TOKEN));
    expect(valueOf(text, 'asper_database_up')).toBe(0);
    expect(text.includes('\nasper_schedules_due ')).toBe(false);
    await secured.stop();
  });

  it('that dashboard and alerts ask for are there, and each alert has its page in the runbook', async () => {
    const text = await scrape(service.api);
    const known = new Set(
      [...text.matchAll(/^# TYPE (\S+) (\S+)/gm)].flatMap(([, name, type]) =>
        type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name!],
      ),
    );
    known.add('up'); // Prometheus' own
    const dashboard = JSON.parse(readFileSync('ops/grafana-dashboard.json', 'utf8')) as { panels: Panel[] };
    const asked = [...dashboard.panels.flatMap(({ targets }) => targets ?? []), ...parseRules()].map(
      ({ expr }) => expr,
    );
    expect(asked.length).toBeGreaterThan(25);
    expect([...new Set(asked.flatMap(metricsIn))].filter((name) => !known.has(name))).toEqual([]);
    const runbook = readFileSync('docs/runbook.md', 'utf8');
    const sections = [...runbook.matchAll(/^## (\S+)$/gm)].map(([, name]) => name);
    expect(sections).toEqual(parseRules().map(({ alert }) => alert));
    for (const { alert, annotations } of parseRules()) {
      expect(annotations.runbook_url).toMatch(new RegExp(`docs/runbook\\.md#${alert.toLowerCase()}$`));
    }
  });

  it('are all in docs/observability.md (UPDATE_DOCS=1 npm test -- metrics writes the table)', async () => {
    const text = await scrape(service.api);
    const rows = [...text.matchAll(/^# HELP (asper_\S+) (.*)\n# TYPE \S+ (\S+)/gm)].map(
      ([, name, help, type]) => `| \`${name}\` | ${type} | ${help} |`,
    );
    const table = ['| metric | kind | what |', '| --- | --- | --- |', ...rows.sort()].join('\n');
    const file = 'docs/observability.md';
    const [begin, end] = ['<!-- metrics: made from the code -->\n\n', '\n\n<!-- end of metrics -->'];
    const doc = readFileSync(file, 'utf8');
    const made = begin + table + end;
    if (process.env.UPDATE_DOCS)
      writeFileSync(file, doc.slice(0, doc.indexOf(begin)) + made + doc.slice(doc.indexOf(end) + end.length));
    expect(readFileSync(file, 'utf8')).toContain(made);
  });
});

interface Panel {
  targets?: Array<{ expr: string }>;
}

/** Names in an expression of PromQL that are metrics of the service, of Node.js or of the process. */
const metricsIn = (expr: string) => expr.match(/\b(?:asper|nodejs|process)_\w+|\bup\b/g) ?? [];
