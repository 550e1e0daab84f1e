/**
 * One-time codes: six digits that prove a phone number.
 *
 * SECURITY: a million codes are soon tried, so each is good for five tries and five minutes, and only its HMAC is kept.
 * A try is counted before the code is compared, in one statement: a hundred at once are five like any others.
 */
import { Injectable } from '@nestjs/common';
import { randomInt, timingSafeEqual } from 'node:crypto';
import { DataSource, type QueryRunner } from 'typeorm';
import type { RawRow } from '../database/raw-row.js';
import { Problem } from '../errors.js';
import { newId } from '../ids.js';
import { AuthSecret } from './auth-secret.js';
import { OneTimeCode } from './one-time-code.entity.js';

export const CODE_TRIES_MAX = 5;
const CODE_SECONDS = 300;

@Injectable()
export class OneTimeCodes {
  constructor(
    private readonly dataSource: DataSource,
    private readonly secret: AuthSecret,
  ) {}

  /** A new code for a number (E.164), whether or not anybody has it. */
  async create(phoneNumber: string): Promise<{ id: string; code: string; phoneNumber: string; expiresAt: Date }> {
    const id = newId();
    const code = String(randomInt(1_000_000)).padStart(6, '0');
    const codeHash = await this.hash(id, code);
    await this.dataSource.manager.insert(OneTimeCode, {
      id,
      phoneNumber,
      codeHash,
      expiresAt: () => `now() + interval '${CODE_SECONDS} seconds'`,
    });
    return { id, code, phoneNumber, expiresAt: new Date(Date.now() + CODE_SECONDS * 1_000) };
  }

  /** Counts a try. @returns the number that the code proves. @throws {Problem} `code_refused` */
  async check(id: string, code: string): Promise<string> {
    const hash = await this.hash(id, code);
    const [[row]]: [RawRow[]] = await this.dataSource.query(COUNT_TRY, [id]);
    if (!row || !timingSafeEqual(row.code_hash, hash)) throw codeRefused();
    return row.phone_number;
  }

  /** Uses the code up: of all who know it, one succeeds. @throws {Problem} `code_refused` */
  async consume(runner: QueryRunner, id: string): Promise<void> {
    const [, count]: [unknown, number] = await runner.query(
      'UPDATE one_time_codes SET consumed_at = now() WHERE id = $1 AND consumed_at IS NULL',
      [id],
    );
    if (count !== 1) throw codeRefused();
  }

  private hash(id: string, code: string): Promise<Buffer> {
    return this.secret.mac('one-time codes', `${id}.${code}`);
  }
}

const COUNT_TRY = `
  UPDATE one_time_codes SET tries = tries + 1
   WHERE id = $1 AND tries < ${CODE_TRIES_MAX} AND consumed_at IS NULL AND expires_at > now()
  RETURNING code_hash, phone_number`;

/** The same for every reason: which it was helps only who guesses. */
export function codeRefused(): Problem {
  return new Problem('code_refused', 'The code is wrong, expired, tried too often or used. Ask for a new one.');
}
