/**
 * The plans of the reads as PostgreSQL ran them, statements inside functions too: a second service with `auto_explain`
 * on its connections, whose plans arrive as notices and are caught by `plan-catcher.ts`.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CleanUp } from './clean-up.js';
import { ask } from './grow-reads.js';
import { serve } from './processes.js';
import { connectTo } from './server.js';

/** A plan reads the whole of one of these only by mistake. */
const LARGE = /Seq Scan on (entries|transactions|wallets|idempotency_keys)\b/;

export interface ReadPlan {
  read: string;
  /** One line for each way in which a table or index is read. */
  lines: string[];
  hasSequentialScan: boolean;
}

/**
 * @param file where the plans pass from one process to the other; removed by whoever made its folder.
 * @returns nothing where the role may not load `auto_explain`.
 */
export async function plansOf(
  { entry, databaseUrl, file }: { entry: string; databaseUrl: string; file: string },
  reads: Record<string, () => string>,
  cleanUp: CleanUp,
): Promise<ReadPlan[] | undefined> {
  const client = await connectTo(databaseUrl);
  const mayExplain = await client.query(`LOAD 'auto_explain'; SET auto_explain.log_min_duration = -1`).then(
    () => true,
    () => false,
  );
  await client.end();
  if (!mayExplain) return undefined;
  const catcher = pathToFileURL(path.join(import.meta.dirname, 'plan-catcher.js')).href;
  const env = {
    DATABASE_URL: databaseUrl,
    PGOPTIONS: Object.entries(EXPLAIN).map((setting) => `-c ${setting.join('=')}`).join(' '), // prettier-ignore
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${catcher}`,
    BENCH_PLANS: file,
  };
  const service = await serve(entry, env, cleanUp);
  const plans: ReadPlan[] = [];
  for (const [read, makePath] of Object.entries(reads)) {
    await ask(service.url + makePath());
    await writeFile(file, '');
    await ask(service.url + makePath());
    const text = await readFile(file, 'utf8');
    plans.push({ read, lines: condensed(text), hasSequentialScan: LARGE.test(text) });
  }
  await service.stop();
  return plans;
}

const EXPLAIN = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_buffers': 'on',
  'auto_explain.log_timing': 'off',
  'auto_explain.log_nested_statements': 'on',
  'auto_explain.log_level': 'notice',
};

const SCAN =
  /(?:->)?\s*((?:Seq|Index|Index Only|Bitmap Heap|Bitmap Index|Sample) Scan.*?)\s+\(cost=[^)]*\) \((?:actual )?rows=(\S+) loops=(\d+)\)/;

/** What all statements together read, the same ways of access summed: how often, and how many rows in all. */
function condensed(text: string): string[] {
  const seen = new Map<string, { times: number; rows: number }>();
  let pages = 0;
  for (const plan of text.split('\0')) {
    const buffers = /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/.exec(plan);
    pages += Number(buffers?.[1] ?? 0) + Number(buffers?.[2] ?? 0);
    for (const line of plan.split('\n')) {
      const [, access, rows, loops] = SCAN.exec(line) ?? [];
      if (!access) continue;
      const { times, rows: before } = seen.get(access) ?? { times: 0, rows: 0 };
      seen.set(access, { times: times + Number(loops), rows: before + Number(rows) * Number(loops) });
    }
  }
  const lines = [...seen].map(([access, { times, rows }]) => `${times} × ${access}: ${rows.toFixed(0)} rows`);
  return [`${pages} pages touched`, ...lines];
}
