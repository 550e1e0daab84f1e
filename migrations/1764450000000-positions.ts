/**
 * The last position is that of the last batch that has one, no longer what was counted up to: where retention deletes a batch
 * that nobody has read, in the moment in which it would have had its position, the count is one short. The next batch was
 * then given a position that another has (`outbox_batches_position_key`), and no event could be read or sent any more. A gap
 * in the positions is no matter.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Positions1764450000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      placeEvents(`
    WITH placed AS (${UPDATE} RETURNING b.position)
    SELECT coalesce(max(position), last) INTO last FROM placed;
    UPDATE outbox_place SET position = last;
    RETURN last;`),
    );
    // Where it has happened already.
    await queryRunner.query(
      'UPDATE outbox_place SET position = greatest(position, (SELECT max(b.position) FROM outbox_batches b))',
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      placeEvents(`
    ${UPDATE};
    GET DIAGNOSTICS placed = ROW_COUNT;
    UPDATE outbox_place SET position = last + placed;
    RETURN last + placed;`),
    );
  }
}

const UPDATE = `
    UPDATE outbox_batches b SET position = last + fresh.n
      FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM (
              SELECT id FROM outbox_batches WHERE position IS NULL ORDER BY id LIMIT most) next) fresh
     WHERE b.id = fresh.id`;

const placeEvents = (place: string) => `
  CREATE OR REPLACE FUNCTION place_events(most integer) RETURNS bigint LANGUAGE plpgsql AS $$
  DECLARE
    last bigint;
    placed integer;
  BEGIN
    IF NOT EXISTS (SELECT FROM outbox_batches WHERE position IS NULL) THEN
      RETURN (SELECT position FROM outbox_place);
    END IF;
    SELECT position INTO last FROM outbox_place FOR UPDATE;${place}
  END $$;
`;
