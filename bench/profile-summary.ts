/** Says in twenty lines where the time of a CPU profile went. */
import { readFile } from 'node:fs/promises';

interface Node {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

interface Profile {
  nodes: Node[];
  samples: number[];
  timeDeltas: number[];
}

const FUNCTIONS_SHOWN = 25;
const GROUPS_SHOWN = 18;

/** Self time by package or source folder, and by function, in percent of the time that the process was not idle. */
export async function summarise(file: string): Promise<string> {
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(file, 'utf8')) as Profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const callers = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)));
  const groups = new Map<string, number>();
  const functions = new Map<string, number>();
  let total = 0;
  let idle = 0;
  samples.forEach((id, i) => {
    const { callFrame } = byId.get(id)!;
    const elapsed = timeDeltas[i] ?? 0;
    total += elapsed;
    if (callFrame.functionName === '(idle)') {
      idle += elapsed;
      return;
    }
    // A native function (a write to a socket, a hash) counts for the package that called it.
    let caller = byId.get(id);
    while (caller?.callFrame.url === '' && !caller.callFrame.functionName.startsWith('('))
      caller = callers.get(caller.id);
    add(groups, groupOf(caller?.callFrame.url ?? '', caller?.callFrame.functionName ?? ''), elapsed);
    add(functions, `${callFrame.functionName || '(anonymous)'}  ${placeOf(callFrame)}`, elapsed);
  });
  const busy = total - idle;
  return [
    `  busy ${percent(busy, total)} of the time; of that:`,
    ...top(groups, GROUPS_SHOWN, busy),
    '  by function:',
    ...top(functions, FUNCTIONS_SHOWN, busy),
  ].join('\n');
}

function add(sums: Map<string, number>, name: string, elapsed: number): void {
  sums.set(name, (sums.get(name) ?? 0) + elapsed);
}

function top(sums: Map<string, number>, count: number, busy: number): string[] {
  const sorted = [...sums].sort(([, a], [, b]) => b - a).slice(0, count);
  return sorted.map(([name, elapsed]) => `    ${percent(elapsed, busy).padStart(6)}  ${name}`);
}

/** The package, for our own code the folder and file, for Node's the module. */
function groupOf(url: string, functionName: string): string {
  const packages = url.split('node_modules/');
  if (packages.length > 1) return /^(@[^/]+\/)?[^/]+/.exec(packages.at(-1)!)![0];
  if (url.startsWith('node:')) return url.replace('node:internal/', 'node:').split('/').slice(0, 2).join('/');
  if (url === '') return functionName === '(root)' ? '(native, called by nobody)' : functionName;
  return /dist\/(.*)\.js$/.exec(url)?.[1] ?? url;
}

function placeOf({ url, lineNumber }: Node['callFrame']): string {
  const place = url.split(/node_modules\/|dist\//).at(-1)!;
  return place ? `${place}:${lineNumber + 1}` : '';
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)} %`;
}
