/** Goes through many rows without holding up the process. */
const ROWS_PER_TURN = 256;

/**
 * Calls `make` for each row in order; others get a turn every 256 rows.
 * @throws the signal's reason when aborted
 */
export async function eachRow<T, R>(
  rows: readonly T[],
  make: (row: T, index: number) => R,
  signal?: AbortSignal,
): Promise<R[]> {
  const results: R[] = [];
  for (const [index, row] of rows.entries()) {
    if (index % ROWS_PER_TURN === 0) {
      if (index > 0) await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
    results.push(make(row, index));
  }
  return results;
}
