/**
 * One key, one outcome (law 5). Repeats that meet in this process share one execution in memory, so a hundred
 * duplicates take no database connection; repeats that come later or elsewhere find the outcome in the row that
 * was written in the transaction of what it tells about.
 */
import { Inject, Injectable } from '@nestjs/common';
import { hash } from 'node:crypto';
import { DataSource, type QueryRunner } from 'typeorm';
import type { Caller } from '../caller.js';
import { CONFIG, type Config } from '../config.js';
import { isDatabaseFault, isSerializationFault } from '../database/sqlstate.js';
import { CommitUnknownError, inTransaction, WriteConflict } from '../database/transaction.js';
import { Problem, type ErrorCode, type FieldError } from '../errors.js';
import { IdempotencyStore, type FoundOutcome } from './idempotency.store.js';

/** What the caller is told: HTTP status, JSON body, and whether it is the outcome of an earlier request. */
export interface Answer<Body extends object = object> {
  status: number;
  body: Body;
  replayed: boolean;
  /** It says what would happen: nothing has the version in it yet. */
  isDryRun?: boolean;
  /** Of a posting that was committed now: how many instructions shared its database transaction. For the log. */
  groupSize?: number;
}

const RECORD_ATTEMPTS_MAX = 5;

@Injectable()
export class IdempotencyService {
  private readonly inFlight = new Map<string, { fingerprint: string; answer: Promise<Answer> }>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly store: IdempotencyStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Runs a request unless the same one is under way, in which case its answer is shared.
   * @param request everything that makes it the same request, in a fixed order; hashed as JSON.
   * @throws {Problem} `idempotency_key_reused` where another request that was under way turns out to have the key.
   */
  async once<Body extends object>(
    caller: Caller,
    request: readonly unknown[],
    run: (fingerprint: string | undefined) => Promise<Answer<Body>>,
  ): Promise<Answer<Body>> {
    if (caller.idempotencyKey === undefined) return run(undefined);
    // Neither can contain NUL, so two callers never share an id.
    const id = `${caller.scope}\0${caller.idempotencyKey}`;
    const fingerprint = fingerprintOf(request);
    for (let other = this.inFlight.get(id); other; other = this.inFlight.get(id)) {
      if (other.fingerprint === fingerprint) return shared(other.answer as Promise<Answer<Body>>);
      // Which of the two the key belongs to is known when that one has its outcome: it may be the one that is wrong here, and
      // this one the repeat of what was executed long ago.
      if (await hasKept(other.answer)) assertSameRequest(other.fingerprint, fingerprint);
    }
    const answer = run(fingerprint);
    this.inFlight.set(id, { fingerprint, answer });
    try {
      return await answer;
    } finally {
      this.inFlight.delete(id);
    }
  }

  /**
   * Creates something that is not a posting, and records the outcome in the same transaction. Refusals that
   * `work` throws are recorded too, except mistakes in fields and ids that name nothing.
   * @param work writes through the runner it is given and returns the response body.
   */
  record<Body extends object>(
    caller: Caller,
    request: readonly unknown[],
    work: (runner: QueryRunner) => Promise<Body>,
  ): Promise<Answer<Body>> {
    return this.once(caller, request, async (fingerprint) => {
      let unknown: CommitUnknownError | undefined;
      try {
        for (let attempt = 1; ; attempt++) {
          try {
            return await inTransaction(this.dataSource, (runner) => this.findOrWork(runner, caller, fingerprint, work));
          } catch (error) {
            if (error instanceof CommitUnknownError) unknown = error;
            if (await this.keepRefusal(caller, fingerprint, error)) throw error;
            // Without a key a further attempt could not tell its own earlier work from somebody else's.
            const isBlind = fingerprint === undefined && unknown !== undefined;
            if (isBlind || !isConflict(error) || attempt >= RECORD_ATTEMPTS_MAX) throw error;
          }
        }
      } catch (error) {
        // A database that went away after a COMMIT that it did not answer does not say that nothing was written.
        throw unknown && (isDatabaseFault(error) || (!(error instanceof Problem) && isConflict(error)))
          ? unknown
          : error;
      }
    });
  }

  /** The outcome of a key of a caller (`Principal.scope`), or nothing. */
  async find(scope: string, key: string): Promise<FoundOutcome | undefined> {
    return inTransaction(this.dataSource, async (runner) => (await this.store.find(runner, scope, key)).found);
  }

  /** Which servers and operators have used a key; persons, of whom there are many, are not looked through. */
  usersOf(key: string): Promise<string[]> {
    return inTransaction(this.dataSource, (runner) => this.store.usersOf(runner, key));
  }

