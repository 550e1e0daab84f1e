/** How the lines of a file become rows: quotes, line ends, encodings; and what is rejected stays whole. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { csvLine } from '../src/import/rejects.js';
import { ImportBench } from './support/import-bench.js';

const HEADINGS = 'transaction_id,date,account_id,type,amount,balance_after,operation';

describe('asper import, line by line', () => {
  let bench: ImportBench;
  beforeEach(async () => void (bench = await ImportBench.create()));
  afterEach(async () => expect(await bench.close()).toEqual([]));

  it('reads what spreadsheets write: byte order mark, CRLF, semicolons, tabs, quotes, lines within quotes, blank lines', async () => {
    const csv = await bench.file(
      '\ufeff"Nr";"Buchung";"Konto";"Art";"Betrag";"seen";"note"\r\n' +
        '1;1993-01-01;"Müller; Söhne";credit;"12.50";"said ""yes""\r\non two lines";\r\n\r\n' +
        '2;1993-01-01; Müller; debit ;2.50;;\r\n' +
        '3;1993-01-01;Müller;credit;7;;"said ""yes""\r\non two lines"\r\n' +
        '4;1993-01-01;"Müller; Söhne";credit;1;;last without newline',
    );
    const map = [
      'Nr=transaction_id',
      'buchung=date',
      'Konto=account_id',
      'Art=type',
      'Betrag=amount',
      'note=operation',
    ].flatMap((pair) => ['--map', pair]);
    const { code, stderr } = await bench.importing(csv, '-d', ';', '--minimum-balance=-10', ...map);
    expect([code, stderr]).toEqual([1, 'line 6: operation must not contain control characters\n']);
    expect(await bench.balances()).toEqual({ Müller: '-250', 'Müller; Söhne': '1350' });

    const tabs = await bench.file(
      `${HEADINGS.replaceAll(',', '\t')}\nx\t1993-01-01\ttab\tcredit\t1.00\t\t"a\tb"\ny\t1993-01-01\ttab\tcredit\t1.00\t\t"a ""b"""\n`,
    );
    expect((await bench.importing(tabs, '--delimiter', 'tab')).stderr).toBe(
      'line 2: operation must not contain control characters\n',
    );
  });

  it('takes no amount that the end of the file may have cut', async () => {
    const lines = 'transaction_id,date,account_id,type,amount\n1,2024-01-01,a,credit,10.00\n2,2024-01-02,a,credit,123';
    const cut = await bench.importing(await bench.file(lines));
    expect([cut.code, cut.stderr]).toEqual([
      1,
      'line 3: the file ends with its amount and no line end, and may have been cut off there: if it is whole, add one\n',
    ]);
    const whole = await bench.importing(await bench.file(`${lines}4.50\n`));
    expect([whole.code, whole.stderr]).toEqual([0, '']);
    expect(await bench.balances()).toEqual({ a: '124450' });
  });

  it('posts nothing that stands within quotes: a record that is bad is so with all its lines, however many', async () => {
    const hidden = 'X1,1993-01-02,mallory,credit,999999.00,,,';
    const csv = await bench.file([
      `${HEADINGS},note`,
      'g1,1993-01-01,a,credit,10.00,,salary,',
      `b1,1993-01-02,mallory,credit,1.00,,"thanks\n${hidden}\nbye",`,
      `b2,1993-02-30,mallory,credit,1.00,,,"a ""note""\n${hidden}\nbye"`,
      `b3,1993-01-02,mallory,credit,1.00,"\n${hidden}\n"`,
      `g2,1993-01-02,a,credit,1.00,,,"${`\n${hidden}`.repeat(5_000)}\n"`,
      `b4,nonsense,mallory,credit,1.00,,,"${`\n${hidden}`.repeat(5_000)}\n"`,
      'g3,1993-01-02,a,credit,1.00,,,"the last"',
    ]);
    const rejects = path.join(bench.folder, 'rejects.csv');
    const { stdout, stderr } = await bench.importing(csv, '--rejects', rejects);
    expect(stderr).toMatch(
      /^line 3: operation must not [^\n]+\nline 6: date [^\n]+\nline 9: has 6 fields[^\n]+\nline 5014: date [^\n]+\n$/,
    );
    expect(stdout).toMatch(/movements +3 posted.*\nrefused +0\nbad lines +4\n/);
    expect(await bench.balances()).toEqual({ a: '1200' });
    const rejected = await readFile(rejects, 'utf8');
    // Mended where they stand, they go in.
    const mended = await bench.file(rejected.replaceAll(/1993-02-30|nonsense/g, '1993-01-31'), 'mended.csv');
    expect((await bench.importing(mended)).stdout).toMatch(/movements +2 posted.*\nrefused +0\nbad lines +2\n/);
    expect(await bench.balances()).toEqual({ a: '1200', mallory: '200' });
  });

  it('rejects all the rest of a file where quotes do not fit together, as it may be text', async () => {
    const rest = ['X1,1993-01-02,mallory,credit,999999.00,,', '', 'X2,1993-01-02,mallory,credit,9.00,,"x"', 'bye",,'];
    const long = 'x'.repeat(200_000);
    const mistakes: Array<[row: string, reason: string, text?: string]> = [
      ['b,1993-01-01,a,credit,1,,"open', 'a quote stands where none may be'],
      ['b,1993-01-01,a,credit,1,,"shut"x', 'a quote stands where none may be'],
      ['b,1993-01-01,a,credit,1,,shut "x" y "', 'a quote stands where none may be'],
      [`b,1993-01-01,a,credit,1,,"${long}`, 'the line is longer than 65536 bytes, and there are quotes in it', ''],
      [
        `b,1993-01-01,a,credit,1,${long}"${long}`,
        'the line is longer than 65536 bytes, and there are quotes in it',
        '',
      ],
    ];
    for (const [i, [row, reason, text = row]] of mistakes.entries()) {
      const csv = await bench.file([HEADINGS, `g${i},1993-01-01,a,credit,1.00,,`, row, ...rest]);
      const rejects = path.join(bench.folder, 'rejects.csv');
      const { code, stdout, stderr } = await bench.importing(csv, '--rejects', rejects);
      const said = `${reason}; all from here on may be text of it and is left out`;
      expect([i, code, stdout]).toEqual([
        i,
        1,
        expect.stringMatching(/movements +1 posted.*\nrefused +0\nbad lines +5/),
      ]);
      expect(stderr).toMatch(new RegExp(`^line 3: ${said}\n(line [4-7]: left out for the quotes of line 3\n){4}$`));
      // Each line is one field there, so that none goes in as it is.
      expect(await readFile(rejects, 'utf8')).toBe(
        `line,reason,${HEADINGS}\n${csvLine(['3', said, text])}` +
          rest.map((line, at) => csvLine([String(4 + at), 'left out for the quotes of line 3', line])).join(''),
      );
    }
    const again = await bench.importing(path.join(bench.folder, 'rejects.csv'));
    expect(again.stdout).toMatch(/movements +0 posted.*\nrefused +0\nbad lines +5/);
    expect(await bench.balances()).toEqual({ a: '500' });
    const [open] = mistakes[0]!;
    const endless = [Array<string>(40).fill('x'.repeat(60_000)), Array<string>(10_000).fill('')];
    for (const lines of [[open], ...endless.map((text) => [open, ...text, ...rest])]) {
      const { code, stdout, stderr } = await bench.importing(await bench.file([HEADINGS, ...lines]), '--dry-run');
      expect([code, stdout, stderr]).toEqual([
        1,
        expect.stringMatching(/movements +0\n/),
        expect.stringMatching(/^line 2: a quote is opened and not closed( within 10000 lines.*)?; all from/),
      ]);
    }
    expect(await bench.postedCount()).toBe(5);
  });

  it('takes CR alone for no line end, and says so, in rows and in headings', async () => {
    const row = (id: string, more: string) => `${id},1993-01-01,bob,credit,10.00,,${more}`;
    const lines = [
      HEADINGS,
      `${row('1', '"x"')}\r${row('2', '"y"')}`,
      `${row('3', '"z"')}\r`,
      `${row('4', 'x')}\r${row('5', 'y')}`,
      `${row('6', 'x')}\r`,
      `"7\r${row('8', '"')}`,
      row('9', '"last"'),
    ];
    const rows = await bench.importing(await bench.file(lines));
    const said = 'a carriage return (CR) without a line feed is in it';
    expect([rows.code, rows.stderr]).toEqual([1, `line 2: ${said}\nline 4: ${said}\nline 6: ${said}\n`]);
    expect(await bench.balances()).toEqual({ bob: '3000' });
    for (const headings of [HEADINGS, HEADINGS.replace('operation', '"operation"')]) {
      for (const count of [2, 5_000]) {
        const csv = await bench.file(`${headings}\r${`${row('1', 'x')}\r`.repeat(count)}`);
        const { code, stderr } = await bench.importing(csv);
        expect([code, stderr]).toEqual([
          2,
          expect.stringMatching(/headings cannot be read: .* line ends LF or CRLF\.\n/),
        ]);
      }
    }
  });

  it('loses one line, not the file, to bytes that are not UTF-8 and to endless lines', async () => {
    const row = (id: string, operation: string, more = '') => `${id},1993-01-01,a,credit,1,,${operation},${more}`;
    const text = [
      `${HEADINGS},`,
      row('1', 'caf\xe9'),
      row('2', 'x'.repeat(200_000)),
      row('3', 'ok'),
      // The record that such a line is part of is one.
      row('4', '', '"caf\xe9\nX,1993-01-01,a,credit,9,,,\n"'),
      row('5', ''),
    ].join('\n');
    const { code, stderr } = await bench.importing(await bench.file(Buffer.from(text, 'latin1')));
    expect([code, stderr]).toEqual([
      1,
      'line 2: the line is not UTF-8 text\nline 3: the line is longer than 65536 bytes\nline 5: the line is not UTF-8 text\n',
    ]);
    expect(await bench.balances()).toEqual({ a: '200' });
  });

  it('writes rejects that can be imported as they are, also where the file has a reason and a line of its own', async () => {
    const csv = await bench.file([
      'transaction_id,date,account_id,type,amount,Reason,line,line 2',
      '1,1993-01-01,a,credit,x,rent,7,8',
    ]);
    const rejects = path.join(bench.folder, 'rejects.csv');
    const options = ['--map', 'reason=operation', '--map', 'line=balance_after'];
    await bench.importing(csv, '--rejects', rejects, ...options);
    const text = await readFile(rejects, 'utf8');
    expect(text).toMatch(/^line 3,reason 2,transaction_id,date,account_id,type,amount,Reason,line,line 2\n2,"amount /);
    const mended = await bench.file(text.replace('credit,x', 'credit,7.00'), 'mended.csv');
    const { code, stdout } = await bench.importing(mended, ...options);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/1 posted[^]*balance_after +0\.00 INR/)]);
    const [{ description }] = await bench.database.query('SELECT description FROM transactions');
    expect(description).toBe('rent');
  });
});
