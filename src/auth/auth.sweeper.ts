/** Deletes what signing in leaves behind. Nothing depends on it: codes and sessions end by their time alone. */
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Background } from '../background.js';
import { RETIRE_KEYS } from './signing-keys.js';

const PERIOD_MS = 15 * 60_000;
/** Of each kind in one round; the next round takes the next. */
const ROWS_MAX = 1_000;

/** Codes a day after they expired, sessions, with their refresh tokens, 30 days after they ended, and keys that are done. */
export const LEFTOVERS = [
  `DELETE FROM one_time_codes WHERE id IN (
     SELECT id FROM one_time_codes WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT ${ROWS_MAX})`,
  `WITH old AS (
     SELECT id FROM sessions
      WHERE ended_at < now() - interval '30 days' OR expires_at < now() - interval '30 days' LIMIT ${ROWS_MAX}),
   tokens AS (DELETE FROM refresh_tokens WHERE session_id IN (SELECT id FROM old))
   DELETE FROM sessions WHERE id IN (SELECT id FROM old)`,
  RETIRE_KEYS,
];

@Injectable()
export class AuthSweeper {
  constructor(dataSource: DataSource, background: Background) {
    background.every({
      fault: 'what signing in left behind stays',
      periodMs: PERIOD_MS,
      round: async () => {
        for (const statement of LEFTOVERS) await dataSource.query(statement);
      },
    });
  }
}
