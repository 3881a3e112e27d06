/**
 * The heads of BERT and ALBERT: one layer, on the pooled first token of a text or on each token.
 *
 *   pooled = tanh(W_pool·h₀),   logits = W·pooled   or, of each token,   W·h
 */
import type { HeadOptions, ModelOutput, ModelRun } from '@peft/core';
import type { DescriptionBuilder } from '../../description/describe.js';
import { firstRows, isBare } from '../../parts/classification-head.js';
import type { BertEncoderConfig } from './bert-encoder.js';

/** @param pooler its path; a model that classifies tokens has none. */
export function describePooledHead(
  model: DescriptionBuilder,
  pooler: string,
  head: HeadOptions,
  { hiddenSize: D, initializerRange: fresh }: BertEncoderConfig,
): void {
  if (head.kind !== 'token-classification')
    model.linear(pooler, { role: 'pooler', shape: [D, D], fresh });
  if ('outputs' in head && !isBare(head))
    model.linear('classifier', {
      role: 'head',
      shape: [head.outputs, D],
      isOutputHead: true,
      fresh,
    });
}

/** Adds the pooled state `[B, D]` of a bare model, or the logits, to the states of the encoder. */
export function withPooledHead(
  run: ModelRun,
  pooler: string,
  output: ModelOutput,
  dropout: number,
): ModelOutput {
  const { head } = run.description;
  const { hidden, offsets } = output;
  const pool = () => run.linear(pooler, firstRows(hidden, offsets), 'tanh'); // [B, D]
  if (head.kind === 'none') return { ...output, pooled: pool() };
  if (head.kind === 'pooled-linear') return output;
  const features = head.kind === 'token-classification' ? hidden : pool();
  return {
    ...output,
    logits: run.linear('classifier', run.dropout('classifier', features, dropout)),
  };
}
