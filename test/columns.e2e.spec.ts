/** Rows that are written as a parameter for each column come out as they went in, whatever their texts are. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { namesOf, rowsOf, valuesOf, type Columns } from '../src/database/columns.js';
import { TestDatabase } from './support/service.js';

interface Row {
  id: string;
  amount?: bigint;
  note?: string | null;
  at?: Date | null;
  details?: object | null;
  hash?: string;
}

const COLUMNS: Columns<Row> = {
  id: ['uuid', (row) => row.id],
  amount: ['bigint', (row) => row.amount],
  note: ['text', (row) => row.note],
  at: ['timestamptz', (row) => row.at],
  details: ['jsonb', (row) => row.details],
  hash: ['bytea', (row) => row.hash],
};

let database: TestDatabase;
beforeAll(async () => {
  database = await TestDatabase.create();
});
afterAll(() => database.drop());

const readBack = (rows: Row[]) =>
  database.query(`SELECT ${namesOf(COLUMNS)} FROM ${rowsOf(COLUMNS)} r`, valuesOf(COLUMNS, rows));

const ID = '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11';
const NOTHING = { amount: null, note: null, at: null, details: null, hash: null };

it.each([
  ['quotes and backslashes', `"a" \\ 'b' \\" \\\\`],
  ['what arrays are written with', '{a,b}, {NULL} ,'],
  ['the word NULL', 'NULL'],
  ['nothing', ''],
  ['blanks around it', '  a  '],
  ['lines and tabs', 'a\nb\tc\r\n'],
  ['letters of many kinds', 'ß 漢 👩‍👩‍👧 \u202e'],
])('keeps a text of %s', async (_, note) => {
  const details = { [note]: note };
  expect(await readBack([{ id: ID, note, details }])).toEqual([{ ...NOTHING, id: ID, note, details }]);
});

it('keeps the largest numbers, times to the millisecond, and bytes', async () => {
  const at = new Date('1969-12-31T23:59:59.999Z');
  const hash = '00ff5c22'.repeat(8);
  const rows = await readBack([
    { id: ID, amount: 2n ** 63n - 1n, at, hash },
    { id: ID, amount: -(2n ** 63n), at, hash },
  ]);
  const same = { id: ID, note: null, details: null, at, hash: Buffer.from(hash, 'hex') };
  expect(rows).toEqual([
    { ...same, amount: '9223372036854775807' },
    { ...same, amount: '-9223372036854775808' },
  ]);
});

it('keeps each value in its row where others have none, or nobody has one', async () => {
  const rows = [{ id: ID }, { id: ID, note: 'second' }, { id: ID }, { id: ID, note: null }];
  expect(await readBack(rows)).toEqual([null, 'second', null, null].map((note) => ({ ...NOTHING, id: ID, note })));
});

it('makes no rows of none, and counts parameters from where it is told', async () => {
  expect(await readBack([])).toEqual([]);
  expect(rowsOf({ id: COLUMNS.id! }, 3)).toBe('(SELECT unnest((SELECT $3::uuid[])) AS id)');
});
