/**
 * What makes a model folder one of sentence-transformers: which modules follow each other, how the
 * tokens' states become one embedding, and how long it is.
 */
import type { ModelDescription } from '@peft/core';
import type { SavedFields } from '../../model/base-model.js';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';

const POOLING_FOLDER = '1_Pooling';

/** The transformer, its pooling, and a scale to length 1. */
const MODULES = [
  ['', 'Transformer'],
  [POOLING_FOLDER, 'Pooling'],
  ['2_Normalize', 'Normalize'],
].map(([path, type], idx) => ({
  idx,
  name: String(idx),
  path,
  type: `sentence_transformers.models.${type}`,
}));

export function sentenceTransformersFiles(
  settings: Hyperparameters,
  { hiddenSize }: ModelDescription,
): SavedFields {
  const isMean = settings['model.hf_text.pooling_mode'] === 'mean';
  const size = settings['model.hf_text.truncate_dim'];
  const files = {
    'modules.json': MODULES,
    [`${POOLING_FOLDER}/config.json`]: {
      word_embedding_dimension: hiddenSize,
      pooling_mode_cls_token: !isMean,
      pooling_mode_mean_tokens: isMean,
      pooling_mode_max_tokens: false,
      pooling_mode_mean_sqrt_len_tokens: false,
      pooling_mode_weightedmean_tokens: false,
      pooling_mode_lasttoken: false,
      include_prompt: true,
    },
    'sentence_bert_config.json': {
      max_seq_length: settings['model.hf_text.max_text_len'],
      do_lower_case: false,
    },
  };
  return size === null
    ? files
    : { ...files, 'config_sentence_transformers.json': { truncate_dim: size } };
}
