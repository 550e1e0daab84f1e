/**
 * `npm run torture`: breaks things and prints what became of each promise, a row each. The exit code is 1 where one is broken.
 * README.md says what each does.
 */
import { spawn } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `
npm run torture -- [options]
npm run ha -- [--install]

  --only <rows>    some of R1, R3 to R9, R11 to R20, clock, mutants
  --short          fewer repetitions, and only what is not a test already: about three minutes
  --seed <n>       of what is random; printed, so that a run can be repeated
  --json <file>    the table for a script
  --install        of \`npm run ha\`: gets Debian's packages where they are missing (as root)
`;

/** Promises that a test of the suite keeps, and how much more is asked of it here. */
const TESTS = [
  ['R1', 'races', 'bank'],
  ['R3', 'one key many times; R4: with other bodies', 'idempotency', { IDEMPOTENCY_KEYS: '200' }],
  ['R6', 'rolling restarts', 'rolling', { ROLLS: '10' }],
  ['R14', 'holds', 'holds.e2e'],
  ['R15', 'reversals', 'reversals'],
  ['R16', 'the model', 'model', { MODEL_RUNS: '2000', MODEL_COMMANDS: '50' }],
  ['R17', 'real time', 'real-time', { REAL_TIME_OPERATIONS: '50000' }],
  ['R18', 'the OpenAPI document, fuzzed', 'openapi-fuzz', { FUZZ_CASES: '200' }],
  ['R19', 'webhooks, killed', 'webhook-faults', { WEBHOOK_KILLS: '100' }],
  ['R20', 'migrations under load, backup and restore', '(migrations|backup)'],
];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(randomInt(1_000_000)) },
    json: { type: 'string' },
    ha: { type: 'boolean', default: false },
    install: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const results = path.resolve(values.json ?? path.join(tmpdir(), `asper-torture-${randomUUID()}.json`));
rmSync(results, { force: true });
// Ctrl-C reaches what runs by itself, and it ends what it has started.
let isOver = false;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (isOver = true));

if (values.ha) {
  // Another cluster than the embedded one, and minutes long: a run of its own.
  const env = values.install ? { HA_INSTALL: '1' } : {};
  const code = await jest(['--config', 'torture/ha/jest.config.js', '--silent=false'], env);
  tell();
  process.exit(code);
}

const only = values.only?.split(',').map((row) => row.trim().toLowerCase());
const scenarios = readdirSync('torture/scenarios').filter((file) => only?.includes(file.split(/[-.]/)[0]) ?? true);
const tests = TESTS.filter(([row]) => only?.includes(row.toLowerCase()) ?? !values.short);
const failures = [];
if (scenarios.length > 0) {
  const files = scenarios.map((file) => `torture/scenarios/${file}`);
  if ((await jest(['--config', 'torture/jest.config.js', '--silent=false', ...files], {})) !== 0)
    failures.push('scenarios');
}
for (const [row, what, name, env = {}] of tests) {
  if (isOver) break;
  const startedAt = Date.now();
  const code = await jest([`test/${name}`], env);
  const figures = `npm test -- ${name}: ${code === 0 ? 'passed' : 'failed'} in ${Math.round((Date.now() - startedAt) / 1_000)} s`;
  appendFileSync(results, `${JSON.stringify({ row, what, figures, state: code === 0 ? '✓' : '✗' })}\n`);
  if (code !== 0) failures.push(row);
}

tell();
process.exit(isOver || failures.length > 0 ? 1 : 0);

/** Prints the table. */
function tell() {
  const rows = existsSync(results) ? readFileSync(results, 'utf8').trim().split('\n') : [];
  process.stdout.write(`\nseed ${values.seed}\n\n`);
  for (const { row, what, figures, state } of rows.map((line) => JSON.parse(line)))
    process.stdout.write(`${state}  ${row.padEnd(4)} ${what}: ${figures}\n`);
  if (!values.json) rmSync(results, { force: true });
}

/** Runs jest as `npm test` does. @returns its exit code */
async function jest(args, env) {
  const flags = ['--experimental-vm-modules', '--no-warnings=ExperimentalWarning'];
  const child = spawn(process.execPath, [...flags, 'node_modules/jest/bin/jest.js', ...args], {
    stdio: 'inherit',
    env: {
      ...process.env,
      // What ships, file by file; see test/support/bundle.js.
      ASPER_TEST_ENTRY: path.resolve('dist/src/main.js'),
      TORTURE_RESULTS: results,
      TORTURE_SEED: values.seed,
      ...(values.short ? { TORTURE_SHORT: '1' } : {}),
      ...env,
    },
  });
  const [code] = await once(child, 'exit');
  return code ?? 1;
}
