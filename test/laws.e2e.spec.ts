/** The laws as the database holds them by itself: each is broken on purpose with SQL, and PostgreSQL refuses. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { brokenLaws } from './support/laws.js';
import { startService, type Service } from './support/service.js';

const TX = '01890000-0000-7000-8000-000000000001';

describe('the database by itself', () => {
  let service: Service;
  let a: string;
  let b: string;
  beforeAll(async () => {
    service = await startService();
    a = (await service.api.newWallet('100.00')).id;
    b = (await service.api.newWallet('100.00')).id;
  });
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  /** Runs statements in one transaction; the SQLSTATE that refused them, or `committed`. */
  async function attempt(...statements: string[]): Promise<string> {
    const sql = ['BEGIN', ...statements, 'COMMIT'].join(';\n');
    try {
      await service.database.query(sql);
      return 'committed';
    } catch (error) {
      await service.database.query('ROLLBACK');
      return (error as { code: string }).code;
    }
  }
  /** The event of a transaction, without which it is refused. */
  const event = (id: string) => `
    WITH batch AS (INSERT INTO outbox_batches (created_at) VALUES (now()) RETURNING id)
    INSERT INTO outbox (batch, ordinal, place, subject_id, type, object_id, balance)
    SELECT id, 0, 0, '${a}', 'transaction.posted', '${id}', 9900 FROM batch`;
  const bareTransaction = `INSERT INTO transactions (id, type, currency, amount, actor, effective_at, created_at)
    VALUES ('${TX}', 'transfer', 'INR', 100, 'law', now(), now())`;
  const transaction = () => `${event(TX)}; ${bareTransaction}`;
  const credited = (balance: number) => Math.max(balance, 10_000);
  const wallet = (id: string, balance: number, count = 2) =>
    `UPDATE wallets SET balance = ${balance}, credited = ${credited(balance)}, entry_count = ${count}, last_hash = '\\x00',
       version = version + 1 WHERE id = '${id}'`;
  const entries = (...rows: Array<[string, number, number, number]>) =>
    `INSERT INTO entries (wallet_id, seq, leg, transaction_id, amount, balance_after, credited_after, hash, created_at)
     VALUES ` +
    rows
      .map(
        ([id, seq, amount, after], leg) =>
          `('${id}', ${seq}, ${leg}, '${TX}', ${amount}, ${after}, ${credited(after)}, '\\x00', now())`,
      )
      .join(', ');

  it('1: refuses entries that do not add up to zero', async () => {
    expect(await attempt(transaction(), wallet(a, 9_900), entries([a, 2, -100, 9_900]))).toBe('AW001');
    expect(
      await attempt(
        transaction(),
        wallet(a, 9_900),
        wallet(b, 10_099),
        entries([a, 2, -100, 9_900], [b, 2, 99, 10_099]),
      ),
    ).toBe('AW001');
  });

  it('7: refuses transactions without their events, and events without their transactions', async () => {
    const moved = [wallet(a, 9_900), wallet(b, 10_100), entries([a, 2, -100, 9_900], [b, 2, 100, 10_100])];
    expect(await attempt(bareTransaction, ...moved)).toBe('AW007');
    expect(await attempt(event('01890000-0000-7000-8000-000000000002'), bareTransaction, ...moved)).toBe('AW007');
    expect(await attempt(event(TX), bareTransaction, 'ROLLBACK', 'BEGIN', bareTransaction, ...moved)).toBe('AW007');
  });

  it('1: refuses entries in a wallet that is not there', async () => {
    expect(await attempt(transaction(), entries(['01890000-0000-7000-8000-00000000dead', 1, 100, 100]))).toBe('AW001');
  });

  it('2: refuses a balance without history, and history without a balance', async () => {
    expect(await attempt(wallet(a, 99_999_900))).toBe('AW002');
    expect(await attempt(`UPDATE wallets SET balance = balance + 1 WHERE id = '${a}'`)).toBe('AW002');
    expect(await attempt(transaction(), entries([a, 2, -100, 9_900], [b, 2, 100, 10_100]))).toBe('AW002');
  });

  it('2: lets a wallet begin with nothing only, or with its history in the same transaction', async () => {
    const begun = (id: string, balance: number, count: number) => `
      INSERT INTO wallets (id, kind, currency, label, status, minimum_balance, balance, credited, entry_count, last_hash)
      VALUES ('${id}', 'customer', 'INR', 'by hand', 'active', 0, ${balance}, ${balance}, ${count}, ${count ? `'\\x00'` : 'NULL'})`;
    const id = '01890000-0000-7000-8000-00000000aaaa';
    expect(await attempt(begun(id, 100, 0))).toBe('23514');
    expect(await attempt(begun(id, 100, 1))).toBe('AW002');
    expect(await attempt(begun(id, 0, 1))).toBe('AW002');
    const history = [transaction(), wallet(a, 0), entries([a, 2, -10_000, 0], [id, 1, 10_000, 10_000])];
    expect(await attempt(begun(id, 9_999, 1), ...history)).toBe('AW002');
    const sound = ['SET CONSTRAINTS ALL IMMEDIATE', 'ROLLBACK', 'BEGIN'];
    expect(await attempt(begun(id, 10_000, 1), ...history, ...sound)).toBe('committed');
    expect(await attempt(begun(id, 0, 0), ...sound)).toBe('committed');
  });

  it('2: refuses to forget an entry', async () => {
    const { id } = await service.api.newWallet('100.00');
    await service.api.debit(id, '1.00');
    expect(await attempt(wallet(id, 10_000, 1))).toBe('AW002');
    await service.api.debit(id, '1.00');
    expect(await attempt(wallet(id, 10_000, 1))).toBe('AW002');
  });

  it('2: holds each of many wallets that one statement moves, and lets entries follow by a later one', async () => {
    const [x, y] = await Promise.all([1, 2].map(async () => (await service.api.newWallet('100.00')).id));
    const moving = (minor: number) => `
      UPDATE wallets SET balance = balance + minor, credited = credited + greatest(minor, 0), entry_count = 2, last_hash = '\\x00'
        FROM (VALUES ('${x}'::uuid, ${-minor}), ('${y}'::uuid, ${minor})) AS m (id, minor) WHERE wallets.id = m.id`;
    const moved = moving(100);
    const added = entries([x!, 2, -100, 9_900], [y!, 2, 100, 10_100]);
    // What was put right before COMMIT is right; what was right and is undone is not.
    const undone = `UPDATE wallets SET balance = 10000, entry_count = 1 WHERE id = '${y}'`;
    expect(await attempt(transaction(), moved)).toBe('AW002');
    expect(await attempt(transaction(), moved, added, undone)).toBe('AW002');
    expect(
      await attempt(
        `UPDATE wallets SET balance = 9900 WHERE id = '${x}'`,
        `UPDATE wallets SET balance = 10000 WHERE id = '${x}'`,
      ),
    ).toBe('committed');
    const atOnce = (update: string) => `WITH moved AS (${update}) ${added}`;
    expect(await attempt(transaction(), atOnce(moving(0)))).toBe('AW002');
    // All is looked at, and then undone.
    const sound = ['SET CONSTRAINTS ALL IMMEDIATE', 'ROLLBACK', 'BEGIN'];
    expect(await attempt(transaction(), atOnce(moved), ...sound)).toBe('committed');
    expect(await attempt(transaction(), moved, added, ...sound)).toBe('committed');
  });

  it('2: lets a wallet whose balance was wrong before be frozen, and not moved', async () => {
    const { id } = await service.api.newWallet('100.00');
    await service.database.query(`
      ALTER TABLE wallets DISABLE TRIGGER USER; UPDATE wallets SET balance = 1 WHERE id = '${id}'; ALTER TABLE wallets ENABLE TRIGGER USER`);
    expect(await attempt(`UPDATE wallets SET status = 'frozen', freeze_mode = 'all' WHERE id = '${id}'`)).toBe(
      'committed',
    );
    expect(await attempt(`UPDATE wallets SET balance = 2 WHERE id = '${id}'`)).toBe('AW002');
    expect(await attempt(`UPDATE wallets SET balance = 10000 WHERE id = '${id}'`)).toBe('committed');
  });

  it('2: refuses a gap, a number used twice, and a balance_after that does not follow', async () => {
    expect(
      await attempt(
        transaction(),
        wallet(a, 9_900, 3),
        wallet(b, 10_100),
        entries([a, 3, -100, 9_900], [b, 2, 100, 10_100]),
      ),
    ).toBe('AW002');
    expect(await attempt(transaction(), wallet(b, 10_100), entries([a, 1, -100, 10_000], [b, 2, 100, 10_100]))).toBe(
      '23505',
    );
    expect(
      await attempt(
        transaction(),
        wallet(a, 9_901),
        wallet(b, 10_100),
        entries([a, 2, -100, 9_901], [b, 2, 100, 10_100]),
      ),
    ).toBe('AW002');
  });

  it('3: refuses a balance under the floor', async () => {
    expect(await attempt(wallet(a, -1))).toBe('23514');
    expect(await attempt(`UPDATE wallets SET minimum_balance = balance + 1 WHERE id = '${a}'`)).toBe('23514');
    expect(await attempt(`UPDATE wallets SET held = balance + 1 WHERE id = '${a}'`)).toBe('23514');
  });

  it('3: refuses to hold back another sum than the active holds', async () => {
    const { id } = await service.api.newWallet('100.00');
    const hold = (await service.api.hold(id, '40.00')).body;
    expect(await attempt(`UPDATE wallets SET held = 0 WHERE id = '${id}'`)).toBe('AW003');
    expect(await attempt(`UPDATE holds SET amount = 5000 WHERE id = '${hold.id}'`)).toBe('AW003');
    expect(await attempt(`UPDATE holds SET status = 'voided' WHERE id = '${hold.id}'`)).toBe('AW003');
    expect(await attempt(`UPDATE holds SET captured = amount WHERE id = '${hold.id}'`)).toBe('23514');
    expect(await attempt(`DELETE FROM holds WHERE id = '${hold.id}'`)).toBe('AW004');
    expect(await attempt(`DELETE FROM hold_changes WHERE hold_id = '${hold.id}'`)).toBe('AW004');
  });

  it('3: refuses a closed wallet with money, and a frozen one that does not say for what', async () => {
    expect(await attempt(`UPDATE wallets SET status = 'closed' WHERE id = '${a}'`)).toBe('23514');
    expect(await attempt(`UPDATE wallets SET status = 'frozen' WHERE id = '${a}'`)).toBe('23514');
  });

  it.each(['transactions', 'entries'])('4: refuses to update, delete or truncate %s', async (table) => {
    expect(await attempt(`UPDATE ${table} SET amount = amount`)).toBe('AW004');
    expect(await attempt(`DELETE FROM ${table}`)).toBe('AW004');
    expect(await attempt(`TRUNCATE ${table}`)).toBe('AW004');
  });

  it('4: refuses to delete a wallet', async () => {
    expect(await attempt(`DELETE FROM wallets WHERE id = '${a}'`)).toBe('AW004');
  });

  it('5: refuses a second outcome of a key, and a key without an outcome', async () => {
    const key = (outcome: string) =>
      `INSERT INTO idempotency_keys VALUES ('law', 'k', '\\x00', 201, NULL, ${outcome}, now())`;
    expect(await attempt(key(`'{}'`), key(`'{}'`))).toBe('23505');
    expect(await attempt(key('NULL'))).toBe('23514');
  });

  it('lets a sound posting through, so the refusals above mean something', async () => {
    const before = await service.database.query(`SELECT balance FROM wallets WHERE id = '${b}'`);
    expect(before).toEqual([{ balance: '10000' }]);
    expect(
      await attempt(
        transaction(),
        wallet(a, 9_900),
        wallet(b, 10_100),
        entries([a, 2, -100, 9_900], [b, 2, 100, 10_100]),
      ),
    ).toBe('committed');
  });

  it('and where its triggers are off, the tests’ own check finds what was broken', async () => {
    await service.database.query('BEGIN');
    await service.database.query('ALTER TABLE wallets DISABLE TRIGGER USER; ALTER TABLE entries DISABLE TRIGGER USER');
    await service.database.query(`UPDATE wallets SET balance = balance + 1 WHERE id = '${a}'`);
    await service.database.query(`DELETE FROM entries WHERE wallet_id = '${b}' AND seq = 1`);
    const found = await brokenLaws((sql) => service.database.query(sql));
    await service.database.query('ROLLBACK');
    expect(found.map((finding) => finding.split(':')[0])).toEqual(
      expect.arrayContaining([
        'a transaction does not add up to zero',
        'a balance is not the sum of its entries',
        'a sequence has a gap',
      ]),
    );
  });
});
