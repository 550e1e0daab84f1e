/** Traces: what leaves for a collector, what never does, and that a service without one loads and costs nothing (docs/traces.md). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import type { WebhookSecretBody } from '../src/webhooks/webhooks.dto.js';
import { expectStatus } from './support/client.js';
import { Collector, type ExportedSpan } from './support/collector.js';
import { Receiver } from './support/receiver.js';
import { failedStart, startService, TestDatabase, type Service } from './support/service.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const traced = (flags = '01', trace = TRACE) => ({ traceparent: `00-${trace}-${CALLER}-${flags}` });
/** A new trace id, so that a test finds its own spans. */
const newTrace = () => Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join('');
const server = (trace: string) => (span: ExportedSpan) => span.traceId === trace && span.kind === 2;

/** The statement of a group that writes a debit without a key. */
const WRITE = 'write_wallets_events_transactions_entries';

/**
 * Says at its end how many modules of OpenTelemetry were loaded. They are CommonJS, so Node's own list has them all.
 */
const PROBE = `import { createRequire } from 'node:module';
  const { cache } = createRequire('/');
  const loaded = () => Object.keys(cache).filter((file) => /@opentelemetry./.test(file)).length;
  process.on('exit', () => console.log('modules of OpenTelemetry: ' + loaded()));`;
