/**
 * Growth (`--grow`): is a ledger of years as fast as an empty one? Debits on both, interleaved; the reads of a wallet
 * with a tenth of all entries, with the plans of their statements; and what all of it takes on disk and in the log.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readConfig } from '../src/config.js';
import { migrate } from '../src/database/migrate.js';
import { packageFile } from '../src/package-root.js';
import type { CleanUp } from './clean-up.js';
import { BUSY_WALLET, growLedger, growthOf, type Growth } from './grow-ledger.js';
import { measureDebits, type DebitSample, type Ledger } from './grow-load.js';
import { plansOf, type ReadPlan } from './grow-plans.js';
import { measureRead, readsOf, type Grown, type ReadFigures } from './grow-reads.js';
import { debitTable, planLines, readTable } from './grow-report.js';
import { sizeLines, sizesOf } from './grow-sizes.js';
import { brokenLaws } from './laws.js';
import type { LoadJob } from './load.js';
import type { Options } from './options.js';
import { Generator, serve } from './processes.js';
import { connectTo, type BenchServer } from './server.js';
import { walletIdOf } from './wallet-ids.js';
import { EXTERNAL_STRIPE, openWallets } from './wallets.js';

const WALLETS = 1_000;
const CONNECTIONS = 256;
const WARM_UP_SECONDS = 2;
/** After a checkpoint the first change of each page writes all of it to the log; by then most leaves of the keys' index have had theirs. */
const FADED_AFTER_SECONDS = 30;

interface Phase {
  name: string;
  /** On the grown ledger, else on the empty one. */
  isGrown: boolean;
  /** Which the ratio is taken to, within the same round. */
  against?: string;
  /** Not right after the checkpoint, but where a ledger is for most of the quarter of an hour between two of them. */
  isLater?: boolean;
  job: Pick<LoadJob, 'wallets' | 'first' | 'stride'>;
}

interface Surroundings {
  cleanUp: CleanUp;
  setting: object;
  say: (line: string) => void;
}

/** @returns the exit code: 1 where a law is broken. */
export async function grow(server: BenchServer, options: Options, { cleanUp, setting, say }: Surroundings) {
  const growth = growthOf(options.grow!);
  const [emptyUrl, grownUrl] = [await server.createDatabase('empty'), await server.createDatabase('grown')];
  for (const databaseUrl of [emptyUrl, grownUrl]) await migrate({ ...readConfig({}), databaseUrl }, console.error);
  const begin = performance.now();
  await growLedger(grownUrl, growth, say);
  const builtSeconds = (performance.now() - begin) / 1_000;
  say('');
  console.log(
    `${growth.entries.toLocaleString('en-US')} entries in ${growth.wallets.toLocaleString('en-US')} wallets, ` +
      `made in ${builtSeconds.toFixed(0)} s`,
  );
  const entry = path.resolve(packageFile(), options.entry);
  const [empty, grown] = [await open(emptyUrl, entry, cleanUp), await open(grownUrl, entry, cleanUp)];
  await openWallets(empty.client, WALLETS, 1);
  const sizes = await sizesOf(grown.client);
  await server.settle();

  const phases = phasesOf(growth);
  const debits = await runDebits(phases, { empty, grown }, options, cleanUp, say);
  console.log(`\n${debitTable(phases, debits)}\n`);
  const reads = readsOf(await look(grown));
  const figures: ReadFigures[] = [];
  for (const read of Object.entries(reads)) {
    say(read[0]);
    figures.push(await measureRead(grown, read, options.seconds));
  }
  say('plans');
  const plans = await explained(entry, grownUrl, reads, cleanUp);
  say('');
  console.log(`${readTable(figures, plans)}\n\n${sizeLines(sizes).join('\n')}\n`);
  console.log(plans ? planLines(plans).join('\n') : 'No plans: this role may not load auto_explain.');

  say('laws');
  const broken = await lawsBroken(debits, growth, { empty, grown }, phases);
  say('');
  if (options.json) {
    const all = {
      ...setting,
      growth,
      builtSeconds,
      debits: Object.fromEntries(debits),
      reads: figures,
      plans,
      sizes,
      broken,
    };
    await writeFile(options.json, JSON.stringify(all, null, 2));
  }
  if (broken.length === 0) console.log('\nThe laws hold in both: every 201 is one transaction, and the books balance.');
  for (const law of broken) console.error(`A LAW IS BROKEN: ${law}`);
  return broken.length === 0 ? 0 : 1;
}

