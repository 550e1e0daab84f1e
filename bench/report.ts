/** Prints what was measured: one table, every figure with its ratios within the same run. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { packageFile } from '../src/package-root.js';
import type { Phase, Sample } from './phases.js';

export type Samples = Map<Phase, Sample[]>;

interface Line {
  row: string;
  what: string;
  perSecond: number;
  least: number;
  most: number;
  ofOneByOne?: number;
  ofPgbench?: number;
  ofPeer?: number;
  p50Ms?: number;
  p99Ms?: number;
  cpuUs?: number[];
  goals: Goal[];
}

interface Goal {
  text: string;
  value: number;
  isMet: boolean;
}

const WHAT: Record<Phase, string> = {
  'one-by-one': 'one transaction at a time through pg',
  'lonely one-by-one': 'the same, 1 connection',
  pgbench: 'default script, scale 10',
  peer: 'the debit route, one transaction per request',
  P1: 'debits, 1,000 wallets, 256 connections',
  P2: 'debits, one hot wallet, 256 connections',
  P3: 'transfers, Zipf 1.0, 256 connections',
  P5: 'debits, one lonely client',
};

/** The machine and the versions, in two lines. */
export function about(database: { origin: string; version: string }): string {
  const version = (name: string) =>
    (JSON.parse(readFileSync(packageFile('node_modules', name, 'package.json'), 'utf8')) as { version: string })
      .version;
  const cores = cpus();
  return (
    `${cores.length} cores, ${cores[0]?.model.trim() ?? 'unknown CPU'}, ${process.platform} ${process.arch}\n` +
    `node ${process.versions.node}, PostgreSQL ${database.version} (${database.origin}), pg ${version('pg')}, ` +
    `typeorm ${version('typeorm')}, nest ${version('@nestjs/core')}`
  );
}

/** Medians over the rounds; ratios are taken within each round first, as its neighbours share its luck. */
export function linesOf(samples: Samples, best: Record<string, number>): Line[] {
  const ratio = (phase: Phase, to: Phase, figure: keyof Sample = 'perSecond') => {
    const others = samples.get(to);
    if (!others || phase === to) return undefined;
    return median(samples.get(phase)!.map((sample, i) => (sample[figure] as number) / (others[i]![figure] as number)));
  };
  return [...samples.keys()].map((phase) => {
    const own = samples.get(phase)!;
    const speeds = own.map(({ perSecond }) => perSecond);
    const isLonely = phase === 'P5' || phase === 'lonely one-by-one';
    const line: Line = {
      row: phase,
      what: WHAT[phase] + (best[phase] ? `, ${best[phase]} ${phase === 'peer' ? 'in the pool' : 'connections'}` : ''),
      perSecond: median(speeds),
      least: Math.min(...speeds),
      most: Math.max(...speeds),
      ofOneByOne: isLonely ? undefined : ratio(phase, 'one-by-one'),
      ofPgbench: isLonely ? undefined : ratio(phase, 'pgbench'),
      ofPeer: isLonely ? undefined : ratio(phase, 'peer'),
      p50Ms: own[0]!.p50Ms === undefined ? undefined : median(own.map((s) => s.p50Ms!)),
      p99Ms: own[0]!.p99Ms === undefined ? undefined : median(own.map((s) => s.p99Ms!)),
      cpuUs: own[0]!.cpuUs?.map((_, i) => median(own.map((s) => s.cpuUs![i]!))),
      goals: [],
    };
    line.goals = goalsOf(phase, line, ratio);
    return line;
  });
}

function goalsOf(
  phase: Phase,
  line: Line,
  ratio: (phase: Phase, to: Phase, figure?: keyof Sample) => number | undefined,
): Goal[] {
  const least = (text: string, goal: number, value?: number) =>
    value === undefined ? [] : [{ text: `≥ ${goal} × ${text}`, value, isMet: value >= goal }];
  switch (phase) {
    case 'P1':
      return [
        ...least('pgbench', 3, line.ofPgbench),
        ...least('peer', 10, line.ofPeer),
        { text: 'p99 ≤ 60 ms', value: line.p99Ms!, isMet: line.p99Ms! <= 60 },
      ];
    case 'P2':
      return least('P1', 0.9, ratio('P2', 'P1'));
    case 'P3':
      return least('P1', 0.8, ratio('P3', 'P1'));
    case 'P5': {
      const value = ratio('P5', 'lonely one-by-one', 'p50Ms')!;
      return [{ text: '≤ 1.5 × p50 of one-by-one', value, isMet: value <= 1.5 }];
    }
    default:
      return [];
  }
}

/** `cpu µs`: processor time for one 201 in service + PostgreSQL + load generator. */
export function table(lines: Line[]): string {
  const head = [
    '',
    'what',
    'per second',
    'least-most',
    '×one-by-one',
    '×pgbench',
    '×peer',
    'p50 ms',
    'p99 ms',
    'cpu µs',
    'goal',
  ];
  const times = (n?: number) => (n === undefined ? '' : n.toFixed(2));
  const ms = (n?: number) => (n === undefined ? '' : n.toFixed(n < 10 ? 2 : 1));
  const rows = lines.map((l) => [
    l.row,
    l.what,
    whole(l.perSecond),
    `${whole(l.least)}-${whole(l.most)}`,
    times(l.ofOneByOne),
    times(l.ofPgbench),
    times(l.ofPeer),
    ms(l.p50Ms),
    ms(l.p99Ms),
    l.cpuUs?.map((us) => us.toFixed(0)).join('+') ?? '',
    l.goals.map((goal) => `${goal.text}: ${goal.value.toFixed(2)} ${goal.isMet ? '✓' : '✗'}`).join('; '),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]!.length)));
  const isText = (i: number) => i < 2 || i === head.length - 1;
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => (isText(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Everything that was not a 201, as it must not drown in an average. */
export function oddAnswers(samples: Samples): string[] {
  return [...samples].flatMap(([phase, own]) => {
    const all: Record<string, number> = {};
    for (const { others } of own)
      for (const [what, n] of Object.entries(others ?? {})) all[what] = (all[what] ?? 0) + n;
    return Object.entries(all).map(
      ([what, n]) => `${phase}: ${n} answers were ${what}, not 201; they are not counted above`,
    );
  });
}

function whole(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
