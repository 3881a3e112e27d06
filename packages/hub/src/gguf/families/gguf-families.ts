/** The families that are written and read, as llama.cpp's gguf-py names their tensors. */
import { withBias, type GgufFamily, type GgufForm, type GgufName } from './gguf-family.js';

const weight = (gguf: string, huggingFace: string, form?: GgufForm): GgufName => ({
  gguf: `${gguf}.weight`,
  huggingFace: `${huggingFace}.weight`,
  form,
});

/** A linear layer. @param hasBias whether llama.cpp has a place for one. */
const linear = (
  gguf: string,
  huggingFace: string,
  hasBias: boolean,
  form?: GgufForm,
): GgufName[] => (hasBias ? withBias(gguf, huggingFace, form) : [weight(gguf, huggingFace, form)]);

/** What decoders with rotary positions share. @param norm how norms are stored. */
const around = (hasBias: boolean, norm?: GgufForm): GgufName[] => [
  weight('token_embd', 'model.embed_tokens'),
  weight('output_norm', 'model.norm', norm),
  weight('output', 'lm_head'),
  weight('blk.{n}.attn_norm', 'model.layers.{n}.input_layernorm', norm),
  ...linear('blk.{n}.attn_output', 'model.layers.{n}.self_attn.o_proj', hasBias),
  ...linear('blk.{n}.ffn_down', 'model.layers.{n}.mlp.down_proj', hasBias),
];

/** @param arePairs queries and keys turn in pairs. */
const queryKeyValue = (hasBias: boolean, arePairs = false): GgufName[] =>
  (['q', 'k', 'v'] as const).flatMap((letter) =>
    linear(
      `blk.{n}.attn_${letter}`,
      `model.layers.{n}.self_attn.${letter}_proj`,
      hasBias,
      arePairs ? PAIRS[letter] : undefined,
    ),
  );

const PAIRS = { q: 'query-pairs', k: 'key-pairs', v: undefined } as const;

const queryKeyNorms = (norm?: GgufForm): GgufName[] => [
  weight('blk.{n}.attn_q_norm', 'model.layers.{n}.self_attn.q_norm', norm),
  weight('blk.{n}.attn_k_norm', 'model.layers.{n}.self_attn.k_norm', norm),
];

const gateUp = (hasBias: boolean): GgufName[] => [
  ...linear('blk.{n}.ffn_gate', 'model.layers.{n}.mlp.gate_proj', hasBias),
  ...linear('blk.{n}.ffn_up', 'model.layers.{n}.mlp.up_proj', hasBias),
];

const feedForwardNorm = weight('blk.{n}.ffn_norm', 'model.layers.{n}.post_attention_layernorm');

const gemmaNorms: readonly GgufName[] = [
  weight('blk.{n}.post_attention_norm', 'model.layers.{n}.post_attention_layernorm', 'plus-one'),
  weight('blk.{n}.ffn_norm', 'model.layers.{n}.pre_feedforward_layernorm', 'plus-one'),
  weight('blk.{n}.post_ffw_norm', 'model.layers.{n}.post_feedforward_layernorm', 'plus-one'),
];

const llama: GgufFamily = {
  architecture: 'llama',
  modelTypes: ['llama', 'mistral'],
  className: 'LlamaForCausalLM',
  names: [...around(true), ...queryKeyValue(true, true), ...gateUp(true), feedForwardNorm],
};

const qwen2: GgufFamily = {
  architecture: 'qwen2',
  modelTypes: ['qwen2'],
  className: 'Qwen2ForCausalLM',
  names: [...around(false), ...queryKeyValue(true), ...gateUp(false), feedForwardNorm],
};

const qwen3: GgufFamily = {
  architecture: 'qwen3',
  modelTypes: ['qwen3'],
  className: 'Qwen3ForCausalLM',
  names: [
    ...around(false),
    ...queryKeyValue(false),
    ...queryKeyNorms(),
    ...gateUp(false),
    feedForwardNorm,
  ],
};

const gemma2: GgufFamily = {
  architecture: 'gemma2',
  modelTypes: ['gemma2'],
  className: 'Gemma2ForCausalLM',
  names: [...around(false, 'plus-one'), ...queryKeyValue(false), ...gateUp(false), ...gemmaNorms],
};

const gemma3: GgufFamily = {
  architecture: 'gemma3',
  modelTypes: ['gemma3_text', 'gemma3'],
  className: 'Gemma3ForCausalLM',
  names: [
    ...around(false, 'plus-one'),
    ...queryKeyValue(false),
    ...queryKeyNorms('plus-one'),
    ...gateUp(false),
    ...gemmaNorms,
  ],
};

const phi3: GgufFamily = {
  architecture: 'phi3',
  modelTypes: ['phi3'],
  className: 'Phi3ForCausalLM',
  names: [
    ...around(false),
    weight('blk.{n}.attn_qkv', 'model.layers.{n}.self_attn.qkv_proj'),
    weight('blk.{n}.ffn_up', 'model.layers.{n}.mlp.gate_up_proj'),
    feedForwardNorm,
  ],
};

const gpt2: GgufFamily = {
  architecture: 'gpt2',
  modelTypes: ['gpt2'],
  className: 'GPT2LMHeadModel',
  names: [
    weight('token_embd', 'transformer.wte'),
    weight('position_embd', 'transformer.wpe'),
    ...withBias('output_norm', 'transformer.ln_f'),
    weight('output', 'lm_head'),
    ...withBias('blk.{n}.attn_norm', 'transformer.h.{n}.ln_1'),
    ...withBias('blk.{n}.attn_qkv', 'transformer.h.{n}.attn.c_attn', 'transposed'),
    ...withBias('blk.{n}.attn_output', 'transformer.h.{n}.attn.c_proj', 'transposed'),
    ...withBias('blk.{n}.ffn_norm', 'transformer.h.{n}.ln_2'),
    ...withBias('blk.{n}.ffn_up', 'transformer.h.{n}.mlp.c_fc', 'transposed'),
    ...withBias('blk.{n}.ffn_down', 'transformer.h.{n}.mlp.c_proj', 'transposed'),
  ],
};

/**
 * The families that are read from GGUF and written to it; architecture names and tensor names are
 * llama.cpp's (gguf-py, `constants.py` and `tensor_mapping.py`).
 */
export const GGUF_FAMILIES: readonly GgufFamily[] = Object.freeze([
  llama,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  phi3,
  gpt2,
]);
