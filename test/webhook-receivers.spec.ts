/** The receivers in docs/examples, one for each language: each takes what is signed, once, and nothing else. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';

const RECEIVERS: Array<[file: string, command: string]> = [
  ['docs/examples/webhook-receiver.mjs', process.execPath],
  ['docs/examples/webhook_receiver.py', 'python3'],
  ['docs/examples/WebhookReceiver.java', 'java'],
];
const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`;
const secret = newSecret();
const BYTES_MAX = 1024 * 1024;
/** From the first line on: Java compiles the file first. */
const START_MS = 30_000;

/** An event as the wallet sends it, which begins with its id and type. */
function newEvent(data: object = {}) {
  const id = randomUUID();
  return { id, body: JSON.stringify({ id, type: 'wallet.opened', timestamp: new Date(), wallets: [], data }) };
}
type Event = ReturnType<typeof newEvent>;

function signed({ id, body }: Event, { by = secret, secondsAgo = 0 } = {}): Record<string, string> {
  const at = new Date(Date.now() - secondsAgo * 1_000);
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': new Webhook(by).sign(id, at, body),
  };
}

describe.each(RECEIVERS)('%s', (file, command) => {
  // Java runs a source file only where its compiler is there as well.
  const modules = command === 'java' ? String(spawnSync(command, ['--list-modules']).stdout) : 'jdk.compiler';
  const isHere = spawnSync(command, ['--version']).status === 0 && modules.includes('jdk.compiler');
  let child: ChildProcess;
  let url: string;
  let output = '';
  let looked: number;
  /** Which events it has handled since the last look. Its line may come after its answer, and never after a later line. */
  async function expectHandled(...events: Event[]): Promise<void> {
    const lines = events.map(({ id }) => `wallet.opened ${id}\n`).join('');
    for (const until = Date.now() + 5_000; output.length < looked + lines.length && Date.now() < until;) await delay(5);
    expect(output.slice(looked)).toBe(lines);
    looked = output.length;
  }

  beforeAll(async () => {
    if (!isHere) return;
    child = spawn(command, [file], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', WEBHOOK_SECRET: secret },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()));
    for (const until = Date.now() + START_MS; !output.includes('\n') && Date.now() < until;) await delay(20);
    looked = output.length;
    url = `http://127.0.0.1:${/^listening on (\d+)\n/.exec(output)![1]}/hooks`;
  });
  afterAll(() => void child?.kill('SIGKILL'));

  const send = async (body: string, headers: Record<string, string>) =>
    (await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })).status;
  /** Nothing is said of a language that is not here. */
  const sentence = (name: string, says: () => Promise<void>) =>
    it(name, async () => {
      if (!isHere) return console.log(`skipped: ${command} is not here`);
      await says();
    });

  sentence('handles an event once, however often it comes', async () => {
    const [first, second] = [newEvent(), newEvent()];
    expect(await send(first.body, signed(first))).toBe(204);
    expect(await send(second.body, signed(second))).toBe(204);
    for (let i = 0; i < 2; i++) expect(await send(first.body, signed(first, { secondsAgo: i }))).toBe(204);
    const third = newEvent();
    const together = await Promise.all(Array.from({ length: 8 }, () => send(third.body, signed(third))));
    expect(new Set(together)).toEqual(new Set([204]));
    await expectHandled(first, second, third);
  });

  sentence('reads a body that is not ASCII, and goes by its bytes', async () => {
    const event = newEvent({ description: 'नमस्ते, señor 🌍', note: ' spaces  and\u2028lines' });
    expect(await send(event.body, signed(event))).toBe(204);
    await expectHandled(event);
    const other = newEvent({ n: 1 });
    expect(await send(` ${other.body}`, signed(other))).toBe(401);
  });

  sentence('takes a request of whose signatures any is right', async () => {
    const event = newEvent();
    const headers = signed(event);
    const wrong = signed(event, { by: newSecret() })['webhook-signature']!;
    const signatures = ['v1a,AAAA', 'v1,', wrong, headers['webhook-signature']].join(' ');
    expect(await send(event.body, { ...headers, 'webhook-signature': signatures })).toBe(204);
    await expectHandled(event);
  });

  sentence('refuses what is not signed, or for something else, or at another time', async () => {
    const event = newEvent();
    const headers = signed(event);
    const other = newEvent();
    const signature = headers['webhook-signature']!;
    const refused: Array<[body: string, headers: Record<string, string>]> = [
      [event.body.replace('opened', 'closed'), headers],
      [`${event.body}\n`, headers],
      ['', headers],
      [event.body, { ...headers, 'webhook-id': other.id }],
      [event.body, { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }],
      [event.body, signed(event, { by: newSecret() })],
      [event.body, signed(event, { secondsAgo: 310 })],
      [event.body, signed(event, { secondsAgo: -310 })],
      [event.body, { ...headers, 'webhook-timestamp': 'now' }],
      [event.body, { ...headers, 'webhook-timestamp': '' }],
      ...['', 'v1,', 'v1', signature.slice(3), signature.slice(0, -1), `v2${signature.slice(2)}`, '\u00e9'].map(
        (given): [string, Record<string, string>] => [event.body, { ...headers, 'webhook-signature': given }],
      ),
      ...Object.keys(headers).map((name): [string, Record<string, string>] => [
        event.body,
        Object.fromEntries(Object.entries(headers).filter(([other]) => other !== name)),
      ]),
      [event.body, {}],
    ];
    const statuses: number[] = [];
    for (const [body, given] of refused) statuses.push(await send(body, given));
    expect(statuses).toEqual(refused.map(() => 401));
    expect(await send(event.body, signed(event, { secondsAgo: 290 }))).toBe(204); // and the event has not been spoilt
    await expectHandled(event);
  });

  sentence('takes a body of 1 MB, and none that is larger', async () => {
    const { length } = newEvent({ text: '' }).body;
    const largest = newEvent({ text: 'x'.repeat(BYTES_MAX - length) });
    expect(await send(largest.body, signed(largest))).toBe(204);
    const larger = newEvent({ text: 'x'.repeat(BYTES_MAX - length + 1) });
    expect(await send(larger.body, signed(larger))).toBe(413);
    await expectHandled(largest);
  });

  sentence('knows POST alone', async () => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
      const reply = await fetch(url, { method });
      expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'POST']);
    }
  });

  sentence('answers 500 where an event cannot be handled, and then takes it when it comes again', async () => {
    const event = newEvent();
    const broken = { id: event.id, body: event.body.slice(0, 10) };
    expect(await send(broken.body, signed(broken))).toBe(500);
    expect(await send(event.body, signed(event))).toBe(204);
    await expectHandled(event);
  });

  sentence('does not start without a secret, and ends when it is told to', async () => {
    const options = { env: { PATH: process.env.PATH, PORT: '0' }, timeout: START_MS };
    const { status } = spawnSync(command, [file], options);
    expect(status).toBe(1);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await Promise.race([exited, delay(5_000, undefined, { ref: false })]);
    expect(child.exitCode ?? child.signalCode).not.toBeNull();
    await expect(fetch(url)).rejects.toThrow();
  });
});
