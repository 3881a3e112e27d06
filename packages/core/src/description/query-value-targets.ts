/**
 * The query and value projections by `model_type`, as PEFT names them: what LoRA and its relatives
 * take by default.
 */
import type { TargetSelection } from './target-selection.js';

const LLAMA_LIKE = ['q_proj', 'v_proj'];
const BERT_LIKE = ['query', 'value'];

export const QUERY_VALUE_TARGETS: Readonly<Record<string, readonly string[]>> = Object.freeze({
  bert: BERT_LIKE,
  roberta: BERT_LIKE,
  'xlm-roberta': BERT_LIKE,
  electra: BERT_LIKE,
  'deberta-v2': ['query_proj', 'value_proj'],
  t5: ['q', 'v'],
  mt5: ['q', 'v'],
  gpt2: ['c_attn'],
  llama: LLAMA_LIKE,
  mistral: LLAMA_LIKE,
  gemma2: LLAMA_LIKE,
  gemma3_text: LLAMA_LIKE,
  qwen2: LLAMA_LIKE,
  qwen3: LLAMA_LIKE,
  gemma: LLAMA_LIKE,
  stablelm: LLAMA_LIKE,
  mixtral: LLAMA_LIKE,
  gpt_neo: LLAMA_LIKE,
  opt: LLAMA_LIKE,
  bart: LLAMA_LIKE,
  phi: ['q_proj', 'v_proj', 'fc1', 'fc2'],
  gpt_neox: ['query_key_value'],
  bloom: ['query_key_value'],
  falcon: ['query_key_value'],
  mpt: ['Wqkv'],
});

/** PEFT's names where it has the family, else the roles, fused projections among them. */
export const queryValueTargets = (modelType: string): TargetSelection => ({
  targets: QUERY_VALUE_TARGETS[modelType] ?? {
    roles: [
      'attention.query',
      'attention.value',
      'attention.query_key_value',
      'cross.attention.query',
      'cross.attention.value',
    ],
  },
});
