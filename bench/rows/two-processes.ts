/** Two processes of the service on one database. */
import type { Bench } from '../bench.js';
import type { Served } from '../processes.js';
import type { Row } from '../row.js';
import { EXTERNAL_STRIPE } from '../wallets.js';
import { REFERENCES } from './postings.js';

/**
 * The second process starts with the bench and idles outside of its own row: to start it in each round would take 1.5 s
 * of processor time, and it would be measured cold. That there was no deadlock is one of the laws.
 */
class TwoProcesses implements Row {
  readonly name = 'P8';
  readonly partOf = 'P8';
  readonly what = 'P1 dealt out to two processes on one database';
  readonly comparedWith = ['P1', ...REFERENCES];
  readonly goals: Row['goals'] = [{ figure: 'perSecond', of: 'P1', least: 0.9 }];
  private second!: Served;

  async prepare(bench: Bench): Promise<void> {
    this.second = await bench.startService(EXTERNAL_STRIPE + 1);
  }

  /** The first process is warm. */
  async warmUp(bench: Bench, seconds: number): Promise<void> {
    await bench.load({}, seconds, [this.second]);
  }

  measure(bench: Bench, seconds: number) {
    return bench.load({}, seconds, [bench.service, this.second]);
  }
}

export const P8 = new TwoProcesses();
