/**
 * Gives positions to events that are committed: whenever somebody reads, and every few seconds, so that whoever begins to read
 * after a year begins at the end, and not behind all that nobody has read.
 */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Background } from '../background.js';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';

/** Batches that are given positions at once, in 0.1 s; more are left for the next time. */
const PLACED_MAX = 10_000;
const PLACE_EVERY_MS = 5_000;
/** What nobody has read for months, before this was done by itself, takes several calls. */
const PLACE_MS_MAX = 5_000;

@Injectable()
export class EventPositions {
  constructor(
    private readonly dataSource: DataSource,
    background: Background,
  ) {
    background.every({
      fault: 'events have no position',
      periodMs: PLACE_EVERY_MS,
      round: async () => void (await this.placeUntil(PLACE_MS_MAX)),
    });
  }

  /** Gives positions to what is committed, or to the first of it. @returns the last. */
  async place(): Promise<bigint> {
    const [row]: RawRow[] = await this.dataSource.query('SELECT place_events($1) AS placed', [PLACED_MAX]);
    return BigInt(row!.placed);
  }

  /** Gives positions to all that is committed. @throws {Problem} `overloaded` where that takes too long; it goes on from there */
  async placeAll(): Promise<bigint> {
    const placed = await this.placeUntil(PLACE_MS_MAX);
    if (placed !== undefined) return placed;
    throw new Problem('overloaded', 'Earlier events are still being put in order.', { retryAfterSeconds: 1 });
  }

  private async placeUntil(ms: number): Promise<bigint | undefined> {
    const endsAt = performance.now() + ms;
    for (let last = await this.place(); performance.now() < endsAt;) {
      const placed = await this.place();
      if (placed - last < PLACED_MAX) return placed;
      last = placed;
    }
    return undefined;
  }
}
