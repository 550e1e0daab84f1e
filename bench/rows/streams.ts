/** Live streams: what a thousand of them cost the postings, and the memory that each takes. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WALLETS, type Bench } from '../bench.js';
import { residentMB } from '../memory.js';
import type { Row, Sample } from '../row.js';
import { walletIdOf } from '../wallet-ids.js';

const STREAMS = 1_000;
/** Where memory is measured: enough that what else a process takes and gives back does not matter. */
const MANY_STREAMS = 4_000;
const AT_ONCE = 100;
const SETTLE_MS = 2_000;

/** P1, with a stream on each of its wallets: every debit is told to somebody. */
export const P1_STREAMS: Row = {
  name: 'P1 streams',
  partOf: 'streams',
  what: `P1's debits, each wallet watched by one of ${STREAMS.toLocaleString('en-US')} streams`,
  comparedWith: ['P1'],
  goals: [{ figure: 'perSecond', of: 'P1', least: 0.9 }],
  isProfiled: true,
  async measure(bench: Bench, seconds: number): Promise<Sample> {
    const streams = await openStreams(bench.service.url, STREAMS, bench.options.token);
    const sample = await bench.load({}, seconds);
    for (const stream of streams) stream.destroy();
    return sample;
  },
};

/** A process of its own, which has had streams before. */
export const STREAM_MEMORY: Row = {
  name: 'streams',
  partOf: 'streams',
  what: `${MANY_STREAMS.toLocaleString('en-US')} open streams`,
  roundsMax: 1,
  goals: [{ figure: 'streamKB', most: 20 }],
  async measure(bench: Bench): Promise<Sample> {
    const service = await bench.serveIdle(await bench.ledgerWith('streams', WALLETS, 1));
    for (const stream of await openStreams(service.url, STREAMS, bench.options.token)) stream.destroy();
    await delay(SETTLE_MS);
    const before = await residentMB(service.pid);
    const streams = await openStreams(service.url, MANY_STREAMS, bench.options.token);
    await delay(SETTLE_MS);
    const after = await residentMB(service.pid);
    for (const stream of streams) stream.destroy();
    await service.stop();
    return before === undefined || after === undefined ? {} : { streamKB: ((after - before) * 1_000) / MANY_STREAMS };
  },
};

/** Opens streams that are read as fast as they come, and waits until each has begun. */
async function openStreams(url: string, count: number, token?: string): Promise<Socket[]> {
  const streams: Socket[] = [];
  for (let n = 0; n < count; n += AT_ONCE) {
    streams.push(...(await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => open(url, n + i, token)))));
  }
  return streams;
}

async function open(url: string, n: number, token?: string): Promise<Socket> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  const authorization = token ? `Authorization: Bearer ${token}\r\n` : '';
  socket.write(`GET /v1/wallets/${walletIdOf(n % WALLETS)}/stream HTTP/1.1\r\nHost: ${host}\r\n${authorization}\r\n`);
  const [head] = (await once(socket, 'data')) as [Buffer];
  if (!head.toString('latin1').startsWith('HTTP/1.1 200 ')) throw new Error(`a stream was refused: ${head.toString()}`);
  return socket.resume();
}
