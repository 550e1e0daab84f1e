/** A network between the service and PostgreSQL that does what a test wants: cut, stall, slow, or a byte at a time. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export type Mode =
  | { kind: 'pass' }
  /** Everything that is sent from now on is swallowed; nobody hangs up. */
  | { kind: 'stall' }
  /** Each packet, either way, is late by so much. */
  | { kind: 'slow'; ms: number }
  /** A byte at a time, with so much in between. */
  | { kind: 'trickle'; ms: number };

export class FaultyNetwork {
  mode: Mode = { kind: 'pass' };
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(databaseUrl: string): Promise<FaultyNetwork> {
    const target = new URL(databaseUrl);
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const front = new URL(databaseUrl);
    front.port = String((server.address() as AddressInfo).port);
    const network = new FaultyNetwork(server, front.href);
    server.on('connection', (client) => {
      const upstream = connect({ port: Number(target.port), host: target.hostname, noDelay: true });
      network.carry(client, upstream);
      network.carry(upstream, client);
    });
    return network;
  }

  /** Cuts every connection, in the middle of whatever it carries. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  stop(): void {
    this.server.close();
    this.cut();
  }

  private carry(from: Socket, to: Socket): void {
    this.sockets.add(from);
    from.on('error', () => undefined);
    from.on('close', () => {
      this.sockets.delete(from);
      to.destroy();
    });
    let clear: Promise<void> = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      const { mode } = this;
      if (mode.kind === 'stall') return;
      if (mode.kind === 'pass') return void (clear = clear.then(() => void to.write(chunk)));
      // In order, and each late by itself: a line has a delay, not a queue.
      const at = Date.now() + mode.ms;
      clear = clear.then(async () => {
        if (mode.kind === 'slow') {
          await later(at - Date.now());
          to.write(chunk);
        } else {
          for (const byte of chunk) {
            if (to.destroyed || this.mode.kind !== 'trickle') break;
            to.write(Buffer.of(byte));
            await later(mode.ms);
          }
        }
      });
    });
  }
}

const later = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, Math.max(0, ms)));
