/** Many postings in one request, one database transaction, and one outcome for each. */
import { Injectable } from '@nestjs/common';
import type { Caller } from '../caller.js';
import { Problem, problemBody, type ErrorCode } from '../errors.js';
import type { Answer } from '../idempotency/idempotency.service.js';
import { newId } from '../ids.js';
import type { BatchBody, BatchDto, BatchItem, BatchItemBody } from './batch.dto.js';
import { refuse, type Outcome, type Refusal } from './ledger.js';
import { afterwards, PostingService } from './posting.service.js';
import { transactionBody, type DryRunTransactionBody } from './transactions.dto.js';
import { TransactionsQueries } from './transactions.queries.js';
import { TransactionsService, type Draft } from './transactions.service.js';

/** What a key keeps of a batch: the transactions can be read again. */
interface KeptBatch {
  batch: { atomic: boolean; items: Array<{ transaction_id: string } | { code: ErrorCode; detail: string }> };
}

@Injectable()
export class BatchService {
  constructor(
    private readonly transactions: TransactionsService,
    private readonly postings: PostingService,
    private readonly queries: TransactionsQueries,
  ) {}

  /**
   * Posts the items in their order, each seeing what those before it did.
   * @throws {Problem} `validation_failed` where a field of any item is wrong; `batch_refused` where `atomic` is asked
   *   for and an item is refused. Otherwise refusals are outcomes of their items.
   */
  async post(dto: BatchDto, caller: Caller, isDryRun: boolean): Promise<Answer<BatchBody>> {
    const drafts: Array<Draft | Refusal> = [];
    for (const [i, item] of dto.items.entries()) drafts.push(await this.draft(item, i, caller));
    const requests = drafts.map((draft, i) => ('kind' in draft ? dto.items[i] : draft.request));
    return this.postings.once(caller, ['batch', dto.atomic, requests], isDryRun, async (key) => {
      const postings = drafts.map((draft) => ('kind' in draft ? draft : draft.movement));
      const outcome = await this.postings.submit({
        ...{ id: newId(), ...key, postings, isDryRun },
        batch: dto.atomic ? 'atomic' : 'each',
        keep: ({ outcomes }) => ({ statusCode: 201, body: kept(dto.atomic, outcomes) }),
      });
      if (!('outcomes' in outcome)) {
        const answered = this.postings.answered<KeptBatch>(outcome, key.fingerprint);
        return { ...answered, body: await afterwards(this.bodyOf(answered.body)) };
      }
      const { outcomes, refusal, groupSize } = outcome;
      if (refusal) throw new Problem(refusal.code, refusal.detail, { errors: refusal.errors });
      const items = outcomes.map((item) => itemBody(item, isDryRun));
      return { status: isDryRun ? 200 : 201, body: batchBody(dto.atomic, items), replayed: false, groupSize };
    });
  }

  /** The answer of a batch, from what its key has kept. */
  async bodyOf({ batch: { atomic, items } }: KeptBatch): Promise<BatchBody> {
    const ids = items.flatMap((item) => ('transaction_id' in item ? [item.transaction_id] : []));
    const found = await this.queries.findAll(ids);
    const bodies = items.map((item) =>
      'transaction_id' in item
        ? posted(transactionBody(found.get(item.transaction_id)!))
        : refused(item.code, item.detail),
    );
    return batchBody(atomic, bodies);
  }

  /** A refusal where the item names what is not there; a mistake in a field fails the batch as it would a call. */
  private async draft(item: BatchItem, i: number, caller: Caller): Promise<Draft | Refusal> {
    try {
      if (item.type === 'credit') return await this.transactions.draftCredit(item.wallet_id, item, caller);
      if (item.type === 'debit') return await this.transactions.draftDebit(item.wallet_id, item, caller);
      if (item.type === 'transfer') return await this.transactions.draftTransfer(item, caller);
      return await this.transactions.draftJournal(item, caller);
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      if (error.code !== 'validation_failed') return refuse(error.code, error.detail);
      const errors = error.extra.errors!.map(({ field, message }) => ({ field: `items.${i}.${field}`, message }));
      throw new Problem('validation_failed', `items.${i}.${error.detail}`, { errors });
    }
  }
}

export function isKeptBatch(body: object): body is KeptBatch {
  return 'batch' in body;
}

function kept(atomic: boolean, outcomes: Outcome[]): KeptBatch {
  const items = outcomes.map((outcome) =>
    outcome.kind === 'posted'
      ? { transaction_id: outcome.transaction!.id }
      : { code: outcome.code, detail: outcome.detail },
  );
  return { batch: { atomic, items } };
}

function itemBody(outcome: Outcome, isDryRun: boolean): BatchItemBody {
  if (outcome.kind === 'refused') return refused(outcome.code, outcome.detail);
  const transaction = transactionBody(outcome.transaction!);
  if (!isDryRun) return posted(transaction);
  const shown: Partial<DryRunTransactionBody> = { ...transaction, status: 'dry_run' };
  delete shown.id;
  return { status: 'dry_run', transaction: shown, error: null } as unknown as BatchItemBody;
}

function posted(transaction: ReturnType<typeof transactionBody>): BatchItemBody {
  return { status: 'posted', transaction, error: null };
}

function refused(code: ErrorCode, detail: string): BatchItemBody {
  return { status: 'refused', transaction: null, error: problemBody(code, detail) };
}

function batchBody(atomic: boolean, items: BatchItemBody[]): BatchBody {
  const refusedCount = items.filter(({ status }) => status === 'refused').length;
  return { atomic, posted: items.length - refusedCount, refused: refusedCount, items };
}