function phasesOf({ wallets }: Growth): Phase[] {
  const spread = { wallets: WALLETS, first: 7, stride: Math.floor(wallets / WALLETS) };
  const [p1, newest] = ['P1, empty', 'one wallet, no history'];
  const later = `${p1}, later`;
  return [
    { name: p1, isGrown: false, job: { wallets: WALLETS } },
    { name: 'P1, grown', isGrown: true, against: p1, job: spread },
    { name: 'all wallets, grown', isGrown: true, against: p1, job: { wallets } },
    { name: 'one wallet, empty', isGrown: false, against: p1, job: { wallets: 1 } },
    { name: newest, isGrown: true, against: 'one wallet, empty', job: { wallets: 1, first: wallets - 1 } },
    { name: 'one wallet, a tenth of all', isGrown: true, against: newest, job: { wallets: 1, first: BUSY_WALLET } },
    { name: later, isGrown: false, isLater: true, job: { wallets: WALLETS } },
    { name: 'P1, grown, later', isGrown: true, isLater: true, against: later, job: spread },
  ];
}

async function runDebits(
  phases: Phase[],
  ledgers: Record<'empty' | 'grown', Ledger>,
  { rounds, seconds, token }: Options,
  cleanUp: CleanUp,
  say: (line: string) => void,
): Promise<Map<string, DebitSample[]>> {
  const generator = new Generator(cleanUp);
  const samples = new Map<string, DebitSample[]>(phases.map(({ name }) => [name, []]));
  const measure = async ({ name, isGrown, job }: Phase, forSeconds: number) => {
    const load = { ...job, connections: CONNECTIONS, seconds: forSeconds, token };
    samples.get(name)!.push(await measureDebits(generator, isGrown ? ledgers.grown : ledgers.empty, load));
  };
  for (const phase of phases.slice(0, 2)) await measure(phase, WARM_UP_SECONDS);
  const inRounds = async (own: Phase[]) => {
    for (let round = 1; round <= rounds; round++) {
      for (const phase of own) {
        say(`round ${round} of ${rounds}: ${phase.name}`);
        await measure(phase, seconds);
      }
    }
  };
  await inRounds(phases.filter(({ isLater }) => !isLater));
  say(`${FADED_AFTER_SECONDS} s later`);
  await measure(phases.at(-1)!, FADED_AFTER_SECONDS);
  await inRounds(phases.filter(({ isLater }) => isLater));
  return samples;
}

async function open(url: string, entry: string, cleanUp: CleanUp): Promise<Ledger> {
  const client = await connectTo(url);
  cleanUp.add(() => client.end());
  const env = { DATABASE_URL: url, EXTERNAL_STRIPE: String(EXTERNAL_STRIPE) };
  return { client, service: await serve(entry, env, cleanUp) };
}

async function look({ client }: Ledger): Promise<Grown> {
  const { rows } = await client.query<{ count: string; first: Date; last: Date; ids: string[] }>(
    `SELECT w.entry_count AS count, min(e.created_at) AS first, max(e.created_at) AS last,
            ARRAY(SELECT id FROM transactions TABLESAMPLE SYSTEM (1) LIMIT 1000) AS ids
       FROM wallets w JOIN entries e ON e.wallet_id = w.id AND e.seq IN (1, w.entry_count)
      WHERE w.id = $1 GROUP BY w.id`,
    [walletIdOf(BUSY_WALLET)],
  );
  const [{ count, first, last, ids }] = rows as [(typeof rows)[0]];
  return { busyEntries: Number(count), transactionIds: ids, firstAt: first, lastAt: last };
}

async function explained(
  entry: string,
  databaseUrl: string,
  reads: Record<string, () => string>,
  cleanUp: CleanUp,
): Promise<ReadPlan[] | undefined> {
  const folder = await mkdtemp(path.join(tmpdir(), 'asper-plans-'));
  cleanUp.add(() => rm(folder, { recursive: true, force: true }));
  return plansOf({ entry, databaseUrl, file: path.join(folder, 'plans') }, reads, cleanUp);
}

async function lawsBroken(
  debits: Map<string, DebitSample[]>,
  growth: Growth,
  ledgers: Record<'empty' | 'grown', Ledger>,
  phases: Phase[],
): Promise<string[]> {
  const told = (isGrown: boolean) => {
    const own = phases.filter((phase) => phase.isGrown === isGrown).flatMap(({ name }) => debits.get(name)!);
    const sum = (of: (sample: DebitSample) => number) => own.reduce((total, sample) => total + of(sample), 0);
    return { acknowledged: sum((sample) => sample.acknowledged), unknown: sum((sample) => sample.lost) };
  };
  const empty = await brokenLaws(ledgers.empty.client, { ...told(false), opened: WALLETS });
  const grown = await brokenLaws(ledgers.grown.client, { ...told(true), opened: growth.entries / 2 });
  return [...empty.map((law) => `empty: ${law}`), ...grown.map((law) => `grown: ${law}`)];
}
