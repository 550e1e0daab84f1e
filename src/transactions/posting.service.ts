/**
 * From a request to its answer: one instruction under the caller's key, and what became of it as HTTP would say it.
 * The money calls, holds and wallet states all go through here to the engine.
 */
import { Injectable } from '@nestjs/common';
import type { Caller } from '../caller.js';
import { isDatabaseFault } from '../database/sqlstate.js';
import { Problem } from '../errors.js';
import { fingerprintOf, IdempotencyService, type Answer } from '../idempotency/idempotency.service.js';
import type { FoundOutcome } from '../idempotency/idempotency.store.js';
import type { Posted, Posting } from './ledger.js';
import { PersonView } from './person-view.js';
import { PostingEngine, type Instruction, type InstructionOutcome } from './posting.engine.js';
import type { Decision } from './posting.rules.js';
import { transactionBody, type TransactionBody } from './transactions.dto.js';
import { TransactionsQueries } from './transactions.queries.js';

@Injectable()
export class PostingService {
  constructor(
    private readonly engine: PostingEngine,
    private readonly queries: TransactionsQueries,
    private readonly idempotency: IdempotencyService,
    private readonly view: PersonView,
  ) {}

  /**
   * Posts what becomes one transaction.
   * @param request everything that makes it the same request, for the fingerprint of its key.
   * @param build makes the posting; not called where the same request is under way already.
   */
  transaction(
    caller: Caller,
    request: readonly unknown[],
    build: () => Posting,
    isDryRun: boolean,
  ): Promise<Answer<TransactionBody>> {
    const answer = this.once(caller, request, isDryRun, async ({ scope, key, fingerprint }) => {
      const posting = build();
      const { id } = posting;
      const outcome = await this.engine.post({ id, scope, key, fingerprint, postings: [posting], isDryRun });
      if (!('outcomes' in outcome)) {
        const transactionId = this.executed(outcome, fingerprint);
        const replayed = transactionId !== id;
        const found = await afterwards(this.queries.find(transactionId));
        return { status: 201, body: transactionBody(found!), replayed };
      }
      const body = transactionBody(onlyPosted(outcome).transaction!);
      return isDryRun ? dryRun(body) : { status: 201, body, replayed: false, groupSize: outcome.groupSize };
    });
    return caller.userId === undefined ? answer : this.seenBy(caller, answer);
  }

  /**
   * Posts what becomes something else than one transaction; the key keeps the whole answer.
   * @param present the answer from what was posted.
   */
  other<Body extends object>(
    caller: Caller,
    request: readonly unknown[],
    build: () => Posting,
    present: (posted: Posted) => { statusCode: number; body: Body },
    isDryRun: boolean,
  ): Promise<Answer<Body>> {
    return this.once(caller, request, isDryRun, async (key) => {
      const posting = build();
      const keep = (decision: Decision) => present(onlyPosted(decision));
      const outcome = await this.submit({ id: posting.id, ...key, postings: [posting], isDryRun, keep });
      if (!('outcomes' in outcome)) return this.answered<Body>(outcome, key.fingerprint);
      const { statusCode, body } = present(onlyPosted(outcome));
      return isDryRun ? dryRun(body) : { status: statusCode, body, replayed: false, groupSize: outcome.groupSize };
    });
  }

  /**
   * Hands over an instruction whose outcome is not one transaction. Without a key of the caller's it gets one of its
   * own: by that, and nothing else, an attempt after a lost COMMIT finds what the first one did.
   */
  submit(instruction: Instruction): Promise<InstructionOutcome> {
    if (instruction.key !== undefined || instruction.isDryRun) return this.engine.post(instruction);
    const { id } = instruction;
    return this.engine.post({ ...instruction, key: `auto:${id}`, fingerprint: fingerprintOf(['auto', id]) });
  }

  /** Runs a request once for its key; a dry run has no key and leaves none. */
  once<Body extends object>(
    caller: Caller,
    request: readonly unknown[],
    isDryRun: boolean,
    run: (key: Pick<Instruction, 'scope' | 'key' | 'fingerprint'>) => Promise<Answer<Body>>,
  ): Promise<Answer<Body>> {
    if (isDryRun) return run({ scope: caller.scope });
    const { scope, idempotencyKey: key } = caller;
    return this.idempotency.once(caller, request, (fingerprint) => run({ scope, key, fingerprint }));
  }

  /** The answer that a key has kept. @throws {Problem} where that was a refusal, or the key belongs to another request */
  answered<Body extends object>(found: FoundOutcome & { now: Date }, fingerprint?: string): Answer<Body> {
    const outcome = this.idempotency.replay(found, fingerprint);
    if (outcome.kind !== 'answered') throw new Error('a key of one transaction has the fingerprint of something else');
    return { status: outcome.statusCode, body: outcome.body as Body, replayed: fingerprint !== undefined };
  }

  private async seenBy(caller: Caller, answering: Promise<Answer<TransactionBody>>): Promise<Answer<TransactionBody>> {
    const answer = await answering;
    const seen = this.view.of([answer.body], caller);
    return { ...answer, body: (await (answer.isDryRun ? seen : afterwards(seen)))[0]! };
  }

  private executed(found: FoundOutcome & { now: Date }, fingerprint?: string): string {
    const outcome = this.idempotency.replay(found, fingerprint);
    if (outcome.kind !== 'executed') throw new Error('a key of another call has the fingerprint of a transaction');
    return outcome.transactionId;
  }
}

/**
 * What is read once the posting is done. A database that does not answer then must not be told as one that wrote nothing: whoever has no
 * key would be told to repeat what has happened.
 * @throws {Problem} `outcome_unknown`
 */
export async function afterwards<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!isDatabaseFault(error)) throw error;
    const detail = 'It was done, and the database did not answer when it was read again.';
    throw new Problem('outcome_unknown', detail, { retryAfterSeconds: 1, cause: error });
  }
}

/** What a lone posting became. @throws {Problem} the reason where it was refused */
function onlyPosted({ outcomes: [outcome], refusal }: Decision): Posted {
  if (refusal) throw new Problem(refusal.code, refusal.detail, { errors: refusal.errors });
  return outcome as Posted;
}

/** An outcome that did not happen: nothing of it has an id yet. */
function dryRun<Body extends object>(body: Body): Answer<Body> {
  const shown = { ...body } as Record<string, unknown>;
  delete shown.id;
  if (shown.status === 'posted') shown.status = 'dry_run';
  return { status: 200, body: shown as unknown as Body, replayed: false, isDryRun: true };
}
