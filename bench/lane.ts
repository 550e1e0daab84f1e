/** One keep-alive connection of the load generator: just enough HTTP/1.1 for the service. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH_NAME = Buffer.from('\r\ncontent-length: ');

export interface LaneEvents {
  onAnswer(lane: Lane, answer: Buffer): void;
  /** The connection is gone; where `isBusy`, with it the answer of the request that was under way. */
  onBroken(lane: Lane): void;
}

/** At most one request is under way; its answer is read by status line and Content-Length. */
export class Lane {
  /** When the request under way was sent, or should have been. */
  since = 0;
  isBusy = false;
  private readonly chunks: Buffer[] = [];
  /** Bytes until the answer is whole, once its head is known. */
  private missing = 0;
  private isClosed = false;

  private constructor(private readonly socket: Socket) {}

  static async open(url: string, events: LaneEvents): Promise<Lane> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    const lane = new Lane(socket);
    socket.on('data', (chunk: Buffer) => {
      const answer = lane.take(chunk);
      if (!answer) return;
      lane.isBusy = false;
      events.onAnswer(lane, answer);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (!lane.isClosed) events.onBroken(lane);
    });
    return lane;
  }

  send(request: string, since: number): void {
    this.since = since;
    this.isBusy = true;
    this.socket.write(request, 'latin1');
  }

  close(): void {
    this.isClosed = true;
    this.socket.destroy();
  }

  /** @returns the answer once it is whole. Most are one chunk, which is then not copied. */
  private take(chunk: Buffer): Buffer | undefined {
    if (this.missing > 0) {
      this.chunks.push(chunk);
      this.missing -= chunk.length;
    } else {
      const start = this.chunks.length === 0 ? chunk : Buffer.concat([...this.chunks.splice(0), chunk]);
      this.missing = Math.max(0, lengthOf(start) - start.length);
      if (this.missing === 0) return start;
      this.chunks.push(start);
      // Only part of the head: what is missing is not known yet.
      if (this.missing === Infinity) this.missing = 0;
      return undefined;
    }
    return this.missing > 0 ? undefined : Buffer.concat(this.chunks.splice(0));
  }
}

/** The length of an answer from its beginning; infinite while its head is not whole. */
function lengthOf(start: Buffer): number {
  const headEnd = start.indexOf(HEAD_END);
  if (headEnd < 0) return Infinity;
  const at = start.indexOf(LENGTH_NAME);
  if (at < 0 || at > headEnd) throw new Error(`an answer without Content-Length: ${start.toString('latin1', 0, 300)}`);
  const from = at + LENGTH_NAME.length;
  return headEnd + HEAD_END.length + Number(start.toString('latin1', from, start.indexOf('\r', from)));
}
