/**
 * Writes down what happens, in the transaction that does it (law 7). Who wants to know reads it later: `events.queries.ts`.
 * A group of postings writes its events in the statement that moves the money.
 */
import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import { namesOf, rowsOf, valuesOf, type Columns } from '../database/columns.js';
import { runAsOne, type Write } from '../database/prepared.js';
import type { EventType } from './event-types.js';

/** Something that happened. */
export interface Happening {
  type: EventType;
  /** What it tells of: a transaction, hold, wallet, user, … */
  objectId: string;
  /** Whom it concerns, in whose order it stands; the locks on all of them are held. */
  subjects: readonly Subject[];
  /** What the API answers of the object; of a transaction left out, as it is read again. */
  body?: object;
}

/** A wallet, or a user, as it is right after. */
export interface Subject {
  id: string;
  version?: number;
  balanceMinor?: bigint;
  heldMinor?: bigint;
}

@Injectable()
export class Outbox {
  /**
   * Writes down what the transaction of `runner` does, in its order. Once for each transaction, with the locks on all that it
   * concerns, and before the money: the trigger on `transactions` looks for their events.
   * @param at when; by default when the transaction began.
   */
  async record(runner: QueryRunner, happenings: readonly Happening[], at?: Date): Promise<void> {
    await runAsOne(runner, [this.insert(happenings, at)]);
  }

  /** The same as part of a larger statement. */
  insert(happenings: readonly Happening[], at?: Date): Write {
    const rows: Told[] = [];
    for (const [ordinal, event] of happenings.entries()) {
      for (const [place, subject] of event.subjects.entries()) rows.push({ event, ordinal, subject, place });
    }
    return { ...INSERT_EVENTS, values: [at ?? null, ...valuesOf(TOLD, rows)] };
  }
}

/** What one subject is told of an event. */
interface Told {
  event: Happening;
  /** Place of the event among those of its transaction. */
  ordinal: number;
  subject: Subject;
  /** Place of the subject among those of the event. */
  place: number;
}

const TOLD: Columns<Told> = {
  subject_id: ['uuid', ({ subject }) => subject.id],
  ordinal: ['int', ({ ordinal }) => ordinal],
  place: ['smallint', ({ place }) => place],
  type: ['text', ({ event }) => event.type],
  object_id: ['uuid', ({ event }) => event.objectId],
  version: ['int', ({ subject }) => subject.version],
  balance: ['bigint', ({ subject }) => subject.balanceMinor],
  held: ['bigint', ({ subject }) => subject.heldMinor],
  body: ['json', ({ event, place }) => (place === 0 ? event.body : undefined)],
};

const INSERT_EVENTS = {
  name: 'events',
  text: `
  batch AS (INSERT INTO outbox_batches (created_at) VALUES (coalesce($1::timestamptz, clock_now())) RETURNING id),
  told AS (
  INSERT INTO outbox (batch, ${namesOf(TOLD)}) SELECT batch.id, event.* FROM batch, ${rowsOf(TOLD, 2)} event)`,
};
