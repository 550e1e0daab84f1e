/** All rows in the order in which a round measures them: those that are compared are neighbours. */
import type { Options } from '../options.js';
import type { Row } from '../row.js';
import { P1, P1_KNOWN, P1_OPEN, P2, P3, P4, P5 } from './postings.js';
import { emptyRoute, P6 } from './reads.js';
import { lonelyOneByOne, oneByOneRow, peer, pgbench } from './references.js';
import { P9 } from './start.js';
import { P10 } from './statement.js';
import { P1_STREAMS, STREAM_MEMORY } from './streams.js';
import { P8 } from './two-processes.js';

// prettier-ignore
const ALL: Row[] = [
  oneByOneRow, peer, pgbench, P1, P1_STREAMS, ...P1_KNOWN, P8, ...P1_OPEN, P2, P3, P4,
  lonelyOneByOne, P5,
  emptyRoute, P6,
  P9, P10, STREAM_MEMORY,
];

/** The rows that are asked for, and those that they are compared with. */
export function rowsOf({ rows, skip }: Options): Row[] {
  const asked = ALL.filter(({ partOf }) => partOf && rows.has(partOf));
  const needed = asked.flatMap(({ name, comparedWith = [], goals = [] }) => [
    name,
    ...comparedWith,
    ...goals.flatMap(({ of }) => of ?? []),
  ]);
  return ALL.filter(({ name }) => needed.includes(name) && !skip.has(name));
}
