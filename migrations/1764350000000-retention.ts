/** So that old idempotency keys are found where they are to be forgotten. A page range's bounds cost a posting nothing. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Retention1764350000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys USING brin (created_at)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP INDEX idempotency_keys_created_at_idx');
  }
}
