/** Deletes what signing in leaves behind. Nothing depends on it: codes and sessions end by their time alone. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Background } from '../background.js';
import { RETIRE_KEYS } from './signing-keys.js';

const PERIOD_MS = 15 * 60_000;
/** Of each kind in one statement: a session may have 13,000 refresh tokens, which lie all over the table. */
const ROWS_MAX = 5_000;
/** Of each kind in one round; the next round goes on. */
const STATEMENTS_MAX = 100;

const OLD_SESSIONS = `
  SELECT id FROM sessions s WHERE (ended_at < now() - interval '30 days' OR expires_at < now() - interval '30 days')`;

/** Codes a day after they expired, sessions, with their refresh tokens, 30 days after they ended, and keys that are done. */
export const LEFTOVERS = [
  `DELETE FROM one_time_codes WHERE id IN (
     SELECT id FROM one_time_codes WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT ${ROWS_MAX})`,
  `DELETE FROM refresh_tokens WHERE hash IN (
     SELECT t.hash FROM (${OLD_SESSIONS}) old JOIN refresh_tokens t ON t.session_id = old.id LIMIT ${ROWS_MAX})`,
  `DELETE FROM sessions WHERE id IN (
     ${OLD_SESSIONS} AND NOT EXISTS (SELECT FROM refresh_tokens WHERE session_id = s.id) LIMIT ${ROWS_MAX})`,
  RETIRE_KEYS,
];

@Injectable()
export class AuthSweeper {
  constructor(dataSource: DataSource, background: Background) {
    // Each by itself: one that fails must not keep what comes after it.
    for (const statement of LEFTOVERS) {
      background.every({
        fault: 'what signing in left behind stays',
        periodMs: PERIOD_MS,
        round: async (signal) => {
          for (let n = 0; n < STATEMENTS_MAX && !signal.aborted; n++) {
            const [, deleted]: [unknown, number] = await dataSource.query(statement);
            if (deleted < ROWS_MAX) break;
          }
        },
      });
    }
  }
}
