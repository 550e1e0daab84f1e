/**
 * COMMIT travels with the writes of a group, so nobody looks at row counts in between: the statement that moves wallets
 * itself fails where one of them is not at the version that was read.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CommitBehind1763950000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE FUNCTION demand_rows(actual bigint, wanted bigint) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN
        IF actual <> wanted THEN
          RAISE EXCEPTION '% of % rows are as they were read', actual, wanted USING ERRCODE = 'serialization_failure';
        END IF;
      END $$`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP FUNCTION demand_rows');
  }
}
