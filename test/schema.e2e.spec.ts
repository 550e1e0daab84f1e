import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { TestDatabase } from './support/service.js';

describe('the schema', () => {
  let database: TestDatabase;
  beforeAll(async () => void (database = await TestDatabase.create()));
  afterAll(() => database.drop());

  /** Runs a module of the build's modules in a process of its own; what it printed. */
  const run = (code: string) =>
    execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, DATABASE_URL: database.url, DATABASE_ROLE: 'none' },
    });
  const connect = `
    import { DataSource } from 'typeorm';
    const { databaseOptions } = await import('./dist/ormconfig.js');
    const { readConfig } = await import('./dist/src/config.js');
    const dataSource = await new DataSource(databaseOptions(readConfig(process.env))).initialize();`;

  it('is what the entities say: migration:generate finds nothing to change', () => {
    const drift = run(`${connect}
      const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
      console.log(upQueries.map(({ query }) => query).join('\\n'));
      await dataSource.destroy();`);
    expect(drift.trim()).toBe('');
  });

  it('goes down and up again', async () => {
    run(
      `${connect} for (const _ of dataSource.migrations) await dataSource.undoLastMigration();
       await dataSource.runMigrations(); await dataSource.destroy();`,
    );
    expect(await database.query(`SELECT count(*)::int AS n FROM pg_trigger WHERE NOT tgisinternal`)).toEqual([
      { n: 15 },
    ]);
  });
});
