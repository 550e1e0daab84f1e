/** What the scenarios share: how long they take, what they report, and PostgreSQL as something that can be killed. */
import { expect } from '@jest/globals';
import { appendFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestDatabase } from '../test/support/service.js';

export const isShort = process.env.TORTURE_SHORT === '1';
const judgesTimes = process.env.TORTURE_TRY === '2' && !isShort;
const seed = Number(process.env.TORTURE_SEED ?? 1);

/** One of two numbers: of the long run, and of the short one. */
export const times = (long: number, short: number) => (isShort ? short : long);

/** Numbers from 0 to 1 that the seed decides (mulberry32, https://en.wikipedia.org/wiki/Linear_congruential_generator's kin). */
export function randomOf(name: string): () => number {
  let state = seed ^ [...name].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) | 0, 7);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * A row of the table that `npm run torture` prints at the end.
 * @param problems what is never to be: lost, twice, false, odd.
 * @param late what took too long. The machine may have been held up by its neighbours, so the scenario gets one more try
 *   (`↻`); late again is broken, but in the short form, whose tries are too few and whose machine may be anybody's.
 * @returns what is broken
 */
export function report(
  row: string,
  what: string,
  figures: string,
  problems: readonly string[] = [],
  late: readonly string[] = [],
): readonly string[] {
  const broken = judgesTimes ? [...problems, ...late] : problems;
  const state = broken.length > 0 ? '✗' : late.length > 0 ? '↻' : '✓';
  tell({ row, what, figures: [figures, ...problems, ...late].join('; '), state });
  return broken;
}

export function skip(row: string, what: string, why: string): void {
  tell({ row, what, figures: `skipped: ${why}`, state: '–' });
}

/** For tests of the suite, whose row says whether they passed: what they measured. */
export function figure(text: string): void {
  if (process.env.TORTURE_RESULTS) append({ figure: text });
  else console.log(text);
}

let since = performance.now();

/** Each row has the time since the one before it, and the test that it comes from: one that ends without any is found out. */
function tell(line: Record<'row' | 'what' | 'figures' | 'state', string>): void {
  if (!process.env.TORTURE_RESULTS) return console.log(`${line.state} ${line.row} ${line.what}: ${line.figures}`);
  const { testPath = '', currentTestName: test } = expect.getState();
  append({ ...line, test, file: path.basename(testPath), seconds: (performance.now() - since) / 1_000 });
  since = performance.now();
}

function append(line: object): void {
  appendFileSync(process.env.TORTURE_RESULTS!, `${JSON.stringify(line)}\n`);
}

/** Kills the whole of PostgreSQL as a power cut would; whoever keeps it brings it back on the same port. */
export async function killPostgres(database: TestDatabase): Promise<void> {
  const [{ data_directory }] = await database.query('SHOW data_directory');
  const pid = Number(readFileSync(path.join(data_directory, 'postmaster.pid'), 'utf8').split('\n')[0]);
  process.kill(pid, 'SIGKILL'); // its backends notice, and end
}
