/** What the heads of encoder-decoders share: the decoder's tokens, and the classification head. */
import { PeftError } from '@peft/errors';
import { gatherRows } from '@peft/ops';
import type { HeadOptions, ModelBatch, ModelOutput, ModelRun } from '@peft/core';
import type { DescriptionBuilder } from '../description/describe.js';

type DecoderTokens = NonNullable<ModelBatch['decoder']>;

/**
 * The decoder's tokens: given, or for a classification the input's own, shifted right behind the
 * start token.
 * @param startId undefined: behind the sequence's own last token
 */
export function decoderTokens(
  family: string,
  startId: number | undefined,
  head: HeadOptions,
  { inputIds, offsets, decoder }: ModelBatch,
): DecoderTokens {
  if (head.kind === 'seq2seq-lm') {
    if (!decoder)
      throw new PeftError(
        'PEFT_DECODER_MISSING',
        `${family}: the batch has no tokens for the decoder.`,
        { hint: 'set batch.decoder to the targets shifted right behind the start token' },
      );
    return decoder;
  }
  if (decoder) return decoder;
  const shifted = new Int32Array(inputIds.length);
  for (let b = 0; b + 1 < offsets.length; b += 1) {
    const [start, end] = [offsets[b]!, offsets[b + 1]!];
    shifted[start] = startId ?? inputIds[end - 1]!;
    for (let n = start + 1; n < end; n += 1) shifted[n] = inputIds[n - 1]!;
  }
  return { inputIds: shifted, offsets };
}

export const CLASSIFICATION_HEAD = 'classification_head';

export function describeClassificationHead(
  model: DescriptionBuilder,
  size: number,
  outputs: number,
  fresh: number,
): void {
  model.linear(`${CLASSIFICATION_HEAD}.dense`, { role: 'head.dense', shape: [size, size], fresh });
  model.linear(`${CLASSIFICATION_HEAD}.out_proj`, {
    role: 'head',
    shape: [outputs, size],
    isOutputHead: true,
    fresh,
  });
}

/** W_out·tanh(W_dense·h) of the decoder's state at the last end token. `[B, C]` */
export function classifyAtEnd(
  run: ModelRun,
  family: string,
  { endId, classifierDropout }: { readonly endId: number; readonly classifierDropout: number },
  batch: ModelBatch,
  { hidden, offsets }: ModelOutput,
): ModelOutput['hidden'] {
  const rows = Int32Array.from({ length: offsets.length - 1 }, (_, b) => {
    const end = batch.inputIds.subarray(batch.offsets[b], batch.offsets[b + 1]).lastIndexOf(endId);
    if (end < 0)
      throw new PeftError(
        'PEFT_END_TOKEN_MISSING',
        `${family}: sequence ${b} has no end token (id ${endId}) for the classification head to read.`,
        { hint: 'tokenise with special tokens, also when truncating' },
      );
    // behind virtual tokens
    return offsets[b + 1]! - (batch.offsets[b + 1]! - batch.offsets[b]!) + end;
  });
  const dropped = (path: string, x: ModelOutput['hidden']) =>
    run.dropout(path, x, classifierDropout);
  const [dense, output] = [`${CLASSIFICATION_HEAD}.dense`, `${CLASSIFICATION_HEAD}.out_proj`];
  const inner = run.linear(dense, dropped(dense, gatherRows(hidden, rows)), 'tanh');
  return run.linear(output, dropped(output, inner));
}
