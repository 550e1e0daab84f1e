/**
 * Draws the figures of `--json` as an SVG: postings per second with ratios and goals, and latencies.
 *
 *     npm run bench:chart -- figures.json docs/performance.svg
 *
 * Batches have a panel of their own with its own scale, both from zero: on one scale the rest would be slivers, and a
 * logarithmic or broken bar has no honest length.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { Line, Report } from './report.js';

const WIDTH = 760;
const LEFT = 190;
const RIGHT = 118;
const SPAN = WIDTH - LEFT - RIGHT;
const ROW_HEIGHT = 26;
const BAR_HEIGHT = 16;

const SINGLE = ['one-by-one', 'pgbench', 'peer', 'P1', 'P2', 'P3'];
const BATCH = ['pgbench', 'P4'];
const LATENCIES = ['lonely one-by-one', 'P5', 'P1 open 50 %', 'P1 open 80 %', 'P1'];
const LABELS: Record<string, string> = {
  'one-by-one': 'one-by-one (pg)',
  pgbench: 'pgbench',
  peer: 'one per request (ORM)',
  P1: 'P1 debits',
  P2: 'P2 one hot wallet',
  P3: 'P3 transfers, Zipf',
  P4: 'P4 batches of 500',
  'lonely one-by-one': 'one-by-one, 1 client',
  P5: 'P5 1 client',
  'P1 open 50 %': 'P1 at 50 % load',
  'P1 open 80 %': 'P1 at 80 % load',
};

/** Both themes of the reader's browser; the card brings its own background, so it stands on any page. */
const STYLE = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .card { fill: #ffffff; stroke: #d1d9e0; }
  .title { font-weight: 600; font-size: 14px; }
  .small { font-size: 11px; fill: #59636e; }
  .end { text-anchor: end; }
  .middle { text-anchor: middle; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .reference { fill: #818b98; }
  .ours { fill: #0969da; }
  .range { stroke: #0969da; stroke-width: 2; }
  .range.reference { stroke: #818b98; }
  .spread { stroke: #1f2328; stroke-width: 1.5; }
  .goal { stroke: #bc4c00; stroke-width: 2.5; }
  .goaltext { fill: #bc4c00; font-size: 11px; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .card { fill: #0d1117; stroke: #3d444d; }
    .small { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .reference { fill: #656c76; }
    .ours { fill: #4493f8; }
    .range { stroke: #4493f8; }
    .range.reference { stroke: #656c76; }
    .spread { stroke: #f0f6fc; }
    .goal { stroke: #f0883e; }
    .goaltext { fill: #f0883e; }
  }`;

/** The figures as SVG. Rows that were not measured are left out. */
export function chartOf(report: Report): string {
  const byName = new Map(report.lines.map((line) => [line.row, line]));
  const some = (names: string[]) => names.flatMap((name) => byName.get(name) ?? []);
  const parts: string[] = [];
  let y = 30;
  const panel = (title: string, lines: Line[], draw: (lines: Line[], y: number) => string) => {
    if (lines.length === 0) return;
    parts.push(text(20, y, title, 'title'), draw(lines, y + 14));
    y += 14 + lines.length * ROW_HEIGHT + 62;
  };
  panel('Postings per second, one in each request', some(SINGLE), (lines, top) => speed(lines, top, byName));
  if (byName.has('P4')) {
    panel('Postings per second in batches of 500, on a scale of its own', some(BATCH), (lines, top) =>
      speed(lines, top, byName),
    );
  }
  panel('Latency of a request: p50, p99 and p99.9, on a logarithmic scale', some(LATENCIES), latency);
  const { machine, versions, options } = report;
  parts.push(
    text(
      20,
      y,
      'At the right: postings a second and × pgbench; p50 · p99. Thin lines on the bars: range over the rounds.',
      'small',
    ),
    text(
      20,
      y + 16,
      `${machine.cores} cores for all of it, ${machine.cpu}; PostgreSQL ${versions.postgres}, Node.js ${versions.node}; ` +
        `${options.rounds} ${options.rounds === 1 ? 'round' : 'rounds'} of ${options.seconds} s; ${report.date.slice(0, 10)}`,
      'small',
    ),
  );
  const height = y + 34;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title desc">`,
    `<title id="title">How fast Asper Wallet posts, beside pgbench and one transaction per request</title>`,
    `<desc id="desc">${escaped(description(report.lines))}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6"/>`,
    ...parts,
    `</svg>\n`,
  ].join('\n');
}

/** Bars from zero, with the range over the rounds, the ratio, and where the goal would be. */
function speed(lines: Line[], top: number, byName: Map<string, Line>): string {
  const pgbench = byName.get('pgbench');
  const goals = lines.map((line) => goalOf(line, byName));
  const most = Math.max(...lines.map(({ figures }) => figures.perSecond!.most), ...goals.map((goal) => goal?.at ?? 0));
  const { step, end } = niceScale(most);
  const x = (value: number) => LEFT + (value / end) * SPAN;
  const bottom = top + lines.length * ROW_HEIGHT;
  const parts: string[] = [];
  for (let value = 0; value <= end; value += step) {
    parts.push(vertical('grid', x(value), top, bottom), text(x(value), bottom + 14, whole(value), 'small middle'));
  }
  lines.forEach((line, i) => {
    const { median, least, most: highest } = line.figures.perSecond!;
    const y = top + i * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2;
    const middle = y + BAR_HEIGHT / 2;
    const goal = goals[i];
    parts.push(
      text(LEFT - 10, middle + 4, LABELS[line.row]!, 'end'),
      `<rect class="${kind(line)}" x="${LEFT}" y="${y}" width="${round(x(median) - LEFT)}" height="${BAR_HEIGHT}" rx="2"/>`,
    );
    if (highest > least) parts.push(horizontal('spread', x(least), x(highest), middle));
    if (goal) parts.push(vertical('goal', x(goal.at), y - 3, y + BAR_HEIGHT + 3));
    const ratio = line.ratios.pgbench?.median ?? (line === pgbench ? 1 : quotient(line, pgbench));
    const times = ratio === undefined ? '' : ` · ${ratio.toFixed(ratio < 1 ? 2 : 1)} ×`;
    parts.push(text(LEFT + SPAN + 10, middle + 4, `${whole(median)}${times}`));
  });
  const named = goals.filter((goal) => goal !== undefined).map(({ row, goal }) => `${row} ${goal}`);
  if (named.length > 0) parts.push(text(LEFT, bottom + 30, `▏goal: ${named.join(', ')}`, 'goaltext'));
  return parts.join('\n');
}

/** From p50 over p99 to p99.9, as dots on a line. */
function latency(lines: Line[], top: number): string {
  const all = lines.flatMap(({ figures }) => [figures.p50Ms, figures.p99Ms, figures.p999Ms].map((f) => f?.median));
  const known = all.filter((ms) => ms !== undefined);
  const p99Goal = lines.find(({ row }) => row === 'P1')?.goals.find(({ figure }) => figure === 'p99Ms')?.most;
  const from = Math.floor(Math.log10(Math.min(...known)));
  const to = Math.ceil(Math.log10(Math.max(...known, p99Goal ?? 0)));
  const x = (ms: number) => LEFT + ((Math.log10(ms) - from) / (to - from)) * SPAN;
  const bottom = top + lines.length * ROW_HEIGHT;
  const parts: string[] = [];
  for (let power = from; power <= to; power++) {
    const ms = 10 ** power;
    parts.push(vertical('grid', x(ms), top, bottom), text(x(ms), bottom + 14, `${ms} ms`, 'small middle'));
  }
  lines.forEach((line, i) => {
    const middle = top + (i + 0.5) * ROW_HEIGHT;
    const dots = [line.figures.p50Ms, line.figures.p99Ms, line.figures.p999Ms].flatMap((f) => (f ? [f.median] : []));
    parts.push(text(LEFT - 10, middle + 4, LABELS[line.row]!, 'end'));
    parts.push(horizontal(`range ${kind(line)}`, x(dots[0]!), x(dots.at(-1)!), middle));
    dots.forEach((ms, n) =>
      parts.push(`<circle class="${kind(line)}" cx="${round(x(ms))}" cy="${middle}" r="${5 - n}"/>`),
    );
    if (line.row === 'P1' && p99Goal) {
      parts.push(vertical('goal', x(p99Goal), middle - BAR_HEIGHT / 2 - 3, middle + BAR_HEIGHT / 2 + 3));
    }
    parts.push(text(LEFT + SPAN + 10, middle + 4, `${dots.slice(0, 2).map(short).join(' · ')} ms`));
  });
  if (p99Goal) parts.push(text(LEFT, bottom + 30, `▏goal: P1 p99 ≤ ${p99Goal} ms`, 'goaltext'));
  return parts.join('\n');
}

/** The first goal of a row on its speed, and where it stands on the scale: so many times its reference's median. */
function goalOf(line: Line, byName: Map<string, Line>): { row: string; goal: string; at: number } | undefined {
  const goal = line.goals.find(({ figure, of, least }) => figure === 'perSecond' && of && least && byName.has(of));
  if (!goal) return undefined;
  const at = byName.get(goal.of!)!.figures.perSecond!.median * goal.least!;
  return { row: line.row, goal: goal.text, at };
}

function quotient(line: Line, reference?: Line): number | undefined {
  return reference && line.figures.perSecond!.median / reference.figures.perSecond!.median;
}

/** A round step for four to eight lines of the grid. */
function niceScale(most: number): { step: number; end: number } {
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [0.2, 0.5, 1, 2].map((n) => n * power).find((candidate) => most / candidate <= 7)!;
  return { step, end: Math.ceil(most / step) * step };
}

/** The chart in words, for those who do not see it. */
function description(lines: Line[]): string {
  return lines
    .flatMap(({ row, figures }) =>
      figures.perSecond && LABELS[row]
        ? [
            `${LABELS[row]}: ${whole(figures.perSecond.median)} a second` +
              (figures.p50Ms ? `, p50 ${short(figures.p50Ms.median)} ms` : '') +
              (figures.p99Ms ? `, p99 ${short(figures.p99Ms.median)} ms` : ''),
          ]
        : [],
    )
    .join('; ');
}

function kind({ partOf }: Line): string {
  return partOf === undefined ? 'reference' : 'ours';
}

function text(x: number, y: number, content: string, type = ''): string {
  return `<text${type ? ` class="${type}"` : ''} x="${round(x)}" y="${round(y)}">${escaped(content)}</text>`;
}

function vertical(type: string, x: number, y1: number, y2: number): string {
  return `<line class="${type}" x1="${round(x)}" x2="${round(x)}" y1="${round(y1)}" y2="${round(y2)}"/>`;
}

function horizontal(type: string, x1: number, x2: number, y: number): string {
  return `<line class="${type}" x1="${round(x1)}" x2="${round(x2)}" y1="${round(y)}" y2="${round(y)}"/>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}

function short(n: number): string {
  return n.toFixed(n < 10 ? 1 : 0);
}

function whole(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}

const [figures, svg] = process.argv.slice(2);
if (!figures || !svg) {
  console.error('npm run bench:chart -- <figures.json> <chart.svg>');
  process.exit(2);
}
await writeFile(svg, chartOf(JSON.parse(await readFile(figures, 'utf8')) as Report));
