/**
 * The heads of ELECTRA, RoBERTa and their kin: a text's first token goes through a layer of its own,
 * tokens do not.
 *
 *   logits = W_out·f(W_dense·h₀)   or, of each token,   W·h
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import type { HeadOptions, ModelRun } from '@peft/core';
import type { ActivationName } from '@peft/ops';
import type { DescriptionBuilder } from '../description/describe.js';
import { firstRows, isBare } from '../parts/classification-head.js';

const DENSE = 'classifier.dense';

const outputOf = (head: HeadOptions): string =>
  head.kind === 'token-classification' ? 'classifier' : 'classifier.out_proj';

/** Nothing for a bare model. @param fresh the standard deviation of its start values */
export function describeDenseHead(
  model: DescriptionBuilder,
  head: HeadOptions,
  { hiddenSize: D, initializerRange: fresh }: { hiddenSize: number; initializerRange: number },
): void {
  if (head.kind === 'sequence-classification')
    model.linear(DENSE, { role: 'head.dense', shape: [D, D], fresh });
  if ('outputs' in head && !isBare(head))
    model.linear(outputOf(head), {
      role: 'head',
      shape: [head.outputs, D],
      isOutputHead: true,
      fresh,
    });
}

/** hidden `[N, D]` → `[B, outputs]`, or `[N, outputs]` of tokens. */
export function runDenseHead(
  run: ModelRun,
  { hidden, offsets }: { hidden: Tensor2D; offsets: Int32Array },
  activation: ActivationName,
  dropout: number,
): Tensor2D {
  const { head } = run.description;
  const dropped = (path: string, rows: Tensor2D) => run.dropout(path, rows, dropout);
  const features =
    head.kind === 'token-classification'
      ? hidden
      : run.linear(DENSE, dropped(DENSE, firstRows(hidden, offsets)), activation); // [B, D]
  const output = outputOf(head);
  return run.linear(output, dropped(output, features));
}
