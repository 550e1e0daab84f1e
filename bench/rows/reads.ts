/** Reads, against a route that does nothing. */
import path from 'node:path';
import { CONNECTIONS, type Bench, type Job } from '../bench.js';
import { serve, type Served } from '../processes.js';
import { sampleOf, type Row } from '../row.js';

const READS: Job = { kind: 'balances' };

/** The same Nest and Fastify, set up as the service is, with a route that answers a constant (`empty.ts`). */
class EmptyRoute implements Row {
  readonly name = 'empty route';
  readonly what = `Nest as the service sets it up, a constant answer, ${CONNECTIONS} connections`;
  private empty!: Served;

  async prepare({ cleanUp }: Bench): Promise<void> {
    this.empty = await serve(path.resolve('dist/service/empty.js'), {}, cleanUp);
  }

  async warmUp(bench: Bench, seconds: number): Promise<void> {
    await this.measure(bench, seconds);
  }

  async measure(bench: Bench, seconds: number) {
    return sampleOf(await bench.drive([this.empty.url], READS, seconds));
  }
}

export const emptyRoute = new EmptyRoute();

export const P6: Row = {
  name: 'P6',
  partOf: 'P6',
  what: `balance reads, 1,000 wallets, ${CONNECTIONS} connections`,
  isProfiled: true,
  comparedWith: ['empty route'],
  goals: [{ figure: 'perSecond', of: 'empty route', least: 0.6 }],
  warmUp: async (bench, seconds) => void (await bench.load(READS, seconds)),
  measure: (bench, seconds) => bench.load(READS, seconds),
};
