/** Values of any kind between ranks, over a `Collective` that knows numbers alone. */
import { deserialize, serialize } from 'node:v8';
import type { Collective } from '@peft/core';
import { PeftError } from '@peft/errors';

/** Bytes of one broadcast: MPI counts in 32 bits. */
const CHUNK_BYTES = 2 ** 28;

/** Gives all ranks what `root` has; the others pass nothing. */
export async function broadcastBytes(
  collective: Collective,
  bytes: Uint8Array | undefined,
  root: number,
): Promise<Uint8Array> {
  const size = Float64Array.of(bytes?.length ?? 0);
  await collective.broadcast(size, root);
  const all = bytes ?? new Uint8Array(size[0]!);
  for (let start = 0; start < all.length; start += CHUNK_BYTES)
    await collective.broadcast(all.subarray(start, start + CHUNK_BYTES), root);
  return all;
}

/** The value of each rank, in their order; of 2 GiB each at most. */
export async function gatherValues<T>(collective: Collective, own: T): Promise<T[]> {
  const { size } = collective;
  const bytes = serialize(own);
  const lengths = new Float64Array(size);
  await collective.allGather(Float64Array.of(bytes.length), lengths);
  const longest = Math.max(...lengths);
  const padded = new Uint8Array(longest);
  padded.set(bytes);
  const all = new Uint8Array(size * longest);
  await collective.allGather(padded, all);
  return Array.from(lengths, (length, rank) => {
    const start = rank * longest;
    return deserialize(all.subarray(start, start + length)) as T;
  });
}

type Outcome<T> =
  | { readonly value: T }
  | { readonly code: string | undefined; readonly message: string; readonly hint?: string };

/**
 * Lets rank 0 do something and tells all ranks what came of it.
 * @throws on all ranks what rank 0 threw
 */
export async function byRankZero<T>(collective: Collective, work: () => Promise<T>): Promise<T> {
  if (collective.size === 1) return work();
  let bytes: Uint8Array | undefined;
  let thrown: { readonly error: unknown } | undefined;
  if (collective.rank === 0)
    try {
      const value = await work();
      bytes = serialize({ value } satisfies Outcome<T>);
    } catch (error) {
      thrown = { error };
      bytes = serialize(told(error));
    }
  const outcome = deserialize(await broadcastBytes(collective, bytes, 0)) as Outcome<T>;
  if (thrown) throw thrown.error;
  if ('value' in outcome) return outcome.value;
  const { code, message, hint } = outcome;
  throw code === undefined ? new Error(message) : new PeftError(code, message, { hint });
}

function told(error: unknown): Outcome<never> {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof PeftError)) return { code: undefined, message };
  const { code, hint } = error;
  return { code, hint, message: message.split('\n  hint: ')[0]! };
}
