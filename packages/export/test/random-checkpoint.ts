/** Checkpoints with seeded values of families whose fixtures have no tokeniser, or narrow rows. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { architectureFor, describeModel } from '@peft/core';
import { writeSafetensors } from '@peft/hub';
import { architectures } from '@peft/models';
import { seededValues } from '@peft/testing';
import { fixtureModel } from './fixtures.js';

const SHAPE = {
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** Rows of 256 and more, so that K types fit; the tokeniser is Mistral's or Qwen2's. */
export const RANDOM_CONFIGS = Object.freeze({
  gemma2: {
    ...SHAPE,
    model_type: 'gemma2',
    architectures: ['Gemma2ForCausalLM'],
    head_dim: 64,
    query_pre_attn_scalar: 48, // not E: the factor goes into the queries
    attn_logit_softcapping: 20,
    final_logit_softcapping: 15,
    sliding_window: 8,
    vocab_size: 520,
  },
  gemma3: {
    ...SHAPE,
    model_type: 'gemma3_text',
    architectures: ['Gemma3ForCausalLM'],
    head_dim: 64,
    query_pre_attn_scalar: 48,
    sliding_window: 8,
    sliding_window_pattern: 6,
    num_hidden_layers: 6,
    rope_theta: 1e6,
    rope_local_base_freq: 1e4,
    vocab_size: 520,
  },
  phi3: {
    ...SHAPE,
    model_type: 'phi3',
    architectures: ['Phi3ForCausalLM'],
    num_key_value_heads: 4,
    sliding_window: null,
    pad_token_id: 0,
    vocab_size: 544, // spare rows
  },
  llama: {
    ...SHAPE,
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    intermediate_size: 256,
    vocab_size: 520,
    rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 },
  },
} as const);

/** Writes a checkpoint. @returns its folder */
export async function randomCheckpoint(
  family: keyof typeof RANDOM_CONFIGS,
  folder: string,
): Promise<string> {
  const config = RANDOM_CONFIGS[family];
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(fixtureModel('mistral'), file), join(folder, file));
  const architecture = architectureFor(config.model_type, architectures);
  const description = describeModel(architecture, architecture.parseConfig(config), {
    kind: 'causal-lm',
  });
  const tensors = description.parameters.map(({ name, shape, norm }) => {
    const size = shape.reduce((product, length) => product * length, 1);
    const values = seededValues(name, size, shape.length > 1 ? 0.08 : 0.1);
    const isScale = norm !== undefined && !config.model_type.startsWith('gemma');
    return {
      name,
      dtype: 'F32' as const,
      shape,
      data: isScale ? values.map((value) => 1 + value) : values,
    };
  });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return folder;
}
