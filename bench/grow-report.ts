/** What growth looks like, as tables. */
import type { DebitSample } from './grow-load.js';
import type { ReadPlan } from './grow-plans.js';
import { READ_GOAL_MS, type ReadFigures } from './grow-reads.js';
import { spreadOf } from './statistics.js';

const DEBIT_GOAL = 0.9;

/** Medians over the rounds; the ratio is taken within each round first. The first sample of a warm-up is left out. */
export function debitTable(
  phases: Array<{ name: string; against?: string }>,
  samples: Map<string, DebitSample[]>,
): string {
  const rounds = Math.min(...[...samples.values()].map((own) => own.length));
  const last = (name: string) => samples.get(name)!.slice(-rounds);
  const rows = phases.map(({ name, against }) => {
    const own = last(name);
    const of = (figure: (sample: DebitSample) => number) => spreadOf(own.map(figure))!.median;
    const ratio =
      against && spreadOf(own.map((sample, i) => sample.perSecond / last(against)[i]!.perSecond))!.median; // prettier-ignore
    const odd = own.flatMap(({ others }) => Object.entries(others).map(([what, n]) => `${n} × ${what}`));
    return [
      name,
      of((s) => s.perSecond).toFixed(0),
      `${Math.min(...own.map((s) => s.perSecond)).toFixed(0)}-${Math.max(...own.map((s) => s.perSecond)).toFixed(0)}`,
      of((s) => s.p50Ms).toFixed(1),
      of((s) => s.p99Ms).toFixed(1),
      of((s) => s.cpuUs).toFixed(0),
      of((s) => s.walBytes).toFixed(0),
      of((s) => s.pageImages).toFixed(2),
      `${(100 * of((s) => s.hotPart)).toFixed(0)} %`,
      ratio ? `${ratio.toFixed(2)} × ${against} ${ratio >= DEBIT_GOAL ? '✓' : '✗'}` : '',
      odd.join(', '),
    ];
  });
  const head = ['debits', '/s', 'least-most', 'p50 ms', 'p99 ms', 'cpu µs', 'WAL bytes', 'page images', 'HOT', `≥ ${DEBIT_GOAL}`, '']; // prettier-ignore
  return aligned([head, ...rows]);
}

/** ✗ where p99 is over the goal; ⚠ where a plan reads a whole table. */
export function readTable(figures: ReadFigures[], plans: ReadPlan[] | undefined): string {
  const rows = figures.map(({ read, perSecond, p50Ms, p99Ms, maxMs, serviceMs, postgresMs }) => [
    read,
    perSecond.toFixed(0),
    p50Ms.toFixed(1),
    p99Ms.toFixed(1),
    maxMs.toFixed(1),
    `${serviceMs.toFixed(2)}+${postgresMs.toFixed(2)}`,
    p99Ms <= READ_GOAL_MS ? '✓' : '✗',
    plans?.find((plan) => plan.read === read)?.hasSequentialScan ? '⚠ SEQUENTIAL SCAN' : '',
  ]);
  const head = ['reads, 4 connections', '/s', 'p50 ms', 'p99 ms', 'max ms', 'cpu ms', `p99 ≤ ${READ_GOAL_MS} ms`, ''];
  return aligned([head, ...rows]);
}

export function planLines(plans: ReadPlan[]): string[] {
  return plans.flatMap(({ read, lines, hasSequentialScan }) => [
    `${hasSequentialScan ? '⚠ SEQUENTIAL SCAN: ' : ''}${read}`,
    ...lines.map((line) => `    ${line}`),
  ]);
}

/** The first column to the left, figures to the right, remarks to the left. */
function aligned(rows: string[][]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const remarksFrom = rows[0]!.length - 2;
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 || i >= remarksFrom ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    ) // prettier-ignore
    .join('\n');
}