  /**
   * Holds a found outcome against the request that repeats its key.
   * @throws {Problem} `idempotency_key_reused`, `idempotency_key_expired`, or the refusal that was the outcome.
   */
  replay(found: FoundOutcome & { now: Date }, fingerprint: string | undefined): FoundOutcome {
    if (found.fingerprint && fingerprint) assertSameRequest(found.fingerprint, fingerprint);
    const ageHours = (found.now.getTime() - found.createdAt.getTime()) / 3_600_000;
    if (ageHours > this.config.idempotencyRetentionHours) {
      throw new Problem('idempotency_key_expired', `The key was used at ${found.createdAt.toISOString()}.`);
    }
    if (found.kind === 'answered' && found.statusCode >= 400) {
      const { code, detail, errors } = found.body as { code: ErrorCode; detail: string; errors?: FieldError[] };
      throw new Problem(code, detail, { errors, replayed: true });
    }
    return found;
  }

  private async findOrWork<Body extends object>(
    runner: QueryRunner,
    caller: Caller,
    fingerprint: string | undefined,
    work: (runner: QueryRunner) => Promise<Body>,
  ): Promise<Answer<Body>> {
    if (fingerprint === undefined) return { status: 201, body: await work(runner), replayed: false };
    const { found, now } = await this.store.find(runner, caller.scope, caller.idempotencyKey!);
    if (found) {
      const outcome = this.replay({ ...found, now }, fingerprint);
      if (outcome.kind !== 'answered') throw new Error('a key of a posting has the fingerprint of something else');
      return { status: outcome.statusCode, body: outcome.body as Body, replayed: true };
    }
    const body = await work(runner);
    const row = { scope: caller.scope, key: caller.idempotencyKey!, fingerprint, statusCode: 201, body };
    if (!(await this.store.insert(runner, row, now))) throw new WriteConflict('the key was used meanwhile');
    return { status: 201, body, replayed: false };
  }

  /** Whether an error is now (or was already) the recorded outcome of the key, so that it may be answered. */
  private async keepRefusal(caller: Caller, fingerprint: string | undefined, error: unknown): Promise<boolean> {
    if (!(error instanceof Problem)) return false;
    if (fingerprint === undefined || error.extra.replayed || !isKept(error)) return true;
    const { code, detail, status } = error;
    const row = {
      scope: caller.scope,
      key: caller.idempotencyKey!,
      fingerprint,
      statusCode: status,
      body: { code, detail },
    };
    return inTransaction(this.dataSource, async (runner) => {
      // The database's time, by which the key's age is counted too.
      const { now } = await this.store.find(runner, caller.scope, row.key);
      return this.store.insert(runner, row, now);
    });
  }
}

/**
 * First 128 bits, in hexadecimal, of the SHA-256 of a request's canonical form; object keys are sorted, bigints are text. Keys keep it
 * for days, so it must never change.
 */
export function fingerprintOf(request: readonly unknown[]): string {
  // 1.1 µs for a debit; with a replacer that JSON.stringify calls back and a Hash object it took 2.0.
  return hash('sha256', JSON.stringify(canonical(request))).slice(0, 32);
}

function canonical(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (Array.isArray(value)) return value.map(canonical);
  const pairs = Object.entries(value).map(([name, own]): [string, unknown] => [name, canonical(own)]);
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function assertSameRequest(known: string, asked: string): void {
  if (known !== asked) {
    throw new Problem('idempotency_key_reused', 'This key was used for a request with other contents.');
  }
}

/** Whether what comes of a request is what its key keeps. */
async function hasKept(answer: Promise<Answer>): Promise<boolean> {
  try {
    await answer;
    return true;
  } catch (error) {
    return error instanceof Problem && isKept(error);
  }
}

/** Whether a refusal is the outcome of its key: not a fault, nor what a corrected request is sent again for. */
function isKept({ status, code }: Problem): boolean {
  return status < 500 && status !== 404 && !/^(validation_failed|idempotency_key_)/.test(code);
}

/** The answer of another request with the same key, marked as a replay. */
async function shared<Body extends object>(answer: Promise<Answer<Body>>): Promise<Answer<Body>> {
  try {
    return { ...(await answer), replayed: true };
  } catch (error) {
    if (error instanceof Problem && error.status < 500) {
      throw new Problem(error.code, error.detail, { ...error.extra, replayed: true });
    }
    throw error;
  }
}

function isConflict(error: unknown): boolean {
  if (error instanceof WriteConflict || error instanceof CommitUnknownError || error instanceof Problem) return true;
  return isSerializationFault(error);
}
