/**
 * `npm run torture`: runs the scenarios and prints what they found, a row each. The exit code is 1 where a promise is broken.
 * README.md says what each does.
 */
import { spawn } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `
npm run torture -- [options]

  --only <rows>    some of R5,R7,R8,R9,R11,R12,R13,mutants
  --short          fewer repetitions: about three minutes
  --seed <n>       of what is random; printed, so that a run can be repeated
  --json <file>    the table for a script
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(randomInt(1_000_000)) },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

const results = path.resolve(values.json ?? path.join(tmpdir(), `asper-torture-${randomUUID()}.json`));
rmSync(results, { force: true });
const names = values.only ? values.only.split(',').map((row) => `torture/scenarios/${row.toLowerCase()}[-.]`) : [];
const flags = ['--experimental-vm-modules', '--no-warnings=ExperimentalWarning'];
const jest = ['node_modules/jest/bin/jest.js', '--config', 'torture/jest.config.js', '--silent=false', ...names];
const child = spawn(process.execPath, [...flags, ...jest], {
  stdio: 'inherit',
  env: {
    ...process.env,
    TORTURE_RESULTS: results,
    TORTURE_SEED: values.seed,
    ...(values.short ? { TORTURE_SHORT: '1' } : {}),
  },
});
// Ctrl-C reaches the scenarios by itself; they end what they have started.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
child.on('exit', (code) => {
  const rows = existsSync(results)
    ? readFileSync(results, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];
  const out = (line) => process.stdout.write(`${line}\n`);
  out(`\nseed ${values.seed}\n`);
  for (const { row, what, figures, state } of rows) out(`${state}  ${row.padEnd(4)} ${what}: ${figures}`);
  if (!values.json) rmSync(results, { force: true });
  process.exit(code ?? 1);
});
