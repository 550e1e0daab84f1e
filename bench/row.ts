/**
 * What a row of the bench is: its name, how it is measured, what it is compared with, and its goals. The rows
 * themselves are in `rows/`, one file a kind, and their order in `rows/all.ts`.
 */
import type { Bench } from './bench.js';
import type { Latencies } from './latencies.js';
import type { LoadResult } from './load.js';

/** What `--only` selects. */
export const ROW_NAMES = ['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P8', 'P9', 'P10', 'streams'] as const;
export type RowName = (typeof ROW_NAMES)[number];

/** The figures that rows have; a row has some. */
export interface Figures extends Latencies {
  perSecond?: number;
  /** The service's resident memory while the row was measured. */
  residentMB?: number;
  /** From the start of a process to its first 201. */
  startSeconds?: number;
  idleMB?: number;
  loadedMB?: number;
  /** More memory than before. */
  addedMB?: number;
  addedAgainMB?: number;
  /** Memory of one open stream. */
  streamKB?: number;
}
export type Figure = keyof Figures;

/** How a figure is called in a goal, and its unit. */
export const FIGURES: Record<Figure, { name: string; unit: string }> = {
  perSecond: { name: '', unit: ' a second' },
  p50Ms: { name: 'p50', unit: ' ms' },
  p95Ms: { name: 'p95', unit: ' ms' },
  p99Ms: { name: 'p99', unit: ' ms' },
  p999Ms: { name: 'p99.9', unit: ' ms' },
  maxMs: { name: 'slowest', unit: ' ms' },
  residentMB: { name: 'memory', unit: ' MB' },
  startSeconds: { name: 'start to first 201', unit: ' s' },
  idleMB: { name: 'memory, idle', unit: ' MB' },
  loadedMB: { name: 'memory, under P1', unit: ' MB' },
  addedMB: { name: 'added memory', unit: ' MB' },
  addedAgainMB: { name: 'added by a second one', unit: ' MB' },
  streamKB: { name: 'memory of each', unit: ' KB' },
};

export interface Sample extends Figures {
  /** Answers that were not as hoped for, by status. */
  others?: Record<string, number>;
  /** Microseconds of processor time for one operation: service, its connections in PostgreSQL, load generator. */
  cpuUs?: [service: number, postgres: number, generator: number];
}

/** A bound on a figure; with `of`, on its ratio to the same figure of another row in the same round. */
export type Goal = { figure: Figure; of?: string } & ({ least: number } | { most: number });

export interface Row {
  name: string;
  /** The row of the criteria that it belongs to; a reference belongs to none. */
  partOf?: RowName;
  /** One line; may depend on what the warm-up found. */
  readonly what: string;
  /** Rows whose speed its own is divided by. They and those of its goals are measured along with it. */
  comparedWith?: string[];
  goals?: Goal[];
  /** Rounds in which it is measured; by default all. */
  roundsMax?: number;
  /** Whether `--profile` runs it once more under the profiler. */
  isProfiled?: boolean;
  /** Makes what it needs, once. @returns false where it cannot be measured here. */
  prepare?(bench: Bench): Promise<boolean | void>;
  /** Runs it until it is at its speed, and finds its best settings. */
  warmUp?(bench: Bench, seconds: number): Promise<void>;
  measure(bench: Bench, seconds: number): Promise<Sample>;
}

/** `≥ 3 × pgbench`, `p99 ≤ 60 ms`, `p50 ≤ 1.5 × lonely one-by-one`. */
export function textOf(goal: Goal): string {
  const { name, unit } = FIGURES[goal.figure];
  const bound = 'least' in goal ? `≥ ${goal.least}` : `≤ ${goal.most}`;
  return `${name} ${bound}${goal.of === undefined ? unit : ` × ${goal.of}`}`.trim();
}

export function isMet(goal: Goal, value: number): boolean {
  return 'least' in goal ? value >= goal.least : value <= goal.most;
}

/** Runs with each of these settings. @returns the one with which it was fastest. */
export async function fastestOf(settings: number[], run: (setting: number) => Promise<Sample>): Promise<number> {
  let best = settings[0]!;
  let most = 0;
  for (const setting of settings) {
    const { perSecond } = await run(setting);
    if (perSecond! > most) {
      best = setting;
      most = perSecond!;
    }
  }
  return best;
}

/** What a table shows of a run of the load generator. */
export function sampleOf({ perSecond, others, p50Ms, p95Ms, p99Ms, p999Ms, maxMs }: LoadResult): Sample {
  return { perSecond, others, p50Ms, p95Ms, p99Ms, p999Ms, maxMs };
}