const withProbe = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(PROBE)}` };

describe('traces', () => {
  let collector: Collector;
  let service: Service;
  beforeAll(async () => {
    collector = await Collector.start();
    service = await startService({
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=money' },
      ...{ OTEL_BSP_SCHEDULE_DELAY: '50', OTEL_SERVICE_NAME: 'wallets-of-a-test' },
    });
  });
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(async () => {
    await service.stop();
    await collector.stop();
  });

  it('show a debit in the trace of its caller, the group that it was in, and its statements', async () => {
    const wallet = await service.api.newWallet('100');
    const reply = await service.api.call('POST', `/v1/wallets/${wallet.id}/debits`, { amount: '1.00' }, traced());
    expectStatus(201, reply);

    const span = await collector.span(server(TRACE));
    expect(span).toMatchObject({ name: 'POST /v1/wallets/:wallet_id/debits', parentSpanId: CALLER, status: 0 });
    expect(span.attributes).toEqual({
      ...{ 'http.request.method': 'POST', 'http.route': '/v1/wallets/:wallet_id/debits', 'url.scheme': 'http' },
      'http.response.status_code': 201,
    });
    expect(span.resource).toMatchObject({ 'service.name': 'wallets-of-a-test', 'process.pid': service.process.pid });
    expect(collector.headers[0]).toMatchObject({ 'x-tenant': 'money', 'content-type': 'application/x-protobuf' });

    const group = await collector.span(({ links }) => links.some(({ spanId }) => spanId === span.spanId));
    expect(group).toMatchObject({ name: 'posting group', kind: 1, parentSpanId: '' });
    expect(group.attributes).toEqual({ 'asper.group.size': 1, 'asper.group.attempt': 1 });
    expect(group.links).toEqual([{ traceId: TRACE, spanId: span.spanId }]);
    expect(group.traceId).not.toBe(TRACE);
    expect(span.links).toEqual([{ traceId: group.traceId, spanId: group.spanId }]);

    const statements = collector.childrenOf(group);
    expect(statements.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['START TRANSACTION', 'read_free_wallets', WRITE, 'COMMIT']),
    );
    const { kind, attributes } = statements.find(({ name }) => name === WRITE)!;
    expect(kind).toBe(3);
    expect(attributes).toEqual({
      ...{ 'db.system.name': 'postgresql', 'db.query.summary': WRITE, 'db.operation.name': 'UPDATE' },
      'db.collection.name': 'wallets',
    });
  });

  it('show the statements of a request that only reads under that request', async () => {
    const trace = newTrace();
    const wallet = await service.api.newWallet('5');
    expectStatus(200, await service.api.call('GET', `/v1/wallets/${wallet.id}`, undefined, traced('01', trace)));
    const span = await collector.span(server(trace));
    await collector.span(({ parentSpanId }) => parentSpanId === span.spanId);
    for (const statement of collector.childrenOf(span)) expect(statement.name).toMatch(/^(SELECT [a-z_]+|[a-z_]+)$/);
  });

  it('link a group to each of the requests in it', async () => {
    const wallet = await service.api.newWallet('100');
    const traces = Array.from({ length: 20 }, newTrace);
    await service.database.locking(wallet.id, async () => {
      const debits = traces.map((trace) =>
        service.api.call('POST', `/v1/wallets/${wallet.id}/debits`, { amount: '1.00' }, traced('01', trace)),
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      return { debits };
    });
    const spans = await Promise.all(traces.map((trace) => collector.span(server(trace))));
    const group = await collector.span(({ name, links }) => name === 'posting group' && links.length > 1);
    expect(group.attributes['asper.group.size']).toBe(group.links.length);
    const own = new Set(spans.map(({ spanId }) => spanId));
    for (const { spanId } of group.links) expect(own).toContain(spanId);
  });

  it('say which problem a refusal was', async () => {
    const wallet = await service.api.newWallet('1');
    const debit = (amount: string, trace: string) =>
      service.api.call('POST', `/v1/wallets/${wallet.id}/debits`, { amount }, traced('01', trace));
    const [refused, invalid, lost] = [newTrace(), newTrace(), newTrace()];
    expect((await debit('2.00', refused)).status).toBe(422);
    expect((await debit('nonsense', invalid)).status).toBe(422);
    expect((await service.api.call('GET', '/nowhere/secret-path', undefined, traced('01', lost))).status).toBe(404);
    const problem = async (trace: string) => (await collector.span(server(trace))).attributes['asper.problem.type'];
    expect(await problem(refused)).toBe('/errors/insufficient_funds');
    expect(await problem(invalid)).toBe('/errors/validation_failed');
    expect(await collector.span(server(lost))).toMatchObject({ name: 'GET', status: 0 });
    expect(await problem(lost)).toBe('/errors/not_found');
  });

  it('do as the caller has decided, and pass over a header that is not as the standard has it', async () => {
    const [unwanted, wanted] = [newTrace(), newTrace()];
    const wallet = await service.api.newWallet('10');
    const debit = (headers: Record<string, string>) =>
      service.api.call('POST', `/v1/wallets/${wallet.id}/debits`, { amount: '1.00' }, headers);
    expectStatus(201, await debit(traced('00', unwanted)));
    const count = collector.spans.length;
    for (const traceparent of [`00-${'0'.repeat(32)}-${CALLER}-01`, `ff-${TRACE}-${CALLER}-01`, 'x'])
      expectStatus(201, await debit({ traceparent }));
    expectStatus(201, await debit(traced('01', wanted)));
    await collector.span(server(wanted));
    expect(collector.spans.filter(({ traceId }) => traceId === unwanted)).toEqual([]);
    const others = collector.spans.slice(count).filter(({ kind, name }) => kind === 2 && /debit/.test(name));
    expect(others.filter(({ parentSpanId }) => parentSpanId === '')).toHaveLength(3);
  });

  it('go on with webhooks, which carry a traceparent of their own', async () => {
    const receiver = await Receiver.start(({ headers }) => (headers.traceparent === undefined ? 400 : 204));
    const url = `${receiver.url}?token=in-the-query-of-a-hook`;
    const hook = expectStatus(201, await service.api.post<WebhookSecretBody>('/v1/webhook-endpoints', { url }));
    receiver.secrets.push(hook.secret!);
    await service.api.newWallet('1');
    await receiver.until(({ taken }) => taken.length > 0);
    const [{ headers, id }] = receiver.received as [(typeof receiver.received)[0]];
    const [, traceId, spanId, flags] = String(headers.traceparent).split('-');
    const span = await collector.span((found) => found.traceId === traceId);
    expect(span).toMatchObject({ spanId, name: 'POST webhook', kind: 3, status: 0 });
    expect(span.attributes).toMatchObject({ 'server.address': '127.0.0.1', 'asper.event.id': id });
    expect(span.attributes['http.response.status_code']).toBe(204);
    expect(flags).toBe('01');
    expect(receiver.unsigned).toEqual([]);
    await service.api.call('DELETE', `/v1/webhook-endpoints/${hook.id}`);
    await receiver.stop();
  });

  it('hold nothing that a caller sent: no number, no secret, no text', async () => {
    const [trace, last] = [newTrace(), newTrace()];
    const planted = ['9876501234', 'in-the-header', 'in-the-body', 'in-the-query', 'in-the-path', 'in-the-state'];
    const headers = {
      ...{ 'user-agent': 'in-the-header', referer: 'http://in-the-header', cookie: 'session=in-the-header' },
      ...{ 'x-request-id': 'in-the-header-9876501234', 'content-language': 'in-the-header' },
      ...{ ...traced('01', trace), tracestate: 'vendor=in-the-state', baggage: 'phone=in-the-header' },
    };
    let keys = 0;
    const call = (method: string, path: string, body?: object) =>
      service.api.call(method, path, body, { ...headers, 'idempotency-key': `in-the-header-${keys++}` });
    expectStatus(201, await call('POST', '/v1/users', { phone_number: '+919876501234' }));
    // The second one breaks a unique constraint, whose message quotes the number.
    await call('POST', '/v1/users', { phone_number: '+919876501234' });
    await call('GET', '/v1/users?phone_number=%2B919876501234&other=in-the-query');
    await call('GET', '/v1/wallets/in-the-path-9876501234?in-the-query=1');
    for (const [name, credential] of [
      ['x-api-key', 'in-the-header'],
      ['authorization', 'Bearer in-the-header'],
    ] as const)
      await service.api.call('GET', '/v1/wallets?in-the-query=1', undefined, { ...headers, [name]: credential });
    const wallet = await service.api.newWallet('3');
    const body = { amount: '1', description: 'in-the-body 9876501234', metadata: { 'in-the-body': '9876501234' } };
    expectStatus(201, await call('POST', `/v1/wallets/${wallet.id}/debits`, body));
    await collector.span((span) => span.traceId === trace && /debit/.test(span.name));
    await service.api.call('GET', '/v1/wallets/in-the-path', undefined, traced('01', last));
    await collector.span(server(last));
    const bytes = Buffer.concat(collector.bodies);
    for (const text of [...planted, 'in-the-query-of-a-hook', wallet.id, 'INSERT INTO']) {
      expect({ text, isThere: bytes.includes(text) }).toEqual({ text, isThere: false });
    }
  });
});

describe('a service that sends traces', () => {
  const shutdown = async ({ process: child }: Service) => {
    const since = performance.now();
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number];
    return { code, ms: performance.now() - since };
  };

  it('keeps the share of requests that it is told, groups and statements with them', async () => {
    const collector = await Collector.start();
    const service = await startService({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces`,
      ...{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.2' },
    });
    const wallet = await service.api.newWallet('500');
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 30 }, () => service.api.debit(wallet.id, '1')));
    await service.stop();
    const debits = collector.spans.filter(({ name }) => name.endsWith('/debits'));
    expect(debits.length).toBeGreaterThan(25);
    expect(debits.length).toBeLessThan(110);
    const groups = collector.spans.filter(({ name }) => name === 'posting group');
    const linked = groups.flatMap(({ links }) => links.map(({ spanId }) => spanId));
    for (const { spanId } of debits) expect(linked).toContain(spanId);
    for (const group of groups) expect(collector.childrenOf(group).length).toBeGreaterThanOrEqual(5);
    await collector.stop();
  });

  it('sends what it still has when it is told to stop, from each worker', async () => {
    const collector = await Collector.start();
    const service = await startService({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, WORKERS: '2' });
    const traces = Array.from({ length: 40 }, newTrace);
    for (const trace of traces) {
      const response = await fetch(`${service.api.url}/v1/wallets?limit=1`, {
        headers: { ...traced('01', trace), connection: 'close' },
      });
      await response.body?.cancel();
    }
    expect(collector.spans).toEqual([]);
    expect((await shutdown(service)).code).toBe(0);
    const ours = collector.spans.filter(({ traceId, kind }) => kind === 2 && traces.includes(traceId));
    expect(ours).toHaveLength(40);
    expect(new Set(ours.map(({ resource }) => resource['process.pid'])).size).toBe(2);
    await service.stop();
    await collector.stop();
  });

  it.each(['refuses', 'never answers'])('serves and stops in time where its collector %s', async (how) => {
    const silent = how === 'refuses' ? undefined : await listen();
    const port = silent ? (silent.address() as AddressInfo).port : 1;
    const service = await startService(
      { ...withProbe, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_BSP_SCHEDULE_DELAY: '10' },
      { quiet: true },
    );
    let stderr = '';
    service.process.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const wallet = await service.api.newWallet('1000');
    for (let round = 0; round < 20; round++) {
      const replies = await Promise.all(Array.from({ length: 40 }, () => service.api.debit(wallet.id, '1')));
      for (const { status } of replies) expect(status).toBe(201);
    }
    const { code, ms } = await shutdown(service);
    expect({ code, isInTime: ms < 3_500 }).toEqual({ code: 0, isInTime: true });
    expect(`${service.said()}${stderr}`.split('Spans are lost').length - 1).toBeLessThanOrEqual(1);
    silent?.close();
    await service.stop();
    // The probe, which finds none in a service without traces, finds what one with them loads.
    expect(service.said()).toMatch(/OpenTelemetry: \d{2,}$/m);
  });

  async function listen(): Promise<Server> {
    const silent = createServer((socket) => socket.on('error', () => undefined).unref());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    return silent;
  }
});

