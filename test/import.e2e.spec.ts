import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Command } from 'commander';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readConfig } from '../src/config.js';
import { declareImport, readImportOptions, type RawImportOptions } from '../src/import/import.options.js';
import { ImportBench } from './support/import-bench.js';

const HEADINGS = 'transaction_id,date,account_id,type,amount,balance_after,operation';
const BANK_FILE = path.resolve('../shared/data/bank-1993.csv');

describe('asper import', () => {
  let bench: ImportBench;
  beforeEach(async () => void (bench = await ImportBench.create()));
  afterEach(async () => expect(await bench.close()).toEqual([]));

  it('posts each movement into the wallet of its account, in any order of columns, and reports the balances', async () => {
    const csv = await bench.file([
      'operation,amount,type,account_id,date,transaction_id,Balance_After,branch',
      'cash deposit,1000.00,credit,704,1993-01-01,207264,1000.00,AB',
      ',250.5,DEBIT,704,1993-02-03T10:15:00+01:00,207265,749.40,AB',
      'interest,7,credit,3818,1993-01-31,207266,,',
    ]);
    const report = path.join(bench.folder, 'balances.csv');
    const { code, stdout, stderr } = await bench.importing(csv, '--report', report);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^accounts +2 \(2 wallets opened\)\nmovements +3 posted, 0 already imported\nrefused +0\nbad lines +0\n/,
    );
    expect(stdout).toMatch(
      /seconds +\d+\.\d\npostings per second +\d+\nlargest difference from balance_after +0\.10 INR \(account 704, line 3\)\n$/,
    );

    const rows = await bench.database.query('SELECT * FROM transactions ORDER BY reference');
    expect(
      rows.map((t) => [t.reference, t.type, t.amount, t.description, t.actor, t.effective_at.toISOString()]),
    ).toEqual([
      ['207264', 'credit', '100000', 'cash deposit', 'import:csv', '1993-01-01T00:00:00.000Z'],
      ['207265', 'debit', '25050', null, 'import:csv', '1993-02-03T09:15:00.000Z'],
      ['207266', 'credit', '700', 'interest', 'import:csv', '1993-01-31T00:00:00.000Z'],
    ]);
    const wallets = await bench.database.query("SELECT id, label, user_id FROM wallets WHERE kind = 'customer'");
    const id = (label: string) => wallets.find((w) => w.label === label).id;
    expect(wallets.map((w) => w.user_id)).toEqual([null, null]);
    expect(await readFile(report, 'utf8')).toBe(
      `account_id,wallet_id,balance\n704,${id('704')},749.50\n3818,${id('3818')},7.00\n`,
    );
  });

  it('changes nothing when it runs again, and posts only what was added since', async () => {
    const rows = [HEADINGS, '1,2024-01-01,a,credit,10,,', '2,2024-01-02,a,debit,4,,'];
    const csv = await bench.file(rows);
    await bench.importing(csv);
    // Long after the time for which HTTP callers' keys are answered.
    await bench.database.query("UPDATE idempotency_keys SET created_at = now() - interval '300 days'");
    const more = await bench.importing(await bench.file([...rows, '3,2024-01-03,a,debit,1,,'], 'more.csv'));
    expect([more.code, more.stdout]).toEqual([
      0,
      expect.stringMatching(/0 wallets opened\)\nmovements +1 posted, 2 already imported\nrefused +0/),
    ]);
    expect(await bench.balances()).toEqual({ a: '500' });
    const other = await bench.importing(csv, '--source', 'other-bank');
    expect(other.stdout).toMatch(/2 posted, 0 already imported/);
  });

  it('lists bad lines with number and reason, imports the good ones, and writes all of them to --rejects', async () => {
    const bad: Array<[row: string, reason: RegExp]> = [
      [',1993-01-01,a,credit,1,,', /transaction_id is empty/],
      ['b1,1993-02-30,a,credit,1,,', /date must be a day such as 2026-01-31/],
      ['b2,01.02.1993,a,credit,1,,', /date must be/],
      ['b3,1993-01-01,,credit,1,,', /account_id is empty/],
      [`b4,1993-01-01,${'x'.repeat(101)},credit,1,,`, /account_id must have at most 100 characters/],
      ['b5,1993-01-01,a,transfer,1,,', /type must be credit or debit/],
      ['b6,1993-01-01,a,credit,1.005,,', /amount must have at most 2 decimals/],
      ['b7,1993-01-01,a,credit,-1,,', /amount must be a positive decimal number/],
      ['b8,1993-01-01,a,credit,0.00,,', /amount must be more than zero/],
      ['b9,1993-01-01,a,credit,"1,000.00",,', /amount must be a positive/],
      ['b10,1993-01-01,a,credit,1,abc,', /balance_after must be a decimal number/],
      ['b11,1993-01-01,a,credit,1', /has 5 fields, the headings are 7/],
      ['b12,1993-01-01,a,credit,1,,x,y', /has 8 fields/],
      ['b13,1993-01-01,a,credit,1,,John "Jack" Smith', /a quote stands where none may be/],
      ['b14,nonsense,a,nonsense,nonsense,,', /date .*; type .*; amount /],
      ...Array.from({ length: 7 }, (_, i): [string, RegExp] => [`c${i},1993-01-01,a,credit,x,,`, /amount/]),
    ];
    const good = (i: number) => `g${i},1993-01-01,a,credit,1.00,,`;
    const csv = await bench.file([HEADINGS, ...bad.flatMap(([row], i) => [row, good(i)])]);
    const rejects = path.join(bench.folder, 'rejects.csv');
    const { code, stdout, stderr } = await bench.importing(csv, '--rejects', rejects);
    expect(code).toBe(1);
    expect(stdout).toMatch(/movements +22 posted.*\nrefused +0\nbad lines +22\n/);
    const listed = stderr.trimEnd().split('\n');
    expect(listed).toHaveLength(21);
    expect(listed[20]).toBe('… and 2 more');
    listed.slice(0, 20).forEach((line, i) => {
      expect(line).toMatch(new RegExp(`^line ${2 + 2 * i}: `));
      expect(line).toMatch(bad[i]![1]);
    });
    const lines = (await readFile(rejects, 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(23);
    expect(lines[0]).toBe(`line,reason,${HEADINGS}`);
    expect(lines[5]).toBe(`10,account_id must have at most 100 characters,b4,1993-01-01,${'x'.repeat(101)},credit,1,,`);
    // The file of rejects is mended in place and imported as it is.
    const mended = await bench.file([lines[0]!, lines[6]!.replace('transfer', 'credit')], 'mended.csv');
    expect((await bench.importing(mended)).stdout).toMatch(/1 posted, 0 already/);
    expect(await bench.balances()).toEqual({ a: '2300' });
  });

  it('names headings that are missing, there twice, or mapped to nothing, and what to write', async () => {
    const headings = await bench.file(['transaction_id,date,konto,type,amount,Amount']);
    const wrong = await bench.importing(headings, '--map', 'Betrag=operation');
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/--map names "Betrag", which is no heading/)]);
    expect(wrong.stderr).toMatch(/the heading "amount" is there 2 times/);
    expect(wrong.stderr).toMatch(/no column account_id; name yours with --map <theirs>=account_id/);
    const semicolons = await bench.importing(await bench.file([HEADINGS.replaceAll(',', ';')]));
    expect(semicolons.stderr).toMatch(/try --delimiter ';'/);
    const empty = await bench.importing(await bench.file(''));
    expect([empty.code, empty.stderr]).toEqual([2, expect.stringMatching(/The file is empty/)]);
    const onlyHeadings = await bench.importing(await bench.file([HEADINGS]));
    expect([onlyHeadings.code, onlyHeadings.stdout]).toEqual([0, expect.stringMatching(/movements +0 posted/)]);
  });

  it('says in one line what is wrong with the command or the configuration, and exits with 2', async () => {
    const csv = await bench.file([HEADINGS, '1,1993-01-01,a,credit,1,,']);
    const mistakes: Array<[args: string[], said: RegExp, env?: Record<string, string>]> = [
      [['import'], /missing required argument 'file\.csv'/],
      [['import', csv, '--nonsense'], /unknown option '--nonsense'/],
      [['import', csv, '--currency', 'XXX'], /--currency must be an ISO 4217 code/],
      [['import', csv], /LOCKING must be/, { LOCKING: 'hopeful' }],
      [
        ['import', csv],
        /The database of DATABASE_URL cannot be used/,
        { DATABASE_URL: 'postgresql://x:y@127.0.0.1:1/z' },
      ],
    ];
    for (const [args, said, env] of mistakes) {
      const { code, stderr } = await bench.asper(args, env);
      expect([args, code, stderr]).toEqual([args, 2, expect.stringMatching(said)]);
      expect(stderr).not.toMatch(/^ {4}at /m);
    }
    expect(await readFile(csv, 'utf8')).toMatch(/^transaction_id/);
    expect(await bench.postedCount()).toBe(0);
    const all = await bench.asper(['--help']);
    expect([all.code, all.stdout]).toEqual([0, expect.stringMatching(/Exit codes:\n +0 +done/)]);
    const help = await bench.asper(['import', '--help']);
    expect([help.code, help.stdout]).toEqual([0, expect.stringMatching(/--minimum-balance[^]*Exit codes: 0/)]);
  });

  it('says which option is wrong, and what to write instead', async () => {
    const csv = await bench.file([HEADINGS]);
    const mistakes: Array<[args: string[], said: RegExp]> = [
      [[path.join(bench.folder, 'none.csv')], /There is no file .*none\.csv/],
      [[bench.folder], /is not a file/],
      [[csv, '--minimum-balance', 'low'], /--minimum-balance must be a plain decimal number/],
      [[csv, '--currency', 'JPY', '--minimum-balance=-0.5'], /JPY has no decimals/],
      [[csv, '--map', 'Betrag'], /write <heading of the file>=<column>/],
      [[csv, '--map', 'Betrag=sum'], /the column one of transaction_id/],
      [[csv, '--delimiter', ';;'], /--delimiter must be one character/],
      [[csv, '--source', 'my bank'], /--source must be/],
      [[csv, '--report', csv], /is another file of this command/],
      [[csv, '--report', path.join(bench.folder, 'no', 'where.csv')], /cannot be written/],
    ];
    for (const [args, said] of mistakes) {
      const command = declareImport(new Command()).action((file: string, raw: RawImportOptions) => {
        readImportOptions(file, raw, readConfig({}));
      });
      expect(() => command.parse(args, { from: 'user' })).toThrow(said);
    }
  });

  it('lists a refusal and goes on with the account; a refusal is as final as a posting', async () => {
    const csv = await bench.file([
      HEADINGS,
      '1,1993-01-01,a,credit,10.00,10.00,',
      '2,1993-01-02,a,debit,10.01,-0.01,',
      '3,1993-01-03,a,credit,5.00,4.99,',
      '3,1993-01-03,a,credit,5.00,4.99,',
      '3,1993-01-03,a,credit,6.00,10.99,',
      '4,1993-01-04,a,debit,12.00,-1.01,',
    ]);
    const expected =
      'line 3: insufficient_funds: 10.00 INR is available, 10.01 INR was asked for.\n' +
      'line 6: idempotency_key_reused: a line with this transaction_id was imported before, with other contents. If it was cut off ' +
      'then, reverse what it posted and give this one a transaction_id of its own.\n';
    const first = await bench.importing(csv);
    expect([first.code, first.stderr]).toEqual([1, expected]);
    expect(first.stdout).toMatch(/movements +3 posted, 1 already imported\nrefused +2\n[^]*10\.01 INR/);
    const second = await bench.importing(csv);
    expect([second.code, second.stderr]).toEqual([1, expected]);
    expect(second.stdout).toMatch(/0 posted, 4 already imported\nrefused +2\n/);
    expect(await bench.balances()).toEqual({ a: '300' });
  });

  it('compares a balance_after that is larger than any amount', async () => {
    const csv = await bench.file([
      HEADINGS,
      '1,1993-01-01,a,credit,9999999999999.99,9999999999999.99,',
      '2,1993-01-02,a,credit,9999999999999.99,19999999999999.98,',
      '3,1993-01-02,a,credit,1,-90000000000000000.001,',
    ]);
    const { stdout, stderr } = await bench.importing(csv);
    expect(stderr).toBe('line 4: balance_after must have at most 2 decimals: that is the smallest unit of INR\n');
    expect(stdout).toMatch(/movements +2 posted[^]*balance_after +0\.00 INR/);
  });

  it('opens wallets with the floor of --minimum-balance, else the default, and leaves those that are there', async () => {
    const csv = await bench.file([HEADINGS, '1,1993-01-01,a,debit,40,,', '2,1993-01-01,a,debit,20,,']);
    expect((await bench.asper(['import', csv], { DEFAULT_MINIMUM_BALANCE: '-50' })).stderr).toMatch(
      /^line 3: insufficient_funds/,
    );
    const again = await bench.importing(csv, '--minimum-balance', '-100', '--source', 'second');
    expect(again.stderr).toMatch(/1 wallets were there already with another minimum balance than -100/);
    expect(again.stdout).toMatch(/0 posted/);
    expect((await bench.importing(csv, '--currency', 'JPY', '-m', '-100', '-s', 'third')).code).toBe(0);
    const floors = await bench.database.query(
      "SELECT currency, minimum_balance, balance FROM wallets WHERE kind = 'customer' ORDER BY 1",
    );
    expect(floors.map(Object.values)).toEqual([
      ['INR', '-5000', '-4000'],
      ['JPY', '-100', '-60'],
    ]);
  });

  it('--dry-run reads the whole file, says how low it goes, and writes nothing', async () => {
    const csv = await bench.file([
      HEADINGS,
      '1,1993-01-01,a,debit,40,,',
      '2,1993-01-01,b,debit,x,,',
      '3,1993-01-01,b,credit,20,,',
    ]);
    const { code, stdout, stderr } = await bench.asper(['import', csv, '--dry-run'], {
      DATABASE_URL: 'postgresql://x:y@127.0.0.1:1/z',
    });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^line 3: amount/)]);
    expect(stdout).toMatch(/accounts +2\nmovements +2\nbad lines +1\nlowest balance +-40\.00 INR \(account a\)/);

    // Exports that overlap: what is there again is posted once, and counted once.
    const rows = Array.from({ length: 3_000 }, (_, i) => `${i},1993-01-01,a,debit,1.00,,`);
    const overlapping = await bench.file([HEADINGS, ...rows, ...rows, 'last,1993-01-01,a,credit,5000,,']);
    expect((await bench.importing(overlapping, '--dry-run')).stdout).toMatch(
      /movements +3,001 \(and 3,000 with a transaction_id once more, left out\)\nbad lines +0\nlowest balance +-3000\.00 INR/,
    );
  });

  describe('on the embedded database', () => {
    const dataDir = path.join(tmpdir(), `asper-import-test-${randomUUID()}`);
    afterAll(() => rm(dataDir, { recursive: true, force: true }));

    it('starts it for the time of the command', async () => {
      const env = { DATABASE_URL: undefined, DATA_DIR: dataDir };
      const migrated = await bench.asper(['migrate'], env);
      expect([migrated.code, migrated.stdout]).toEqual([
        0,
        expect.stringMatching(/^(Ran \w+\.\n){12,}The schema is up to date\.\n$/),
      ]);
      const csv = await bench.file([HEADINGS, '1,1993-01-01,a,credit,1,,']);
      const { code, stdout, stderr } = await bench.asper(['import', csv], env);
      expect([code, stdout]).toEqual([0, expect.stringMatching(/1 posted/)]);
      expect(stderr).toMatch(/PostgreSQL started\.\n(.*\n)*PostgreSQL stopped\.\n$/);
    });
  });

  it('imports a year of a Czech bank: 601 accounts, 23,570 movements, every balance exact', async () => {
    if (!existsSync(BANK_FILE)) return console.log(`skipped: ${BANK_FILE} is not here`);
    const sums = new Map<string, bigint>();
    const [heading, ...rows] = (await readFile(BANK_FILE, 'utf8')).trimEnd().split('\n');
    for (const row of rows) {
      const [, , account, type, amount] = row.split(',');
      const minor = BigInt(amount!.replace('.', ''));
      sums.set(account!, (sums.get(account!) ?? 0n) + (type === 'credit' ? minor : -minor));
    }
    const report = path.join(bench.folder, 'report.csv');
    const options = ['--currency', 'CZK', '--minimum-balance=-5000', '--report', report];
    const { code, stdout, stderr } = await bench.importing(BANK_FILE, ...options);
    expect([code, stderr.replace(/^\d+% \| .*\n/gm, '')]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^accounts +601 \(601 wallets opened\)\nmovements +23,570 posted, 0 already imported\nrefused +0\nbad lines +0\n/,
    );
    expect(stdout).toMatch(/balance_after +0\.40 CZK \(/);
    const [, ...reported] = (await readFile(report, 'utf8')).trimEnd().split('\n');
    const found = new Map(reported.map((row) => [row.split(',')[0]!, BigInt(row.split(',')[2]!.replace('.', ''))]));
    expect([found.size, await bench.postedCount()]).toEqual([601, 23_570]);
    expect(found).toEqual(sums);
    const balances = Object.fromEntries([...sums].map(([account, sum]) => [account, String(sum)]));
    expect(await bench.balances()).toEqual(balances);

    // The first of it once more: nothing moves.
    const again = await bench.file([heading!, ...rows.slice(0, 3_000)], 'again.csv');
    const second = await bench.importing(again, ...options);
    expect([second.code, second.stdout]).toEqual([
      0,
      expect.stringMatching(/\(0 wallets opened\)\nmovements +0 posted, 3,000 already imported\nrefused +0\n/),
    ]);
    expect([await bench.postedCount(), await bench.balances()]).toEqual([23_570, balances]);
  });
});
