/**
 * Writing a target from a source with an encoder-decoder: the decoder reads the target shifted
 * right behind its start token,
 *
 *   loss = Σ_t −ln p(y_t | y_<t, x) over all tokens y_t of the targets, the end token included.
 */
import type { ModelBatch, ModelOutput } from '@peft/core';
import type { PairBatch, TokenLoss } from '@peft/data';
import { PeftError } from '@peft/errors';
import { IGNORED_LABEL } from '@peft/ops';
import { firstRows, targetLoss, targetLosses, type Targets } from './language-model-loss.js';
import type { Task } from './task.js';

/** A packed batch of sources, decoder inputs and a label per token of the decoder. */
export type Seq2SeqBatch = ModelBatch & PairBatch;

const NAME = 'seq2seq';

/**
 * The task of writing targets. A prediction is what an example's target costs, for `perplexity`.
 * @throws the loss PEFT_TASK_HEAD, PEFT_TASK_LABELS, PEFT_LABEL_RANGE
 */
export function seq2seqLanguageModel(): Task<Seq2SeqBatch, TokenLoss> {
  return Object.freeze<Task<Seq2SeqBatch, TokenLoss>>({
    name: NAME,
    count: (batch) => labelled(batch).length,
    forward: (model, batch, options) => model.forward(batch, { ...options, logitRows: 'none' }),
    loss: (output, batch) => targetLoss(NAME, output, targetsOf(output, batch)),
    async predict(output, batch) {
      const losses = await targetLosses(NAME, output, targetsOf(output, batch));
      const tokens = labelled(batch);
      const { offsets } = batch.decoder;
      return Array.from(offsets.slice(1), (end, b) => {
        const own = losses.filter((_, i) => tokens[i]! >= offsets[b]! && tokens[i]! < end);
        return { loss: own.reduce((sum, loss) => sum + loss, 0), tokens: own.length };
      });
    },
  });
}

function labelled({ tokenLabels, decoder }: Seq2SeqBatch): Int32Array {
  if (!(tokenLabels instanceof Int32Array) || tokenLabels.length !== decoder?.inputIds.length) {
    const tokens = decoder?.inputIds.length ?? 'no';
    const got = tokenLabels ? `${tokenLabels.length} labels` : 'no labels';
    throw new PeftError(
      'PEFT_TASK_LABELS',
      `${NAME}: a batch with ${tokens} tokens for the decoder has ${got}.`,
      { hint: 'make the data with pairData of @peft/data' },
    );
  }
  return Int32Array.from(tokenLabels.keys()).filter((n) => tokenLabels[n] !== IGNORED_LABEL);
}

function targetsOf(output: ModelOutput, batch: Seq2SeqBatch): Targets {
  const { offsets } = batch.decoder;
  const first = firstRows(output, offsets);
  const tokens = labelled(batch);
  let b = 0;
  return {
    rows: tokens.map((n) => {
      while (n >= offsets[b + 1]!) b += 1;
      return first[b]! + n - offsets[b]!;
    }),
    labels: tokens.map((n) => batch.tokenLabels[n]!),
  };
}
