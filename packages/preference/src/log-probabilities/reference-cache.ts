/**
 * Log-probabilities of the reference, by what they are of. The key of an answer is made of its
 * tokens and of which of them count, so that tokenizer, template, rows and truncation are in it, and of
 * what the reference is beside its weights: a changed row never meets an old value.
 */
import { createHash } from 'node:crypto';

/** ln π_ref of answers, by key. */
export interface ReferenceCache {
  get(key: string): number | undefined;
  /**
   * Keeps values that are new.
   * @param rank of several processes that know the same values: what lies outside them is written by
   *   0 alone. Default 0.
   */
  add(values: ReadonlyMap<string, number>, rank?: number): void;
}

/** A cache that lives as long as the process. */
export function memoryReferenceCache(): ReferenceCache {
  const values = new Map<string, number>();
  return {
    get: (key) => values.get(key),
    add(more) {
      for (const [key, value] of more) values.set(key, value);
    },
  };
}

/**
 * The key of a sequence: its tokens, and a label for each that counts.
 * @param reference what the model is that reads them (`referenceIdentity`)
 */
export const referenceKey = (inputIds: Int32Array, labels: Int32Array, reference: string): string =>
  createHash('sha256')
    .update(reference)
    .update(
      Uint8Array.from(new Uint8Array(inputIds.buffer, inputIds.byteOffset, inputIds.byteLength)),
    )
    .update(Uint8Array.from(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength)))
    .digest('hex')
    .slice(0, 32);
