/** A receiver of webhooks that answers as a test wants it to, and remembers all that came. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import type { EventBody } from '../../src/events/events.dto.js';

export interface Received {
  id: string;
  headers: IncomingHttpHeaders;
  text: string;
  event: EventBody;
  at: number;
  /** What it was answered; nothing where the connection was dropped, or is held. */
  status?: number;
}

/** What is done with what came: a status to answer, or something else done with the response. */
export type Answering = (received: Received, response: ServerResponse) => number | void;

export class Receiver {
  readonly received: Received[] = [];
  /** Requests whose signature the official library does not accept. */
  readonly unsigned: string[] = [];

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(
    answering: Answering = () => 204,
  ): Promise<Receiver & { answering: Answering; secrets: string[] }> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const { headers } = request;
        const received: Received = {
          ...{ id: String(headers['webhook-id']), headers, text, event: JSON.parse(text) as EventBody, at: Date.now() },
        };
        for (const secret of receiver.secrets) {
          try {
            new Webhook(secret).verify(text, headers as Record<string, string>);
          } catch (error) {
            receiver.unsigned.push(`${received.id}: ${String(error)}`);
          }
        }
        receiver.received.push(received);
        const status = receiver.answering(received, response);
        if (typeof status !== 'number') return;
        received.status = status;
        response.writeHead(status).end(status < 300 ? '' : 'try later');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    const receiver = Object.assign(new Receiver(server, url), { answering, secrets: [] as string[] });
    return receiver;
  }

  /** What was taken, once each, in the order in which it was. */
  get taken(): Received[] {
    const seen = new Set<string>();
    return this.received.filter(({ id, status }) => {
      const isNew = status !== undefined && status < 300 && !seen.has(id);
      if (isNew) seen.add(id);
      return isNew;
    });
  }

  /** Waits until something holds of it. */
  async until(holds: (receiver: this) => boolean, ms = 10_000): Promise<void> {
    for (const end = Date.now() + ms; !holds(this); await delay(10)) {
      if (Date.now() > end) throw new Error(`in vain after ${ms} ms, with ${this.received.length} received`);
    }
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** What is found, once it is as it should be. */
export async function eventually<T>(look: () => Promise<T>, holds: (found: T) => boolean, ms = 10_000): Promise<T> {
  for (const end = Date.now() + ms; ; await delay(20)) {
    const found = await look();
    if (holds(found)) return found;
    if (Date.now() > end) throw new Error(`in vain: ${JSON.stringify(found)}`);
  }
}
