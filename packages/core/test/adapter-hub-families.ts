/** Tiny models of the families whose modules adapter-hub names in its own way. */
import { bert, debertaV2, distilbert, gpt2, llama, t5 } from '@peft/models';
import type { HeadOptions, ModelDescription } from '../src/description/model-description.js';
import type { Architecture } from '../src/model/architecture.js';
import { describeModel } from '../src/model/form/describe-model.js';

export const SEQCLS: HeadOptions = { kind: 'sequence-classification', outputs: 2 };

export function describeTiny<Config>(
  architecture: Architecture<Config>,
  json: object,
  head: HeadOptions,
): ModelDescription {
  return describeModel(
    architecture,
    architecture.parseConfig(json as Record<string, unknown>),
    head,
  );
}

export const FAMILIES = {
  bert: describeTiny(
    bert,
    {
      model_type: 'bert',
      hidden_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 3,
      intermediate_size: 20,
    },
    SEQCLS,
  ),
  deberta: describeTiny(
    debertaV2,
    {
      model_type: 'deberta-v2',
      hidden_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 3,
      intermediate_size: 20,
    },
    SEQCLS,
  ),
  distilbert: describeTiny(
    distilbert,
    { model_type: 'distilbert', dim: 12, n_layers: 1, n_heads: 3, hidden_dim: 20 },
    SEQCLS,
  ),
  t5: describeTiny(
    t5,
    { model_type: 't5', d_model: 12, d_kv: 4, num_heads: 3, d_ff: 20, num_layers: 1 },
    { kind: 'seq2seq-lm' },
  ),
  llama: describeTiny(
    llama,
    {
      model_type: 'llama',
      hidden_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 3,
      intermediate_size: 20,
    },
    { kind: 'causal-lm' },
  ),
  gpt2: describeTiny(
    gpt2,
    { model_type: 'gpt2', n_embd: 12, n_layer: 1, n_head: 3 },
    { kind: 'causal-lm' },
  ),
  bare: describeTiny(
    bert,
    {
      model_type: 'bert',
      hidden_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 3,
      intermediate_size: 20,
    },
    { kind: 'none' },
  ),
};
