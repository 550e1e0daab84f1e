/**
 * `npm run torture`: breaks things and prints what became of each promise, a row each. The exit code is 1 where one is broken, 2
 * where nobody understands what is asked. README.md says what each does.
 */
import { spawn } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `
npm run torture -- [options]
npm run ha -- [--install]

  --only <rows>    some of R1, R3 to R9, R11 to R20, clock, mutants, with commas between; R10 is \`npm run ha\`
  --short          fewer repetitions, and only what is not a test already (unless --only names it): about two minutes
  --seed <n>       of what is random in scenarios, model and fuzz; printed, so that a run can be repeated
  --json <file>    the table for a script, a row a line
  --install        of \`npm run ha\`: gets Debian's packages where they are missing (as root)

Exit codes: 0 all promises were kept; 1 one was broken, or the run was interrupted; 2 wrong usage.
`;

/** Promises that a test of the suite keeps, and how much more is asked of it here. */
const TESTS = [
  { rows: ['R1'], what: 'races', name: 'bank', env: { BANK_SNAPSHOTS: '1000' } },
  {
    rows: ['R3', 'R4'],
    what: 'one key many times; with other bodies',
    name: 'idempotency',
    env: { IDEMPOTENCY_KEYS: '200' },
  },
  { rows: ['R6'], what: 'rolling restarts', name: 'rolling', env: { ROLLS: '10' } },
  { rows: ['R14'], what: 'holds', name: 'holds.e2e' },
  { rows: ['R15'], what: 'reversals', name: 'reversals' },
  { rows: ['R16'], what: 'the model', name: 'model', env: { MODEL_RUNS: '2000', MODEL_COMMANDS: '50' } },
  { rows: ['R17'], what: 'real time', name: 'real-time', env: { REAL_TIME_OPERATIONS: '50000' } },
  { rows: ['R18'], what: 'the OpenAPI document, fuzzed', name: 'openapi-fuzz', env: { FUZZ_CASES: '200' } },
  { rows: ['R19'], what: 'webhooks, killed', name: 'webhook-faults', env: { WEBHOOK_KILLS: '100' } },
  { rows: ['R20'], what: 'migrations under load', name: 'migrations', env: { MIGRATION_ENTRIES: '200000' } },
  { rows: ['R20'], what: 'backup and restore', name: 'backup' },
  { rows: ['mutants'], what: '⚑ builds without lock, floor and others, in R1 and R3', name: 'mutants' },
];
/** Rows that are elsewhere. */
const ELSEWHERE = {
  r2: 'R2 is judged after every scenario; a run of any of them has it.',
  r10: 'R10 is a run of its own: npm run ha',
};

const values = options();
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
const files = readdirSync('torture/scenarios');
refuseUnknown();
const scenarios = files.filter((file) => only?.includes(rowOf(file).toLowerCase()) ?? true);
const tests = TESTS.filter(({ rows }) => only?.some((name) => isOf(rows, name)) ?? !values.short);
if (scenarios.length > 0) await runScenarios();
for (const test of tests) if (!isOver) await runTest(test);
const broken = tell();
process.exit(isOver || broken > 0 ? 1 : 0);

function options() {
  try {
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
    if (!/^\d{1,9}$/.test(values.seed)) refuse(`--seed takes a whole number, not "${values.seed}".`);
    return values;
  } catch (error) {
    refuse(error.message);
  }
}

/** A row that nobody knows would otherwise be a run of nothing, and pass. */
function refuseUnknown() {
  const known = [...new Set([...files.map(rowOf), ...TESTS.flatMap(({ rows }) => rows)])];
  for (const name of only ?? []) {
    if (isOf(known, name)) continue;
    const inOrder = known.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));
    refuse(ELSEWHERE[name] ?? `There is no row "${name}". There are: ${inOrder.join(', ')}.`);
  }
}

/** `r7-kill-postgres.ts` keeps R7. */
function rowOf(file) {
  const [name] = file.split(/[-.]/);
  return /^r\d+$/.test(name) ? name.toUpperCase() : name;
}

function isOf(rows, name) {
  return rows.some((row) => row.toLowerCase() === name);
}

function refuse(why) {
  process.stderr.write(`${why}\n${HELP}`);
  process.exit(2);
}

