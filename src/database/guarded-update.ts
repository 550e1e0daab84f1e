import type { EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm';
import { Problem } from '../errors.js';

/**
 * Updates a row only if it is still at the version that was read. TypeORM's `save()` does not: it would write a
 * stale entity, old version included, over a newer row.
 * @param ifMatch the version that the caller saw, where it said one.
 * @throws {Problem} `precondition_failed` where either version is not the current one.
 */
export async function guardedUpdate<Entity extends ObjectLiteral & { id: string; version: number }>(
  runner: QueryRunner,
  target: EntityTarget<Entity>,
  row: Entity,
  changes: Partial<Entity>,
  ifMatch?: number,
): Promise<void> {
  if (ifMatch !== undefined && ifMatch !== row.version) {
    throw new Problem('precondition_failed', `It is at version ${row.version}, not ${ifMatch}.`);
  }
  if (Object.keys(changes).length === 0) return;
  const set: Record<string, unknown> = { ...changes };
  // TypeORM would write when the transaction began. A wallet's next posting must not come before its last change, also where the clock
  // was set back in between.
  if ('updatedAt' in row) set.updatedAt ??= () => 'greatest(updated_at, clock_now())';
  const which = { id: row.id, version: row.version };
  const { affected } = await runner.manager.update(target, which, set as typeof changes);
  if (affected !== 1) throw new Problem('precondition_failed', 'It changed at this very moment.');
}
