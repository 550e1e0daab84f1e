import { expect, it } from '@jest/globals';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Progress } from '../src/import/progress.js';

/** Where a command tells how far it is. */
function output(isTTY: boolean) {
  const written: string[] = [];
  const stream = new Writable({
    write: (chunk, _, done) => {
      written.push(String(chunk));
      done();
    },
  });
  const out = Object.assign(stream, { isTTY, columns: 120 }) as unknown as NodeJS.WriteStream;
  return { out, text: () => written.join('') };
}

it('shows a bar on a terminal: how much, how fast, how long it still takes', async () => {
  const { out, text } = output(true);
  const progress = new Progress(1_000, out);
  progress.update(500, 12_345);
  await delay(300); // it is drawn ten times a second
  progress.say('line 7: no amount');
  progress.update(1_000, 24_690);
  progress.stop();
  expect(text()).toMatch(/█+░+.* 50% \| 12,345 movements \| [\d,]+\/s \| \d+ s left/s);
  expect(text()).toContain('line 7: no amount\n');
});

it('writes plain lines to a log, one in a while', () => {
  const { out, text } = output(false);
  const progress = new Progress(1_000, out);
  progress.update(500, 10);
  progress.say('line 7: no amount');
  progress.stop();
  expect(text()).toBe('line 7: no amount\n');
});
