/** One HTTP request as it is, malformed or not, and what came back. */
import { request as httpRequest, type Agent } from 'node:http';
import type { Answer } from './document.js';

export interface Request {
  method: string;
  /** The path and query as they stand in the request line. */
  target: string;
  headers: Record<string, string>;
  body?: Buffer;
}

/** Of a stream that goes on and on, the first message is read; one that is silent is left after this time. */
const SILENCE_MS = 300;

export function send(url: string, agent: Agent, { method, target, headers, body }: Request): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const length = body ? { 'content-length': String(body.length) } : {};
    const outgoing = httpRequest(
      { hostname, port, method, path: target, agent, headers: { ...length, ...headers } },
      (response) => {
        const chunks: Buffer[] = [];
        const done = () =>
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) });
        const isStream = String(response.headers['content-type']).startsWith('text/event-stream');
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          if (isStream && /^data: .*\n\n/m.test(Buffer.concat(chunks).toString())) response.destroy();
        });
        response.on('error', () => undefined);
        response.on('end', done).on('close', done);
        if (isStream) setTimeout(() => response.destroy(), SILENCE_MS).unref();
      },
    );
    outgoing.setTimeout(30_000, () => outgoing.destroy(new Error('no answer in 30 s')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** A request as a line that repeats it. */
export function curl({ method, target, headers, body }: Request): string {
  const printable = (text: string) => text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16)}`);
  const quoted = (text: string) => `'${printable(text).replaceAll("'", "'\\''")}'`;
  const shown = Object.entries(headers).filter(([name]) => name !== 'authorization');
  const text = body?.toString() ?? '';
  return [
    `curl -X ${method} ${quoted(target.slice(0, 500))}`,
    ...shown.map(([name, value]) => `-H ${quoted(`${name}: ${value.slice(0, 300)}`)}`),
    ...(body ? [`-d ${quoted(text.slice(0, 500))}${text.length > 500 ? ` (${text.length} characters)` : ''}`] : []),
  ].join(' ');
}
