/** The Nest application as it runs, short of listening: for the service, and for the bench's empty route. */
import type { DynamicModule, INestApplication, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AppModule } from './app.module.js';
import type { Config } from './config.js';
import { sendProblem } from './error.filter.js';
import { ACCESS_TOKEN, API_KEY } from './auth/access.js';
import { Problem } from './errors.js';
import { InFlight } from './in-flight.js';
import { writeLongAnswersInPieces } from './json.answer.js';
import { readJsonBodies } from './json.body.js';
import { declareErrors, declareHeaders, declareShapes, declareUnreadable } from './openapi.js';
import { jsonLog, JsonLogger, TextLogger } from './telemetry/log.js';
import { Metrics } from './telemetry/metrics.js';
import { RequestRecord } from './telemetry/request.record.js';
import { tracing } from './tracing/tracing.js';
import { allowOrigins, refuseBrokenQuery, securityHeaders, serverOptions } from './transport.js';

/**
 * Builds the application: routes, validation, error bodies, request ids, Swagger UI at /docs.
 * @param module other routes on the same set-up: the bench's empty one.
 */
export async function createApp(config: Config, module?: Type | DynamicModule): Promise<NestFastifyApplication> {
  const headersOf = securityHeaders(config);
  const begin = (request: FastifyRequest, reply: FastifyReply) =>
    reply.header('X-Request-Id', request.id).headers(headersOf(request.raw.url!));
  const adapter = new StoppableAdapter({
    ...serverOptions(config),
    bodyLimit: config.bodyBytesMax,
    genReqId: requestId,
    routerOptions: { maxParamLength: 300 },
    forceCloseConnections: 'idle',
    return503OnClosing: false, // our own 503 is a problem like any other
    // Raised before any hook runs.
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
      record?.begin(request, reply);
      sendProblem(error, request, begin(request, reply));
    },
    // No Nest middleware is used; without its plugin a request passes one hook less.
    skipMiddie: true,
  });
  const lines = config.logFormat === 'json' ? jsonLog(config) : undefined;
  const app = await NestFactory.create<NestFastifyApplication>(module ?? AppModule.with(config), adapter, {
    logger: lines ? new JsonLogger(lines.pino) : new TextLogger(config),
    abortOnError: false,
    // Fastify's own JSON parser does it; Nest would add one for forms, which other sites' pages can send unasked.
    bodyParser: false,
  });
  const fastify = adapter.getInstance();
  tracing?.requests(fastify); // before all other hooks
  const inFlight = module ? undefined : app.get(InFlight);
  const record = module ? undefined : new RequestRecord(app.get(Metrics), lines?.write);
  fastify.decorateReply('problem', '');
  fastify.decorateReply('groupSize', 0);
  fastify.removeContentTypeParser('text/plain');
  readJsonBodies(fastify);
  writeLongAnswersInPieces(fastify);
  fastify.server.maxHeadersCount = 0; // Node would drop what is beyond 2,000 without a word; 16 KiB bound them
  // SECURITY: Node keeps an address that was asked for. Of a connection that was reset there is none any more, and what was asked over it
  // would be done for nobody: outside of every limit by address, and with none in the audit log.
  fastify.server.on('connection', ({ remoteAddress }) => remoteAddress);
  fastify.addHook('onRequest', (request, reply, done) => {
    if (request.raw.socket.remoteAddress === undefined) return void reply.hijack().raw.destroy();
    begin(request, reply);
    record?.begin(request, reply);
    try {
      if (adapter.isStopping) throw stopping(reply);
      refuseBrokenQuery(request.raw.url!);
      inFlight?.begin(request, reply);
    } catch (problem) {
      return sendProblem(problem, request, reply);
    }
    done();
  });
  allowOrigins(app, config);
  // Routes are registered later, on init.
  fastify.addHook('onRoute', (route) => {
    if (route.url === '/v1/transactions/batch') route.bodyLimit = config.batchBytesMax;
  });
  if (config.docs) {
    SwaggerModule.setup('docs', app, () => openApiDocument(app), {
      jsonDocumentUrl: 'docs-json',
      yamlDocumentUrl: 'docs-yaml',
      customSiteTitle: 'Asper Wallet',
      swaggerOptions: { displayRequestDuration: true, tryItOutEnabled: true, persistAuthorization: true },
    });
  }
  return app;
}

function stopping(reply: FastifyReply): Problem {
  void reply.header('Connection', 'close');
  return new Problem('shutting_down', 'This process is stopping.', { retryAfterSeconds: 1 });
}

/** The OpenAPI document of the application; `openapi.json` in the repository is this, printed. */
export function openApiDocument(app: INestApplication): OpenAPIObject {
  const about = new DocumentBuilder()
    .setTitle('Asper Wallet')
    .setDescription(
      'Wallets with double entry, holds and a history that adds up. Amounts are decimal strings in the major unit; ' +
        'errors are RFC 9457 problems; every POST but those of sign-in takes an `Idempotency-Key`; every answer has an `X-Request-Id`, and a `RateLimit` ' +
        'where the caller has one.',
    )
    .setVersion('1')
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addServer('/')
    .addBearerAuth(
      { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'A person who signed in, or an API key.' },
      ACCESS_TOKEN,
    )
    .addApiKey({ type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'A server or an operator.' }, API_KEY)
    .addTag('Sign-in', 'A person signs in by phone, and the sessions that begin with it.')
    .addTag('Users', 'Who owns wallets, known by phone number.')
    .addTag('Wallets', 'Open, read and change wallets.')
    .addTag('Transactions', 'Move money, and read what moved.')
    .addTag('Schedules', 'Transfers that are posted later, once or again and again.')
    .addTag('Statements', 'The history of a wallet.')
    .addTag('Receipts', 'Signed proof of an entry, for whoever asks for one.')
    .addTag('Events', 'What happened: read it, have it sent, or watch it live.')
    .addTag('Webhooks', 'Have events sent to your servers, signed, in order, until they are taken.')
    .addTag('Audit', 'What operators did, and why.')
    .addTag('Operations', 'For those who run the service.')
    .addTag(
      'Original calls',
      'The six calls of the service that this one succeeds; errors are `{"error": "…"}` with 400.',
    )
    .build();
  declareErrors();
  const document = SwaggerModule.createDocument(app, about, {
    operationIdFactory: (controller, method) => `${controller.replace('Controller', '').toLowerCase()}_${method}`,
  });
  // What is open to everybody says so, instead of saying nothing.
  for (const methods of Object.values(document.paths)) {
    for (const operation of Object.values(methods as Record<string, { security?: unknown[] }>))
      operation.security ??= [];
  }
  declareUnreadable(document);
  declareHeaders(document);
  declareShapes(document);
  return document;
}

/** Knows when it is being stopped: what is served from then on would keep the posting engine from ever running dry. */
class StoppableAdapter extends FastifyAdapter {
  isStopping = false;

  override beforeClose(): void {
    super.beforeClose();
    this.isStopping = true;
  }
}

/** The caller's `X-Request-Id` where it is safe to print, else a new id. */
function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,100}$/.test(given) ? given : randomUUID();
}
