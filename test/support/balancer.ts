/** A load balancer of the plainest kind: a new connection goes to a service that says that it is ready. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const ASK_EVERY_MS = 100;

export class Balancer {
  private readonly backends = new Map<string, boolean>();
  private readonly sockets = new Set<Socket>();
  private turn = 0;
  private isStopped = false;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<Balancer> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const balancer = new Balancer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('connection', (client) => balancer.join(client));
    void balancer.ask();
    return balancer;
  }

  /** From the first time that it says it is ready. */
  add(url: string): void {
    this.backends.set(url, false);
  }

  remove(url: string): void {
    this.backends.delete(url);
  }

  stop(): void {
    this.isStopped = true;
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private async ask(): Promise<void> {
    for (; !this.isStopped; await delay(ASK_EVERY_MS)) {
      for (const url of this.backends.keys()) {
        const isReady = await fetch(`${url}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        );
        if (this.backends.has(url)) this.backends.set(url, isReady);
      }
    }
  }

  private join(client: Socket): void {
    const ready = [...this.backends].filter(([, isReady]) => isReady).map(([url]) => new URL(url));
    const backend = ready[this.turn++ % ready.length];
    if (!backend) return void client.destroy();
    const upstream = connect(Number(backend.port), backend.hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => this.sockets.delete(socket));
      socket.pipe(other);
    }
  }
}
