/** What was measured, as data: a line for each row, for the tables, for `--json` and for the chart. */
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { packageFile } from '../src/package-root.js';
import type { Options } from './options.js';
import { FIGURES, isMet, textOf, type Figure, type Goal, type Row, type Sample } from './row.js';
import { spreadOf, type Spread } from './statistics.js';

/** One sample a round. */
export type Samples = Map<Row, Sample[]>;

export interface Line {
  row: string;
  /** The row of the criteria; references have none. */
  partOf?: string;
  what: string;
  figures: Partial<Record<Figure, Spread>>;
  /** Its speed divided by that of other rows. */
  ratios: Record<string, Spread>;
  cpuUs?: { service: number; postgres: number; generator: number };
  goals: Judged[];
  others: Record<string, number>;
}

/** A goal, and what came of it. Without `measured` it could not be judged: its reference was left out. */
export interface Judged {
  text: string;
  figure: Figure;
  of?: string;
  least?: number;
  most?: number;
  measured?: Spread;
  isMet?: boolean;
}

export interface Report {
  format: 1;
  date: string;
  machine: { cores: number; cpu: string; memoryMB: number; platform: string };
  versions: { node: string; postgres: string; pg: string; typeorm: string; nest: string; asper: string };
  /** `embedded` or `given`. */
  database: string;
  options: { rows: string[]; skip: string[]; rounds: number; seconds: number; quick: boolean };
  lines: Line[];
  samples: Record<string, Sample[]>;
  brokenLaws: string[];
}

/** Everything but what was measured. */
export function about(database: { origin: string; version: string }, options: Options) {
  const version = (...place: string[]) =>
    (JSON.parse(readFileSync(packageFile(...place, 'package.json'), 'utf8')) as { version: string }).version;
  const of = (name: string) => version('node_modules', name);
  const cores = cpus();
  const { rows, skip, rounds, seconds, quick } = options;
  return {
    format: 1,
    date: new Date().toISOString(),
    machine: {
      cores: cores.length,
      cpu: cores[0]?.model.trim() ?? 'unknown CPU',
      memoryMB: Math.round(totalmem() / 1e6),
      platform: `${process.platform} ${process.arch}`,
    },
    versions: {
      node: process.versions.node,
      postgres: database.version,
      pg: of('pg'),
      typeorm: of('typeorm'),
      nest: of('@nestjs/core'),
      asper: version(),
    },
    database: database.origin,
    options: { rows: [...rows], skip: [...skip], rounds, seconds, quick },
  } satisfies Partial<Report>;
}

/** Medians over the rounds; ratios are taken within each round first, as neighbours share the machine's luck. */
export function linesOf(samples: Samples): Line[] {
  const byName = new Map([...samples].map(([{ name }, own]) => [name, own]));
  const lines = [...samples].map(([row, own]) => {
    const ratio = (figure: Figure, of: string) =>
      spreadOf(own.map((sample, round) => quotient(sample[figure], byName.get(of)?.[round]?.[figure])));
    const ratios = (row.comparedWith ?? []).flatMap((of) => {
      const spread = ratio('perSecond', of);
      return spread ? [[of, spread] as const] : [];
    });
    return {
      row: row.name,
      partOf: row.partOf,
      what: row.what,
      figures: figuresOf(own),
      ratios: Object.fromEntries(ratios),
      cpuUs: cpuOf(own),
      goals: (row.goals ?? []).map((goal) =>
        judged(goal, goal.of ? ratio(goal.figure, goal.of) : spreadOf(own.map((sample) => sample[goal.figure]))),
      ),
      others: othersOf(own),
    };
  });
  // References first, as they were measured; then the criteria's rows in their order.
  const rank = ({ partOf }: Line) => Number(partOf?.slice(1) ?? 0);
  return lines.sort((a, b) => rank(a) - rank(b));
}

function quotient(a?: number, b?: number): number | undefined {
  return a === undefined || b === undefined || b === 0 ? undefined : a / b;
}

function figuresOf(samples: Sample[]): Line['figures'] {
  const figures: Line['figures'] = {};
  for (const figure of Object.keys(FIGURES) as Figure[]) {
    const spread = spreadOf(samples.map((sample) => sample[figure]));
    if (spread) figures[figure] = spread;
  }
  return figures;
}

function cpuOf(samples: Sample[]): Line['cpuUs'] {
  const [service, postgres, generator] = [0, 1, 2].map((i) => spreadOf(samples.map(({ cpuUs }) => cpuUs?.[i]))?.median);
  if (service === undefined || postgres === undefined || generator === undefined) return undefined;
  return { service, postgres, generator };
}

function judged(goal: Goal, measured?: Spread): Judged {
  return { text: textOf(goal), ...goal, measured, isMet: measured && isMet(goal, measured.median) };
}

function othersOf(samples: Sample[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const { others } of samples)
    for (const [what, n] of Object.entries(others ?? {})) all[what] = (all[what] ?? 0) + n;
  return all;
}
