/**
 * How fast is it? Prints one table of ratios, all taken in one run on one machine, then checks the ledger that the
 * run left behind. README.md says what is measured and what is not.
 */
import { writeFile } from 'node:fs/promises';
import { CleanUp } from './clean-up.js';
import { readOptions, ROWS, type Options } from './options.js';
import { Bench, type Sample } from './phases.js';
import { about, linesOf, oddAnswers, table, type Samples } from './report.js';
import { openServer } from './server.js';

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
async function run({ rounds, json, profile, rows }: Options): Promise<number> {
  const server = await openServer(cleanUp, profile !== undefined);
  const machine = about(server);
  console.log(machine);
  const bench = new Bench(server, options, cleanUp);
  say('making wallets');
  const phases = await bench.prepare();
  say('warming up');
  await bench.warmUp(phases);

  const samples: Samples = new Map(phases.map((phase) => [phase, [] as Sample[]]));
  for (let round = 1; round <= rounds; round++) {
    for (const phase of phases) {
      say(`round ${round} of ${rounds}: ${phase}`);
      samples.get(phase)!.push(await bench.measure(phase));
    }
  }
  say('');
  const lines = linesOf(samples, bench.best);
  console.log(`\n${table(lines)}\n`);
  for (const odd of oddAnswers(samples)) console.log(odd);
  if (profile !== undefined) for (const row of ROWS) if (rows.has(row)) console.log(await bench.profile(row));

  const broken = await bench.brokenLaws();
  if (json)
    await writeFile(json, JSON.stringify({ machine, lines, samples: Object.fromEntries(samples), broken }, null, 2));
  if (broken.length === 0) console.log('The laws hold: every 201 is one transaction, and the books balance.');
  for (const law of broken) console.error(`A LAW IS BROKEN: ${law}`);
  return broken.length === 0 ? 0 : 1;
}

/** Progress in one line, where somebody watches. */
function say(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}${line ? ' …' : ''}`);
}
