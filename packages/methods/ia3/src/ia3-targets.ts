/**
 * Modules that PEFT's IA3 takes by default, by `model_type`, and which of them are scaled at their
 * input.
 */

interface DefaultTargets {
  readonly targets: readonly string[];
  readonly feedforward: readonly string[];
}

const T5_LIKE: DefaultTargets = { targets: ['k', 'v', 'wo'], feedforward: ['wo'] };
const BERT_LIKE: DefaultTargets = {
  targets: ['key', 'value', 'output.dense'],
  feedforward: ['output.dense'],
};
const LLAMA_LIKE: DefaultTargets = {
  targets: ['k_proj', 'v_proj', 'down_proj'],
  feedforward: ['down_proj'],
};
/**
 * The key projection is missing in PEFT's table; kept, since a file's defaults must mean the same
 * here.
 */
const QWEN_LIKE: DefaultTargets = {
  targets: ['q_proj', 'v_proj', 'down_proj'],
  feedforward: ['down_proj'],
};

/**
 * Where (IA)³ stands in each family, and which of those are feed-forward: PEFT's tables
 * (`TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING` and `…_FEEDFORWARD_…`).
 */
export const IA3_DEFAULT_TARGETS: Readonly<Record<string, DefaultTargets>> = Object.freeze({
  bert: BERT_LIKE,
  roberta: BERT_LIKE,
  'deberta-v2': {
    targets: ['key_proj', 'value_proj', 'output.dense'],
    feedforward: ['output.dense'],
  },
  t5: T5_LIKE,
  /** Its second feed-forward matrix is scaled at its output. */
  mt5: { targets: ['k', 'v', 'wi_1'], feedforward: [] },
  gpt2: { targets: ['c_attn', 'mlp.c_proj'], feedforward: ['mlp.c_proj'] },
  llama: LLAMA_LIKE,
  mistral: LLAMA_LIKE,
  gemma2: QWEN_LIKE,
  gemma3_text: QWEN_LIKE,
  qwen2: QWEN_LIKE,
  qwen3: QWEN_LIKE,
  gemma: QWEN_LIKE,
  phi: { targets: ['q_proj', 'v_proj', 'fc2'], feedforward: ['fc2'] },
  opt: { targets: ['q_proj', 'k_proj', 'fc2'], feedforward: ['fc2'] },
  bart: { targets: ['q_proj', 'v_proj', 'fc2'], feedforward: ['fc2'] },
  gpt_neo: { targets: ['q_proj', 'v_proj', 'c_proj'], feedforward: ['c_proj'] },
  gpt_neox: {
    targets: ['query_key_value', 'dense_4h_to_h'],
    feedforward: ['dense_4h_to_h'],
  },
  bloom: {
    targets: ['query_key_value', 'mlp.dense_4h_to_h'],
    feedforward: ['mlp.dense_4h_to_h'],
  },
  falcon: {
    targets: ['query_key_value', 'dense_4h_to_h'],
    feedforward: ['dense_4h_to_h'],
  },
});

/**
 * What stands in for the table in families that it lacks: keys, values, and the input of the second
 * feed-forward matrix.
 */
export const IA3_DEFAULT_ROLES = Object.freeze({
  roles: [
    'attention.key',
    'attention.value',
    'attention.query_key_value',
    'cross.attention.key',
    'cross.attention.value',
    'ffn.down',
  ] as const,
  feedforward: 'ffn.down',
});
