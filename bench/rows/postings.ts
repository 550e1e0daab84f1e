/** Postings over HTTP: one by one, in batches, and by a single client. */
import { CONNECTIONS, type Bench, type Job } from '../bench.js';
import { BATCH_ITEMS } from '../requests.js';
import { fastestOf, type Row } from '../row.js';

export const REFERENCES = ['one-by-one', 'pgbench', 'peer'];

/** A row that is one kind of load on the service. */
function loaded({ job, ...row }: Omit<Row, 'measure'> & { job: (bench: Bench) => Job }): Row {
  return {
    isProfiled: true,
    warmUp: async (bench, seconds) => void (await bench.load(job(bench), seconds)),
    measure: (bench, seconds) => bench.load(job(bench), seconds),
    ...row,
  };
}

/** Of P1's debits, without credentials and with tokens. */
const P1_GOALS: NonNullable<Row['goals']> = [
  { figure: 'perSecond', of: 'pgbench', least: 3 },
  { figure: 'perSecond', of: 'peer', least: 10 },
  { figure: 'p99Ms', most: 60 },
];

const SHARE_OF_P1 = { figure: 'perSecond', of: 'P1', least: 0.95 } as const;

/** Debits as fast as they go, without credentials. */
export const P1 = loaded({
  name: 'P1',
  partOf: 'P1',
  what: `debits, 1,000 wallets, ${CONNECTIONS} connections`,
  comparedWith: REFERENCES,
  goals: P1_GOALS,
  job: () => ({}),
});

/** The same debits by callers who say who they are: a server with its key, and a thousand people with tokens of their own. */
class Known implements Row {
  readonly partOf = 'P1';
  readonly isProfiled = true;
  readonly comparedWith = ['P1', ...REFERENCES];
  private credentials!: Job;

  constructor(
    readonly name: string,
    readonly what: string,
    private readonly credentialsFrom: (bench: Bench) => Promise<Job>,
    readonly goals: Row['goals'] = [SHARE_OF_P1],
  ) {}

  async prepare(bench: Bench): Promise<void> {
    this.credentials = await this.credentialsFrom(bench);
  }

  async warmUp(bench: Bench, seconds: number): Promise<void> {
    await bench.load(this.credentials, seconds);
  }

  measure(bench: Bench, seconds: number) {
    return bench.load(this.credentials, seconds);
  }
}

export const P1_KNOWN: Row[] = [
  new Known('P1 key', "P1's debits with an API key", async (bench) => ({ token: await bench.makeKey() })),
  new Known(
    'P1 tokens',
    "P1's debits, each with its owner's access token",
    async (bench) => ({ tokens: await bench.signInOwners() }),
    [SHARE_OF_P1, ...P1_GOALS],
  ),
];

/** The same debits arriving at part of the rate that P1 has just reached, whatever becomes of those before. */
export const P1_OPEN: Row[] = [0.5, 0.8].map((share) => ({
  name: `P1 open ${share * 100} %`,
  partOf: 'P1',
  what: `debits arriving at ${share * 100} % of P1's rate`,
  comparedWith: ['P1'],
  measure: (bench, seconds) => bench.load({ rate: share * bench.thisRound.get('P1')!.perSecond! }, seconds),
}));

export const P2 = loaded({
  name: 'P2',
  partOf: 'P2',
  what: `debits, one hot wallet, ${CONNECTIONS} connections`,
  comparedWith: ['P1', ...REFERENCES],
  goals: [{ figure: 'perSecond', of: 'P1', least: 0.9 }],
  job: () => ({ wallets: 1 }),
});

export const P3 = loaded({
  name: 'P3',
  partOf: 'P3',
  what: `transfers, Zipf 1.0, ${CONNECTIONS} connections`,
  comparedWith: ['P1', ...REFERENCES],
  goals: [{ figure: 'perSecond', of: 'P1', least: 0.8 }],
  job: ({ transferWallets }) => ({ kind: 'transfers', wallets: transferWallets, zipf: 1 }),
});

/** Its speed is in postings; its latency is that of a whole batch. */
class Batches implements Row {
  readonly name = 'P4';
  readonly partOf = 'P4';
  readonly isProfiled = true;
  readonly comparedWith = REFERENCES;
  readonly goals: Row['goals'] = [{ figure: 'perSecond', of: 'pgbench', least: 10 }];
  private connections = 4;

  get what(): string {
    return `batches of ${BATCH_ITEMS} debits, 1,000 wallets, ${this.connections} connections`;
  }

  async warmUp(bench: Bench, seconds: number): Promise<void> {
    const settings = bench.options.quick ? [2, 4] : [2, 4, 8];
    this.connections = await fastestOf(settings, (count) => this.run(bench, count, seconds));
  }

  measure(bench: Bench, seconds: number) {
    return this.run(bench, this.connections, seconds);
  }

  private run(bench: Bench, connections: number, seconds: number) {
    return bench.load({ kind: 'batches', connections }, seconds);
  }
}

export const P4 = new Batches();

export const P5 = loaded({
  name: 'P5',
  partOf: 'P5',
  what: 'debits, one lonely client',
  goals: [{ figure: 'p50Ms', of: 'lonely one-by-one', most: 1.5 }],
  warmUp: undefined,
  job: () => ({ connections: 1 }),
});
