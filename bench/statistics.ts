/** Figures over the rounds. */

export interface Spread {
  median: number;
  least: number;
  most: number;
}

/** @returns undefined where there is nothing. */
export function spreadOf(values: Array<number | undefined>): Spread | undefined {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}
