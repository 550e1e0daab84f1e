/**
 * How fast is it? Prints ratios, all taken in one run on one machine, and their goals, then checks the ledger that the
 * run left behind. README.md says what is measured and what is not.
 */
import { writeFile } from 'node:fs/promises';
import { Bench } from './bench.js';
import { CleanUp } from './clean-up.js';
import { grow } from './grow.js';
import { readOptions, type Options } from './options.js';
import { about, linesOf, type Report, type Samples } from './report.js';
import type { Row } from './row.js';
import { rowsOf } from './rows/all.js';
import { openServer } from './server.js';
import { machineLines, oddAnswers, tables } from './tables.js';

const options = readOptions(process.argv.slice(2));
const cleanUp = new CleanUp();
let isInterrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Not once(): npm passes on the signal that the terminal has sent already, and the second one must not kill us.
  process.on(signal, () => {
    if (isInterrupted) return;
    isInterrupted = true;
    void cleanUp.run().then(() => process.exit(130));
  });
}
try {
  process.exitCode = await run(options);
} catch (error) {
  // After Ctrl-C every phase fails for want of what was just stopped.
  if (!isInterrupted) console.error(error);
  process.exitCode = isInterrupted ? 130 : 1;
} finally {
  await cleanUp.run();
}

/** @returns the exit code: 1 where a law is broken. Missed goals are told, not punished: the machine may be busy. */
async function run(options: Options): Promise<number> {
  const { json, profile } = options;
  const server = await openServer(cleanUp, profile !== undefined);
  const setting = about(server, options);
  console.log(machineLines(setting));
  if (options.grow !== undefined) return grow(server, options, { cleanUp, setting, say });
  const bench = new Bench(server, options, cleanUp);
  say('making wallets');
  const rows = await bench.prepare(rowsOf(options));
  const samples = await measure(bench, rows, options);
  const lines = linesOf(samples);
  console.log(tables(lines));
  for (const odd of oddAnswers(lines)) console.log(odd);
  if (profile !== undefined) for (const row of rows) if (row.isProfiled) console.log(await bench.profile(row));

  say('checking the laws');
  const broken = await bench.brokenLaws();
  say('');
  const byName = Object.fromEntries([...samples].map(([{ name }, own]) => [name, own]));
  const report: Report = { ...setting, lines, samples: byName, brokenLaws: broken };
  if (json) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  if (broken.length === 0) {
    console.log('The laws hold: what was answered as done is in the ledger once, the books balance, no deadlock.');
  }
  for (const law of broken) console.error(`A LAW IS BROKEN: ${law}`);
  return broken.length === 0 ? 0 : 1;
}

/** Warms everything up, then measures it in rounds, so that all rows share what the machine is going through. */
async function measure(bench: Bench, rows: Row[], { quick, rounds, seconds }: Options): Promise<Samples> {
  for (const row of rows) {
    say(`warming up: ${row.name}`);
    await row.warmUp?.(bench, Math.min(seconds, quick ? 0.7 : 1.5));
  }
  const samples: Samples = new Map(rows.map((row) => [row, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const [row, own] of samples) {
      if (round > (row.roundsMax ?? rounds)) continue;
      say(`round ${round} of ${rounds}: ${row.name}`);
      const sample = await row.measure(bench, seconds);
      bench.thisRound.set(row.name, sample);
      own.push(sample);
    }
  }
  say('');
  return samples;
}

/** Progress in one line, where somebody watches. */
function say(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}${line ? ' …' : ''}`);
}
