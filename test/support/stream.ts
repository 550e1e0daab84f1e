/** A reader of Server-Sent Events. */
import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { LiveBalanceBody } from '../../src/live/live.dto.js';

export interface Message {
  id?: string;
  event?: string;
  data: LiveBalanceBody;
  /** When it came: `performance.now()`. */
  at: number;
}

const agent = new Agent({ keepAlive: false, maxSockets: Infinity });

export class StreamReader {
  readonly messages: Message[] = [];
  readonly comments: string[] = [];
  retry?: number;
  status = 0;
  headers: IncomingMessage['headers'] = {};
  /** What came instead of a stream. */
  text = '';
  isEnded = false;
  private rest = '';
  private response?: IncomingMessage;

  /** Resolves when the head of the answer has come. */
  static async open(url: string, headers: Record<string, string> = {}): Promise<StreamReader> {
    const reader = new StreamReader();
    await new Promise<void>((resolve, reject) => {
      get(url, { agent, headers: { accept: 'text/event-stream', ...headers } }, (response) => {
        reader.response = response;
        reader.status = response.statusCode!;
        reader.headers = response.headers;
        response.setEncoding('utf8').on('data', (chunk: string) => reader.read(chunk));
        response.on('close', () => (reader.isEnded = true)).on('error', () => undefined);
        resolve();
      }).on('error', reject);
    });
    return reader;
  }

  get last(): Message | undefined {
    return this.messages.at(-1);
  }

  async until(holds: (reader: this) => boolean, ms = 10_000): Promise<void> {
    for (const end = Date.now() + ms; !holds(this); await delay(2)) {
      if (Date.now() > end) throw new Error(`in vain after ${ms} ms: ${JSON.stringify(this.last)} ${this.text}`);
    }
  }

  /** Reads no more, and keeps the connection. */
  pause(): void {
    this.response!.pause();
  }

  resume(): void {
    this.response!.resume();
  }

  close(): void {
    this.response!.destroy();
  }

  private read(chunk: string): void {
    if (this.status !== 200) return void (this.text += chunk);
    const blocks = (this.rest + chunk).split('\n\n');
    this.rest = blocks.pop()!;
    for (const block of blocks) this.take(block);
  }

  private take(block: string): void {
    const fields = new Map(
      block.split('\n').map((line) => /^([a-z]*): ?(.*)$/.exec(line)!.slice(1, 3) as [string, string]),
    );
    const comment = fields.get('');
    if (comment !== undefined) this.comments.push(comment);
    if (fields.has('retry')) this.retry = Number(fields.get('retry'));
    if (!fields.has('data')) return;
    const data = JSON.parse(fields.get('data')!) as LiveBalanceBody;
    this.messages.push({ id: fields.get('id'), event: fields.get('event'), data, at: performance.now() });
  }
}
