/** Rows that are written as a parameter for each column come out as they went in, whatever their texts are. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { arrayOf } from '../src/database/array.parameter.js';
import { namesOf, rowsOf, valuesOf, type Columns } from '../src/database/columns.js';
import { TestDatabase } from './support/service.js';

interface Row {
  id: string;
  place?: number;
  version?: number;
  day?: string;
  amount?: bigint | number;
  note?: string | null;
  at?: Date | null;
  details?: object | null;
  body?: object;
  hash?: string;
}

const COLUMNS: Columns<Row> = {
  id: ['uuid', (row) => row.id],
  place: ['smallint', (row) => row.place],
  version: ['int', (row) => row.version],
  day: ['date', (row) => row.day],
  amount: ['bigint', (row) => row.amount],
  note: ['text', (row) => row.note],
  at: ['timestamptz', (row) => row.at],
  details: ['jsonb', (row) => row.details],
  body: ['json', (row) => row.body],
  hash: ['bytea', (row) => row.hash],
};

let database: TestDatabase;
beforeAll(async () => {
  database = await TestDatabase.create();
});
afterAll(() => database.drop());

const SELECTED = namesOf(COLUMNS).replace('day', 'day::text');
const readBack = (rows: Row[]) =>
  database.query(`SELECT ${SELECTED} FROM ${rowsOf(COLUMNS)} r`, valuesOf(COLUMNS, rows));

const ID = '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11';
const NOTHING = Object.fromEntries(Object.keys(COLUMNS).map((name) => [name, null]));

it.each([
  ['quotes and backslashes', `"a" \\ 'b' \\" \\\\`],
  ['what arrays are written with', '{a,b}, {NULL} ,'],
  ['the word NULL', 'NULL'],
  ['nothing', ''],
  ['blanks around it', '  a  '],
  ['lines and tabs', 'a\nb\tc\r\n'],
  ['letters of many kinds', 'ß 漢 👩‍👩‍👧 \u202e'],
])('keeps a text of %s', async (_, note) => {
  const row = { id: ID, note, details: { [note]: note }, body: { [note]: [note] } };
  expect(await readBack([row])).toEqual([{ ...NOTHING, ...row }]);
});

it.each([
  [
    'the largest',
    { place: 32_767, version: 2_147_483_647, day: '9999-12-31', amount: 2n ** 63n - 1n },
    new Date('9999-12-31T23:59:59.999Z'),
  ],
  [
    'the smallest',
    { place: -32_768, version: -2_147_483_648, day: '0001-01-01', amount: -(2n ** 63n) },
    new Date('0001-01-01T00:00:00.001Z'),
  ],
  [
    'what is around zero',
    { place: -1, version: 0, day: '1999-12-31', amount: -1 },
    new Date('1969-12-31T23:59:59.999Z'),
  ],
])('keeps of numbers, days and times %s, times to the millisecond', async (_, numbers, at) => {
  const [read] = await readBack([{ id: ID, ...numbers, at }]);
  expect(read).toEqual({ ...NOTHING, id: ID, ...numbers, amount: String(numbers.amount), at });
});

it('keeps bytes, and ids in either case', async () => {
  const hash = '00ff5C22'.repeat(8);
  const rows = await readBack([
    { id: ID.toUpperCase(), hash: '' },
    { id: ID, hash },
  ]);
  expect(rows.map(({ id }) => id)).toEqual([ID, ID]);
  expect(rows.map((row) => row.hash)).toEqual([Buffer.alloc(0), Buffer.from(hash, 'hex')]);
});

it.each([
  ['smallint', 32_768],
  ['smallint', 0.5],
  ['int', 2 ** 31],
  ['int', Number.NaN],
  ['bigint', 2n ** 63n],
  ['bigint', 0.5],
  ['date', '2026-02-32'],
  ['timestamptz', new Date(Number.NaN)],
  ['uuid', ID.slice(1)],
  ['uuid', ID.replace('7', 'g')],
  ['uuid', ID.replace('7', 'ŷ')],
  ['bytea', 'abc'],
  ['bytea', 'zz'],
] as const)('writes no %s that is none: %s', (type, value) => {
  expect(() => arrayOf(type, [value as never])).toThrow(RangeError);
});

it('keeps each value in its row where others have none, or nobody has one', async () => {
  const rows = [{ id: ID }, { id: ID, note: 'second' }, { id: ID }, { id: ID, note: null }];
  expect(await readBack(rows)).toEqual([null, 'second', null, null].map((note) => ({ ...NOTHING, id: ID, note })));
});

it('makes no rows of none, and counts parameters from where it is told', async () => {
  expect(await readBack([])).toEqual([]);
  expect(rowsOf({ id: COLUMNS.id! }, 3)).toBe('(SELECT unnest((SELECT $3::uuid[])) AS id)');
});
