import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { access, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ImportBench } from './support/import-bench.js';
import { startService } from './support/service.js';

/** Some seconds of work, so that there is a middle to disturb. */
const ROWS = 3_001;
const HEADINGS = 'transaction_id,date,account_id,type,amount,balance_after,operation';

describe('asper import, disturbed', () => {
  let bench: ImportBench;
  beforeEach(async () => void (bench = await ImportBench.create()));
  afterEach(async () => expect(await bench.close()).toEqual([]));

  /** Goes up and down by 1.00 from zero: any two rows of it in the wrong order and a debit is refused. */
  const seesaw = (count: number, account = 'one') =>
    bench.file([
      HEADINGS,
      ...Array.from(
        { length: count },
        (_, i) => `t${i},1993-01-01,${account},${i % 2 ? 'debit' : 'credit'},1.00,${i % 2 ? 0 : 1}.00,`,
      ),
    ]);
  const waitForPostings = async (count: number) => {
    while ((await bench.postedCount()) < count) await delay(5);
  };

  it('keeps the order of an account’s rows, whatever the size of the groups', async () => {
    for (const env of [{}, { GROUP_SIZE_MAX: '7' }, { QUEUE_LENGTH_MAX: '3' }, { LOCKING: 'optimistic' }]) {
      const source = `order-${Object.values(env).join('')}`;
      const csv = await seesaw(601, source);
      const { code, stdout } = await bench.asper(
        ['import', csv, '--source', source, '--currency', 'CZK', '--minimum-balance=0'],
        env,
      );
      expect([code, stdout]).toEqual([0, expect.stringMatching(/601 posted[^]*refused +0/)]);
    }
    const [{ wrong }] = await bench.database.query(
      `SELECT count(*) AS wrong FROM entries e JOIN wallets w ON w.id = e.wallet_id
        WHERE w.kind = 'customer' AND e.balance_after NOT IN (0, 100)`,
    );
    expect(wrong).toBe('0');
  });

  it('is exact after kill -9 in the middle and a second run', async () => {
    const csv = await seesaw(ROWS);
    const killed = await bench.asper(['import', csv], {}, async (child) => {
      await waitForPostings(500);
      child.kill('SIGKILL');
    });
    expect(killed.signal).toBe('SIGKILL');
    const before = await bench.postedCount();
    expect(before).toBeLessThan(ROWS);
    const { code, stdout } = await bench.importing(csv);
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/refused +0\nbad lines +0\n[^]*balance_after +0\.00 INR\n/),
    ]);
    const [, fresh, earlier] = /([\d,]+) posted, ([\d,]+) already/
      .exec(stdout)!
      .map((text) => Number(text.replaceAll(',', '')));
    expect(fresh! + earlier!).toBe(ROWS);
    // What was on its way to COMMIT at the kill may have gone through after we counted.
    expect(earlier).toBeGreaterThanOrEqual(before);
    expect([await bench.postedCount(), await bench.balances()]).toEqual([ROWS, { one: '100' }]);
  });

  it('stops cleanly on Ctrl-C with 130, says that it can be repeated, and goes on where it was', async () => {
    const csv = await seesaw(ROWS);
    const { code, stdout, stderr } = await bench.asper(['import', csv], {}, async (child) => {
      await waitForPostings(500);
      child.kill('SIGINT');
    });
    expect([code, stderr]).toEqual([
      130,
      expect.stringMatching(/Stopping after what is under way[^]*Run the same command again/),
    ]);
    expect(stdout).toMatch(new RegExp(`${(await bench.postedCount()).toLocaleString('en-US')} posted`));
    expect((await bench.importing(csv)).code).toBe(0);
    expect([await bench.postedCount(), await bench.balances()]).toEqual([ROWS, { one: '100' }]);
  });

  it('waits for a database that loses its connections, and refuses nothing for it', async () => {
    const csv = await seesaw(ROWS);
    // The engine's own repeats would hide those of the import; a wave of an even length would leave no trace.
    const env = { GROUP_ATTEMPTS_MAX: '1', GROUP_SIZE_MAX: '255' };
    const { code, stdout } = await bench.asper(['import', csv], env, async () => {
      for (let cut = 1; cut <= 6; cut++) {
        await waitForPostings(cut * 400);
        await bench.database.query(
          'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
        );
      }
    });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/refused +0\nbad lines +0\n/)]);
    expect([await bench.postedCount(), await bench.balances()]).toEqual([ROWS, { one: '100' }]);
  });

  it('goes on where nobody reads what it says of the database any more', async () => {
    const csv = await seesaw(101);
    const args = ['import', csv, '--currency', 'CZK', '--minimum-balance=0'];
    await bench.database.query('BEGIN; LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE');
    const waits = async (count: number) => {
      for (const seen = new Set<string>(); seen.size < count; await delay(10)) {
        const rows = await bench.database.query(
          `SELECT waitstart::text AS since FROM pg_locks WHERE NOT granted AND relation = 'wallets'::regclass AND waitstart IS NOT NULL`,
        );
        for (const { since } of rows) seen.add(since);
      }
    };
    const { code, stdout } = await bench.asper(args, { DATABASE_LOCK_TIMEOUT_MS: '100' }, async (child) => {
      child.stderr!.destroy();
      await waits(4); // after the third it says that it waits
      await bench.database.query('ROLLBACK');
    });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/101 posted/)]);
  });

  it.each([
    ['check', 'PostgreSQL started'],
    ['import', 'Making a PostgreSQL'],
  ])('asper %s on the embedded database stops that as well where it is interrupted', async (command, after) => {
    // As root PostgreSQL runs as another user, who may not enter the bench's folder.
    const DATA_DIR = path.join(tmpdir(), `asper-interrupted-${randomUUID()}`);
    const args = command === 'import' ? [command, await seesaw(3)] : [command];
    const { code } = await bench.asper(args, { DATABASE_URL: '', DATA_DIR }, async (child) => {
      let said = '';
      child.stderr!.on('data', (text: string) => (said += text));
      while (!said.includes(after) && child.exitCode === null) await delay(5);
      child.kill('SIGINT');
    });
    expect(code).toBe(130);
    await expect(access(path.join(DATA_DIR, 'postgresql/cluster/postmaster.pid'))).rejects.toThrow('ENOENT');
    await rm(DATA_DIR, { recursive: true });
  });

  it('may run twice at once, beside a service that posts into the same wallets', async () => {
    const lines = Array.from({ length: 3_000 }, (_, i) => `t${i},1993-01-01,account ${i % 50},credit,1.00,,`);
    const csv = await bench.file([HEADINGS, ...lines]);
    const service = await startService({}, { database: bench.database });
    const serving = (async () => {
      let id: string | undefined;
      while (!id) id = (await bench.database.query("SELECT id FROM wallets WHERE label = 'account 7'"))[0]?.id;
      for (let i = 0; i < 20; i++) await service.api.credit(id, '0.01');
    })();
    const [one, two] = await Promise.all([bench.importing(csv), bench.importing(csv), serving]);
    await service.stop();
    expect([one.code, two.code, await bench.postedCount()]).toEqual([0, 0, 3_020]);
    const held = await bench.balances();
    expect(Object.keys(held)).toHaveLength(50);
    expect(held).toMatchObject({ 'account 0': '6000', 'account 7': '6020', 'account 49': '6000' });
  });
});
