/**
 * Batches without padding: the tokens of all sequences in one row, and where each sequence begins.
 */
import { PeftError } from '@peft/errors';

/** B sequences with N tokens in all. */
export interface PackedBatch {
  readonly inputIds: Int32Array; // [N]
  /** Segment ids, for models that use them. */
  readonly tokenTypeIds?: Int32Array; // [N]
  /** Only where positions are not simply 0 … T − 1 in each sequence. */
  readonly positionIds?: Int32Array; // [N]
  /** Sequence b is tokens offsets[b] … offsets[b+1]. */
  readonly offsets: Int32Array; // [B+1]
  /** Class ids, or numbers for regression. */
  readonly labels?: Int32Array | Float32Array; // [B]
  /** The task of each sequence, for adapters that learn several. */
  readonly taskIds?: Int32Array; // [B]
  /** Which row of the table each sequence is. */
  readonly rows: Int32Array; // [B]
}

/** One tokenised row, as `packBatch` takes it. */
export interface Example {
  readonly inputIds: ArrayLike<number>; // [T]
  readonly tokenTypeIds?: ArrayLike<number>; // [T]
  readonly positionIds?: ArrayLike<number>; // [T]
  readonly label?: number;
  readonly taskId?: number;
  readonly row: number;
}

/**
 * Puts examples one after another. Either all or none have segments, positions, labels, tasks.
 * @param labelType `int32` for class ids, `float32` for numbers.
 * @throws PEFT_BATCH_INVALID for an empty batch, an example without tokens, or examples that do not
 *   go together.
 */
export function packBatch(
  examples: readonly Example[],
  labelType: 'int32' | 'float32' = 'int32',
): PackedBatch {
  const fail = (what: string) => new PeftError('PEFT_BATCH_INVALID', `data: ${what}`);
  if (examples.length === 0) throw fail('a batch needs at least one example.');
  const offsets = new Int32Array(examples.length + 1);
  examples.forEach(({ inputIds, row }, b) => {
    if (inputIds.length === 0) throw fail(`row ${row} has no tokens.`);
    offsets[b + 1] = offsets[b]! + inputIds.length;
  });
  const joined = (key: 'inputIds' | 'tokenTypeIds' | 'positionIds') => {
    const result = new Int32Array(offsets[examples.length]!);
    examples.forEach((example, b) => {
      const values = example[key];
      if (values?.length !== example.inputIds.length)
        throw fail(
          `row ${example.row} has ${example.inputIds.length} tokens but ${values?.length ?? 'no'} ${key}.`,
        );
      result.set(values, offsets[b]);
    });
    return result;
  };
  const has = (key: 'tokenTypeIds' | 'positionIds') => examples.some((example) => example[key]);
  const labelled = examples.filter(({ label }) => label !== undefined).length;
  if (labelled !== 0 && labelled !== examples.length)
    throw fail(`${labelled} of ${examples.length} examples have a label.`);
  const tasks = examples.filter(({ taskId }) => taskId !== undefined).length;
  if (tasks !== 0 && tasks !== examples.length)
    throw fail(`${tasks} of ${examples.length} examples have a task.`);
  const labels = () =>
    labelType === 'int32'
      ? Int32Array.from(examples, ({ label }) => label!)
      : Float32Array.from(examples, ({ label }) => label!);
  return {
    inputIds: joined('inputIds'),
    offsets,
    rows: Int32Array.from(examples, ({ row }) => row),
    tokenTypeIds: has('tokenTypeIds') ? joined('tokenTypeIds') : undefined,
    positionIds: has('positionIds') ? joined('positionIds') : undefined,
    ...(tasks > 0 && { taskIds: Int32Array.from(examples, ({ taskId }) => taskId!) }),
    labels: labelled ? labels() : undefined,
  };
}
