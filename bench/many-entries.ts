/** A wallet with a long history, written by SQL with the database's laws out of force: for what speed and memory do. */

/** One connection: the history is gathered in a temporary table. */
interface Database {
  query(sql: string, parameters?: unknown[]): Promise<unknown>;
}

/**
 * Fills an empty wallet with `count` entries of 1.00 to 9.00, two credits before each debit, one a minute up to now. One
 * in a hundred counts 40 days before it was posted.
 */
export async function fillWallet(database: Database, walletId: string, count: number) {
  for (const table of ['transactions', 'entries', 'wallets']) {
    await database.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
  }
  await database.query(
    `CREATE TEMPORARY TABLE filling AS
     -- Ids in order of time, as the service makes them.
     SELECT i AS seq, overlay(gen_random_uuid()::text PLACING lpad(to_hex(i), 8, '0') FROM 1 FOR 8)::uuid AS id, amount, at, CASE WHEN i % 100 = 0 THEN at - interval '40 days' END AS effective,
            sum(amount) OVER (ORDER BY i) AS balance, sum(greatest(amount, 0)) OVER (ORDER BY i) AS credited
       FROM (SELECT i, (CASE WHEN i % 3 = 0 THEN -100 ELSE 100 END) * (1 + i % 9) AS amount,
                    date_trunc('second', now()) - ($1::int - i) * interval '1 minute' AS at
               FROM generate_series(1, $1::int) i) x`,
    [count],
  );
  await database.query(`
    INSERT INTO transactions (id, type, currency, amount, description, reference, actor, effective_at, created_at)
    SELECT id, CASE WHEN amount > 0 THEN 'credit' ELSE 'debit' END, 'INR', abs(amount), 'Order ' || seq || ' of a customer',
           'order-' || seq, 'operator', coalesce(effective, at), at FROM filling`);
  await database.query(
    `INSERT INTO entries (wallet_id, seq, transaction_id, leg, amount, balance_after, credited_after, created_at,
                          effective_at, hash)
     SELECT $1, seq, id, 0, amount, balance, credited, at, effective, '\\x00' FROM filling`,
    [walletId],
  );
  await database.query(
    `UPDATE wallets SET balance = f.balance, credited = f.credited, entry_count = f.seq, last_hash = '\\x00'
       FROM (SELECT * FROM filling ORDER BY seq DESC LIMIT 1) f WHERE wallets.id = $1`,
    [walletId],
  );
  await database.query('DROP TABLE filling');
  await database.query('ANALYZE');
}
