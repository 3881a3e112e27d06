/** A small Llama to plan for, and a machine to plan on. */
import { architectureFor, type Architecture } from '@peft/core';
import { architectures } from '@peft/models';

export const LLAMA = {
  model_type: 'llama',
  vocab_size: 400,
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 256,
  tie_word_embeddings: false,
};
export const NF4 = { format: 'nf4', doubleQuantization: true } as const;

export const familyOf = (config: { model_type: string }): Architecture<never> =>
  architectureFor(config.model_type, architectures) as never; // it reads this very config
export const machine = (usableBytes: number) => ({ totalBytes: 32e9, usableBytes });
