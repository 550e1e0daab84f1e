/** What the latencies of a phase come to. */

export interface Latencies {
  p50Ms?: number;
  p95Ms?: number;
  p99Ms?: number;
  p999Ms?: number;
  maxMs?: number;
}

/** Quantiles by nearest rank. One that so few samples cannot tell (p99.9 of 200) is left out: it would be the maximum. */
export function latenciesOf(samplesMs: ArrayLike<number>): Latencies {
  const sorted = Float64Array.from(samplesMs).sort();
  const quantile = (q: number) => {
    const rank = Math.ceil(sorted.length * q);
    return rank < sorted.length ? sorted[rank - 1] : undefined;
  };
  return {
    p50Ms: quantile(0.5),
    p95Ms: quantile(0.95),
    p99Ms: quantile(0.99),
    p999Ms: quantile(0.999),
    maxMs: sorted.at(-1),
  };
}
