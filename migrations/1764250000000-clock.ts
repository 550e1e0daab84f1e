/**
 * The one clock of holds, postings and schedules: these two functions. PostgreSQL puts their bodies into the statement that
 * calls them, so they cost nothing. In development `src/clock/` replaces them by ones that are ahead (TEST_CLOCK=on), for all
 * processes at once; what signs people in stays with the real time.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The functions, so much ahead of the real time. @param ahead a PostgreSQL interval, or nothing */
export function clockFunctions(ahead?: string): string {
  const more = ahead === undefined ? '' : ` + interval '${ahead}'`;
  return `
  -- When the transaction began.
  CREATE OR REPLACE FUNCTION clock_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()${more.replaceAll("'", "''")}';
  -- This very moment.
  CREATE OR REPLACE FUNCTION clock_time() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT clock_timestamp()${more.replaceAll("'", "''")}';`;
}

export class Clock1764250000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(clockFunctions());
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP FUNCTION clock_now, clock_time');
  }
}
