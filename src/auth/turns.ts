/**
 * Whoever is not known yet waits for a turn: a burst of thousands of bad credentials would take every connection to the database,
 * and all of it would be looked at before the first of it has counted. With turns the limit stops what comes after it.
 */
import pLimit from 'p-limit';

const AT_ONCE = 3;

/** Runs what it is given, when it is its turn. */
export type Turn = <T>(work: () => Promise<T>) => Promise<T>;

/** A few at a time, in the order in which they came. */
export const newTurns = (): Turn => pLimit(AT_ONCE);