/** Runs the scenarios; those that were only late get a second try, whose word counts. The short form does not judge times. */
async function runScenarios() {
  // Two at a time in the short form, as most of them wait: 123 s instead of 163. But for what kills the PostgreSQL of all, and
  // for what is about the whole machine.
  const isAlone = (file) => !values.short || ['R7', 'R12'].includes(rowOf(file));
  await tryScenarios(scenarios.filter(isAlone), '1');
  if (!isOver)
    await tryScenarios(
      scenarios.filter((file) => !isAlone(file)),
      '1',
      2,
    );
  const lines = told();
  const isLate = (file) => {
    const states = lines.filter((line) => line.file === file).map(({ state }) => state);
    return states.includes('↻') && !states.includes('✗');
  };
  const late = scenarios.filter(isLate);
  if (late.length > 0 && !isOver && !values.short) await tryScenarios(late, '2');
}

/** What failed without a row of its own gets one: a broken promise is not to be missed in the table. */
async function tryScenarios(files, which, workers = 1) {
  if (files.length === 0) return;
  const report = `${results}.jest`;
  const flags = [
    ...['--config', 'torture/jest.config.js', `--maxWorkers=${workers}`],
    ...['--silent=false', '--json', `--outputFile=${report}`],
  ];
  await jest([...flags, ...files.map((file) => `torture/scenarios/${file}`)], { TORTURE_TRY: which });
  const { testResults = [] } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {};
  rmSync(report, { force: true });
  const lines = told();
  for (const file of files) {
    const ran = testResults.find(({ name }) => path.basename(name) === file)?.assertionResults ?? [];
    const isTold = (name) => lines.some(({ test, state }) => test === name && state === '✗');
    const silent = ran.filter(({ status, fullName }) => status === 'failed' && !isTold(fullName));
    for (const { fullName, failureMessages } of silent)
      add({ row: rowOf(file), what: fullName, figures: failureMessages.join().split('\n')[0], state: '✗' });
    if (silent.length === 0 && !lines.some((line) => line.file === file))
      add({ row: rowOf(file), what: file, figures: 'ended without a row', state: '✗' });
  }
}

/** Its row has the figures that the test told; what it skipped has a row already. */
async function runTest({ rows, what, name, env = {} }) {
  const before = told().length;
  const startedAt = Date.now();
  const code = await jest([`test/${name}`], env);
  const seconds = (Date.now() - startedAt) / 1_000;
  const lines = told().slice(before);
  const figures = lines.flatMap(({ figure }) => figure ?? []);
  if (code === 0 && figures.length === 0 && lines.some(({ state }) => state === '–')) return;
  const outcome = `npm test -- ${name} ${code === 0 ? 'passed' : 'failed'}`;
  add({
    row: rows.join(', '),
    what,
    figures: [...figures, outcome].join('; '),
    state: code === 0 ? '✓' : '✗',
    seconds,
  });
}

function add(row) {
  appendFileSync(results, `${JSON.stringify(row)}\n`);
}

/** What was told so far: rows of the table, and figures of the test that runs. */
function told() {
  const text = existsSync(results) ? readFileSync(results, 'utf8').trim() : '';
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line));
}

/** Prints the table. @returns how many promises are broken */
function tell() {
  const rows = told().filter(({ row }) => row !== undefined);
  process.stdout.write(`\nseed ${values.seed}\n\n`);
  for (const { row, what, figures, state, seconds } of rows) {
    const time = seconds === undefined ? '' : `${Math.round(seconds)} s`;
    process.stdout.write(`${state}  ${row.padEnd(7)} ${time.padStart(6)}  ${what}: ${figures}\n`);
  }
  const broken = rows.filter(({ state }) => state === '✗').map(({ row }) => row);
  if (broken.length > 0) process.stdout.write(`\nBROKEN: ${[...new Set(broken)].join(', ')}\n`);
  if (isOver) process.stdout.write('\nInterrupted: what is missing above was not tried.\n');
  if (values.json) writeFileSync(results, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  else rmSync(results, { force: true });
  return broken.length;
}
/** Runs jest as `npm test` does. @returns its exit code */
async function jest(args, env) {
  const flags = ['--experimental-vm-modules', '--no-warnings=ExperimentalWarning'];
  const child = spawn(process.execPath, [...flags, 'node_modules/jest/bin/jest.js', ...args], {
    stdio: 'inherit',
    env: {
      ...process.env,
      TORTURE_RESULTS: results,
      TORTURE_SEED: values.seed,
      MODEL_SEED: values.seed,
      FUZZ_SEED: values.seed,
      ...(values.short ? { TORTURE_SHORT: '1' } : {}),
      ...env,
    },
  });
  const [code] = await once(child, 'exit');
  return code ?? 1;
}
