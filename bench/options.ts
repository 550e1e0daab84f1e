/** The command line of the bench. */
import { parseArgs } from 'node:util';

import { ROW_NAMES, type RowName } from './row.js';

const SKIPPABLE = ['one-by-one', 'pgbench', 'peer'] as const;

export interface Options {
  rows: Set<RowName>;
  skip: Set<string>;
  rounds: number;
  seconds: number;
  quick: boolean;
  json?: string;
  /** Folder for CPU profiles of the service. */
  profile?: string;
  /** Entries of the ledger to grow; then growth is measured and nothing else (grow.ts). */
  grow?: number;
  /** The built service to measure. */
  entry: string;
  token?: string;
}

const GROW = '--grow=10000000';

const HELP = `npm run bench -- [options]

  --quick            one round of short phases, fewer wallets and entries: about a minute
  --rounds <n>       how often everything is repeated, interleaved (3; quick: 1)
  --seconds <n>      length of a phase (5; quick: 1.5)
  --only <rows>      some of ${ROW_NAMES.join(',')}
  --skip <what>      leave out some of ${SKIPPABLE.join(',')}
  --json <file>      write everything there as well; README.md has the fields
  --profile <folder> write a CPU profile of the service for each row, and print where its time went
  --grow [<entries>] instead: growth, on a ledger of 10 million entries, against an empty one
  --entry <file>     the built service to measure (dist/service/main.js)
  --token <text>     access token to send

BENCH_DATABASE_URL or DATABASE_URL: measure on that PostgreSQL, in databases made for it and dropped afterwards.
Other variables of the environment (GROUP_SIZE_MAX=256 …) reach the service.`;

/** Reads the arguments; prints help or the mistake and exits where there is nothing to run. */
export function readOptions(args: string[]): Options {
  try {
    const { values } = parseArgs({
      // An option with a value that may be left out, which parseArgs does not know.
      args: args.map((arg, i) => (arg === '--grow' && !/^\d/.test(args[i + 1] ?? '') ? GROW : arg)),
      options: {
        quick: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        only: { type: 'string', default: ROW_NAMES.join(',') },
        skip: { type: 'string', default: '' },
        json: { type: 'string' },
        profile: { type: 'string' },
        grow: { type: 'string' },
        entry: { type: 'string', default: 'dist/service/main.js' },
        token: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      process.exit(0);
    }
    const { quick, json, profile, entry, token } = values;
    const grow = values.grow === undefined ? undefined : Number(values.grow);
    if (grow !== undefined && !(grow >= 10_000)) throw new Error('--grow: at least 10000 entries');
    return {
      rows: new Set(named('--only', values.only, ROW_NAMES)),
      skip: new Set(named('--skip', values.skip, SKIPPABLE)),
      rounds: positive('--rounds', values.rounds, quick ? 1 : 3),
      seconds: positive('--seconds', values.seconds, quick ? 1.5 : 5),
      quick,
      json,
      profile,
      grow,
      entry,
      token,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}

function named<T extends string>(option: string, list: string, allowed: readonly T[]): T[] {
  const names = list.split(',').filter(Boolean);
  const unknown = names.filter((name) => !(allowed as readonly string[]).includes(name));
  if (unknown.length > 0) throw new Error(`${option}: ${unknown.join(', ')} is none of ${allowed.join(', ')}`);
  return names as T[];
}

function positive(option: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!(value > 0 && value <= 3_600)) throw new Error(`${option} must be a number over 0, not "${text}"`);
  return value;
}
