/**
 * A TCP proxy in front of PostgreSQL that cuts the connection at a COMMIT: after it went through, so that the server has it, or
 * before, so that it never does. The client cannot know which.
 */
import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

export class CommitCutter {
  /** Each COMMIT that passes takes one; while there are any, the connection is cut. */
  cutsLeft = 0;
  cuts = 0;
  /** From a cut on it takes no connection, and ends those that there are, until this is taken back. */
  goesAway = false;
  private readonly sockets = new Set<Socket>();
  private readonly clients = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly url: string,
    /** May be changed at any time. */
    public when: 'before' | 'after',
  ) {}

  /** @param when before: COMMIT never reaches the server; after: it does, and the answer is lost. */
  static async start(databaseUrl: string, when: 'before' | 'after'): Promise<CommitCutter> {
    const target = new URL(databaseUrl);
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const front = new URL(databaseUrl);
    front.port = String((server.address() as AddressInfo).port);
    const cutter = new CommitCutter(server, front.href, when);
    server.on('connection', (client) => {
      if (cutter.goesAway && cutter.cuts > 0) client.destroy();
      else cutter.join(client, connect(Number(target.port), target.hostname));
    });
    return cutter;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private join(client: Socket, upstream: Socket): void {
    this.clients.add(client.once('close', () => this.clients.delete(client)));
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        client.destroy();
        // The server must get to read what was sent before it sees the end.
        upstream.end();
      });
    }
    upstream.pipe(client);
    client.on('data', (chunk: Buffer) => {
      if (this.cutsLeft > 0 && chunk.includes('COMMIT')) {
        this.cutsLeft--;
        this.cuts++;
        upstream.unpipe(client);
        if (this.when === 'before') {
          upstream.destroy();
          client.destroy();
        } else {
          upstream.write(chunk, () => client.destroy());
          if (this.goesAway) this.clients.forEach((other) => other.destroy());
        }
        return;
      }
      upstream.write(chunk);
    });
  }
}
