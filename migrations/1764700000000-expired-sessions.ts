/**
 * So that sessions that have expired are found without reading all of them, every quarter of an hour. Nothing is written to it when a
 * session is renewed: that does not move its end. While it is built nobody can sign in or renew a session; postings do not wait.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ExpiredSessions1764700000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('CREATE INDEX sessions_expires_at_idx ON sessions (expires_at)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP INDEX sessions_expires_at_idx');
  }
}
