/** Modules that PEFT's LoRA takes by default, by `model_type`. */
export const LORA_DEFAULT_TARGETS: Readonly<Record<string, readonly string[]>> = Object.freeze({
  bert: ['query', 'value'],
  roberta: ['query', 'value'],
  'xlm-roberta': ['query', 'value'],
  electra: ['query', 'value'],
  'deberta-v2': ['query_proj', 'value_proj'],
  t5: ['q', 'v'],
  mt5: ['q', 'v'],
  gpt2: ['c_attn'],
  llama: ['q_proj', 'v_proj'],
  mistral: ['q_proj', 'v_proj'],
  qwen2: ['q_proj', 'v_proj'],
  qwen3: ['q_proj', 'v_proj'],
});

/** What stands in for the table in families that it lacks: queries and values. */
export const LORA_DEFAULT_ROLES = Object.freeze({ roles: ['attention.query', 'attention.value'] as const });
