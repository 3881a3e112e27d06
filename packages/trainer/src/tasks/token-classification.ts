/**
 * Token classification: a class for each word, told from its first token. loss = Σ −ln p_n[y_n]
 * over labelled tokens, p = softmax(logits `[N, C]`).
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import type { ModelBatch, ModelOutput } from '@peft/core';
import type { WordBatch } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { crossEntropy, gatherRows, IGNORED_LABEL, readInScope, readValues } from '@peft/ops';
import { logitsOf } from './classification.js';
import { firstRows, noLoss } from './language-model-loss.js';
import type { Task } from './task.js';

/** A packed batch with a class per token, or −100, that knows where words begin. */
export type TokenClassificationBatch = ModelBatch & WordBatch;

/** Settings of {@link tokenClassification}. */
export interface TokenClassificationOptions {
  /** C. */
  readonly classes: number;
}

const NAME = 'token-classification';

/**
 * The task of tagging words. A prediction is the class of each word of an example, −1 for a word
 * that was cut off.
 * @throws PEFT_CONFIG_INVALID; the loss PEFT_TASK_LABELS, PEFT_TASK_HEAD, PEFT_LABEL_RANGE
 */
export function tokenClassification({
  classes,
}: TokenClassificationOptions): Task<TokenClassificationBatch, Int32Array> {
  check.positiveInteger(NAME, 'classes', classes);
  return Object.freeze<Task<TokenClassificationBatch, Int32Array>>({
    name: NAME,
    settings: { classes },
    count: (batch) => labelled(batch).length,
    loss(output, batch) {
      const tokens = labelled(batch);
      return tf.sum(
        tokens.length === 0
          ? noLoss(output.hidden)
          : crossEntropy(
              rowsOf(output, batch, tokens, classes),
              tokens.map((n) => batch.tokenLabels[n]!),
            ),
      ) as Scalar;
    },
    async predict(output, batch) {
      const tokens = batch.words.filter((n) => n >= 0);
      const best =
        tokens.length === 0
          ? new Int32Array()
          : await readInScope(() =>
              readValues<'int32'>(tf.argMax(rowsOf(output, batch, tokens, classes), 1)),
            );
      let at = 0;
      const all = batch.words.map((n) => (n < 0 ? -1 : best[at++]!));
      return Array.from(batch.wordOffsets.slice(1), (end, b) =>
        all.slice(batch.wordOffsets[b], end),
      );
    },
  });
}

function labelled({ tokenLabels, offsets }: TokenClassificationBatch): Int32Array {
  if (!(tokenLabels instanceof Int32Array) || tokenLabels.length !== offsets.at(-1)) {
    throw new PeftError(
      'PEFT_TASK_LABELS',
      `${NAME}: a batch of ${offsets.at(-1)} tokens has ${tokenLabels ? `${tokenLabels.length} labels` : 'no labels'}.`,
      { hint: 'make the data with wordData of @peft/data' },
    );
  }
  return Int32Array.from(tokenLabels.keys()).filter((n) => tokenLabels[n] !== IGNORED_LABEL);
}

/** Logits of these tokens of the batch; virtual tokens have rows, too. */
function rowsOf(
  output: ModelOutput,
  { offsets }: TokenClassificationBatch,
  tokens: Int32Array,
  classes: number,
): Tensor2D {
  const logits = logitsOf(NAME, output, classes, {
    unit: 'token',
    kinds: ['token-classification'],
  });
  const first = firstRows(output, offsets);
  return gatherRows(
    logits,
    tokens.map((n) => {
      const b = offsets.findLastIndex((start) => start <= n);
      return first[b]! + n - offsets[b]!;
    }),
  );
}