describe('a service without traces', () => {
  it.each([
    ['no endpoint', {}],
    ['OTEL_SDK_DISABLED', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://[::1]:1', OTEL_SDK_DISABLED: 'true' }],
  ])('loads what it needs and no more: %s', async (_, env) => {
    const service = await startService({ ...withProbe, ...env });
    expectStatus(201, await service.api.debit((await service.api.newWallet('5')).id, '1'));
    await service.stop();
    expect(service.said()).toMatch(/OpenTelemetry: 0$/m);
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, /OTEL_EXPORTER_OTLP_ENDPOINT must be a URL/],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /OTEL_EXPORTER_OTLP_PROTOCOL must be http\/protobuf/],
    [{ OTEL_TRACES_SAMPLER: 'sometimes' }, /OTEL_TRACES_SAMPLER must be/],
    [{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '5' }, /OTEL_TRACES_SAMPLER_ARG must be/],
  ])('does not start with %p', async (env, reason) => {
    const { code, said } = await failedStart({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://[::1]:1', ...env });
    expect(said).toMatch(reason);
    expect(code).toBe(1);
  });

  it('says so where traces are on and their packages are not there', async () => {
    const MISSING = `import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(\`export async function resolve(name, context, next) {
        if (!name.startsWith('@opentelemetry/')) return next(name, context);
        throw Object.assign(new Error("Cannot find package '" + name + "'"), { code: 'ERR_MODULE_NOT_FOUND' });
      }\`));`;
    const database = await TestDatabase.create();
    const { code, said } = await failedStart({
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://[::1]:1', DATABASE_URL: database.url },
      NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(MISSING)}`,
    });
    await database.drop();
    expect(said).toMatch(/did not start\. Traces are on .*not installed: Cannot find package '@opentelemetry\//);
    expect(code).toBe(1);
  });
});
