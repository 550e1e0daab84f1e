/** What the engine tells of its work. Too little to be seen beside the noise of P1 (5 µs of 100). */
import { Injectable } from '@nestjs/common';
import { sqlState } from '../database/sqlstate.js';
import { CommitUnknownError } from '../database/transaction.js';
import { Metrics } from '../telemetry/metrics.js';
import type { InstructionOutcome } from './posting.engine.js';
import type { Waiting } from './posting.queue.js';

@Injectable()
export class PostingMetrics {
  constructor(private readonly metrics: Metrics) {}

  /** @param length of the queue, in postings, and what it is at most */
  watchQueue(length: () => number, lengthMax: number): void {
    this.metrics.gauge('asper_posting_queue_length', 'Postings that wait to be committed', length);
    this.metrics.gauge('asper_posting_queue_length_max', 'Postings that may wait; more are refused', () => lengthMax);
  }

  /** A group was committed. @param startedAt when its first attempt began: `performance.now()` */
  committed(group: Waiting[], outcomes: Array<InstructionOutcome | undefined>, startedAt: number): void {
    const { postings, queueSeconds, groupSize, groupSeconds } = this.metrics;
    groupSize.observe(group.length);
    groupSeconds.observe((performance.now() - startedAt) / 1_000);
    let posted = 0;
    let found = 0;
    outcomes.forEach((outcome, i) => {
      if (!outcome) return; // passed over: it comes again
      queueSeconds.observe((startedAt - group[i]!.since) / 1_000);
      if (!('outcomes' in outcome)) return void (found += 1);
      outcome.groupSize = group.length;
      if (group[i]!.instruction.isDryRun) return;
      if (outcome.refusal) return void postings.inc({ outcome: outcome.refusal.code }, outcome.outcomes.length);
      for (const one of outcome.outcomes) {
        if (one.kind === 'posted') posted += 1;
        else postings.inc({ outcome: one.code });
      }
    });
    if (posted > 0) postings.inc({ outcome: 'posted' }, posted);
    if (found > 0) postings.inc({ outcome: 'found' }, found);
  }

  /** Writes and COMMIT were answered. */
  wrote(startedAt: number): void {
    this.metrics.commitSeconds.observe((performance.now() - startedAt) / 1_000);
  }

  retried(error: unknown): void {
    const cause = error instanceof CommitUnknownError ? error.cause : error;
    this.metrics.retries.inc({ sqlstate: sqlState(cause) ?? 'none' });
  }

  failed(): void {
    this.metrics.groupFailures.inc();
  }
}
