/**
 * A collector of OTLP over HTTP that keeps what it is sent, as bytes and read by hand (opentelemetry-proto,
 * trace/v1/trace.proto): what is tested is what goes over the wire, not what a library makes of it.
 */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface ExportedSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  /** 1 internal, 2 server, 3 client. */
  kind: number;
  durationMs: number;
  attributes: Record<string, string | number>;
  links: Array<{ traceId: string; spanId: string }>;
  /** 2 is an error. */
  status: number;
  /** Attributes of the process that sent it. */
  resource: Record<string, string | number>;
}

export class Collector {
  readonly spans: ExportedSpan[] = [];
  readonly bodies: Buffer[] = [];
  readonly headers: IncomingHttpHeaders[] = [];

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<Collector> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        collector.headers.push(request.headers);
        collector.bodies.push(Buffer.concat(chunks));
        if (request.url === '/v1/traces') collector.spans.push(...readSpans(Buffer.concat(chunks)));
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const collector = new Collector(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return collector;
  }

  /** The first span that is as asked for; waits until it has come. */
  async span(isIt: (span: ExportedSpan) => boolean, ms = 5_000): Promise<ExportedSpan> {
    for (const end = Date.now() + ms; ; await delay(10)) {
      const found = this.spans.find(isIt);
      if (found) return found;
      if (Date.now() > end) throw new Error(`in vain, among ${JSON.stringify(this.spans.map(({ name }) => name))}`);
    }
  }

  childrenOf({ traceId, spanId }: ExportedSpan): ExportedSpan[] {
    return this.spans.filter((span) => span.traceId === traceId && span.parentSpanId === spanId);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

type Field = { number: number; bytes: Buffer; integer: bigint };

/** The fields of a protobuf message, in order. */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = Number(varint());
    const kind = tag & 7;
    const length = kind === 1 ? 8 : kind === 5 ? 4 : undefined;
    if (kind === 0) fields.push({ number: tag >> 3, bytes: Buffer.alloc(0), integer: varint() });
    else {
      const size = length ?? Number(varint());
      const bytes = message.subarray(at, (at += size));
      fields.push({ number: tag >> 3, bytes, integer: kind === 1 ? bytes.readBigUInt64LE() : 0n });
    }
  }
  return fields;
}

const all = (message: Buffer, number: number) => fieldsOf(message).filter((field) => field.number === number);
const bytesAt = (message: Buffer, number: number) => all(message, number)[0]?.bytes ?? Buffer.alloc(0);
const integerAt = (message: Buffer, number: number) => all(message, number)[0]?.integer ?? 0n;

function readSpans(request: Buffer): ExportedSpan[] {
  return all(request, 1).flatMap(({ bytes: ofResource }) => {
    const resource = attributesOf(all(bytesAt(ofResource, 1), 1));
    return all(ofResource, 2).flatMap(({ bytes: ofScope }) =>
      all(ofScope, 2).map(({ bytes }) => ({ ...readSpan(bytes), resource })),
    );
  });
}

function readSpan(span: Buffer): Omit<ExportedSpan, 'resource'> {
  return {
    traceId: bytesAt(span, 1).toString('hex'),
    spanId: bytesAt(span, 2).toString('hex'),
    parentSpanId: bytesAt(span, 4).toString('hex'),
    name: bytesAt(span, 5).toString(),
    kind: Number(integerAt(span, 6)),
    durationMs: Number(integerAt(span, 8) - integerAt(span, 7)) / 1e6,
    attributes: attributesOf(all(span, 9)),
    links: all(span, 13).map(({ bytes }) => ({
      traceId: bytesAt(bytes, 1).toString('hex'),
      spanId: bytesAt(bytes, 2).toString('hex'),
    })),
    status: Number(integerAt(bytesAt(span, 15), 3)),
  };
}

function attributesOf(pairs: Field[]): Record<string, string | number> {
  return Object.fromEntries(
    pairs.map(({ bytes }) => {
      const value = bytesAt(bytes, 2);
      const [text] = all(value, 1);
      return [bytesAt(bytes, 1).toString(), text ? text.bytes.toString() : Number(integerAt(value, 3))];
    }),
  );
}
