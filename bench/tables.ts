/** Prints a report: what was measured on, speed, latency, and the goals. */
import type { Line, Report } from './report.js';
import type { Figure } from './row.js';
import type { Spread } from './statistics.js';

/** The machine and the versions, in two lines. */
export function machineLines({
  machine,
  versions,
  database,
}: Pick<Report, 'machine' | 'versions' | 'database'>): string {
  const { node, postgres, pg, typeorm, nest } = versions;
  return (
    `${machine.cores} cores, ${machine.cpu}, ${machine.platform}\n` +
    `node ${node}, PostgreSQL ${postgres} (${database}), pg ${pg}, typeorm ${typeorm}, nest ${nest}`
  );
}

/** Speed, latency, goals; what has no rows is left out. */
export function tables(lines: Line[]): string {
  return [speedTable, latencyTable, goalTable].map((table) => table(lines)).join('');
}

/** `cpu µs`: processor time for one operation in service + PostgreSQL + load generator. */
function speedTable(lines: Line[]): string {
  const head = ['SPEED', 'what', 'per second', 'least-most', '×one-by-one', '×pgbench', '×peer', 'cpu µs', 'MB'];
  const rows = lines
    .filter(({ figures }) => figures.perSecond)
    .map(({ row, what, figures, ratios, cpuUs }) => [
      row,
      what,
      whole(figures.perSecond!.median),
      range(figures.perSecond!, whole),
      ...['one-by-one', 'pgbench', 'peer'].map((of) => (ratios[of] ? ratios[of].median.toFixed(2) : '')),
      cpuUs ? [cpuUs.service, cpuUs.postgres, cpuUs.generator].map((us) => us.toFixed(0)).join('+') : '',
      figures.residentMB ? whole(figures.residentMB.median) : '',
    ]);
  return aligned(head, rows, 2);
}

function latencyTable(lines: Line[]): string {
  const shown: Figure[] = ['p50Ms', 'p95Ms', 'p99Ms', 'p999Ms'];
  const head = ['LATENCY', 'what', 'p50 ms', 'p95 ms', 'p99 ms', 'p99.9 ms', 'p99 least-most'];
  const rows = lines
    .filter(({ figures }) => figures.p50Ms)
    .map(({ row, what, figures }) => [
      row,
      what,
      ...shown.map((figure) => (figures[figure] ? short(figures[figure].median) : '')),
      figures.p99Ms ? range(figures.p99Ms, short) : '',
    ]);
  return aligned(head, rows, 2);
}

function goalTable(lines: Line[]): string {
  const head = ['GOALS', '', 'measured', 'least-most', ''];
  const rows = lines.flatMap(({ row, goals }) =>
    goals.map(({ text, measured, isMet }) => [
      row,
      text,
      ...(measured ? [short(measured.median), range(measured, short), isMet ? '✓' : '✗'] : ['not measured', '', '']),
    ]),
  );
  return aligned(head, rows, 2);
}

/** Everything that was not as hoped for, as it must not drown in an average. */
export function oddAnswers(lines: Line[]): string[] {
  return lines.flatMap(({ row, others }) =>
    Object.entries(others).map(([what, n]) => `${row}: ${n} × ${what}; not counted above`),
  );
}

/** @param texts the first so many columns are text. */
function aligned(head: string[], rows: string[][], texts: number): string {
  if (rows.length === 0) return '';
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]!.length)));
  const line = (row: string[]) =>
    row.map((cell, i) => (i < texts ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return `\n${[head, ...rows].map((row) => line(row).trimEnd()).join('\n')}\n`;
}

function range({ least, most }: Spread, text: (n: number) => string): string {
  return `${text(least)}-${text(most)}`;
}

/** Three figures that matter. */
function short(n: number): string {
  return n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0);
}

function whole(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}
