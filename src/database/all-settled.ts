/**
 * Awaits promises that share one database connection. `Promise.all` returns at the first failure and would let
 * a ROLLBACK slip in between statements still on their way; this one waits for all, then throws the first
 * failure.
 */
export async function allSettled<T extends readonly unknown[] | []>(
  ...promises: T
): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
  const results = (await Promise.allSettled(promises)) as PromiseSettledResult<unknown>[];
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as never;
}
