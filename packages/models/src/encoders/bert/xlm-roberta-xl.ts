/**
 * XLM-R XL and XXL (Goyal et al. 2021): XLM-R with the norms in front of the branches, one behind
 * the blocks, and none of the embeddings.
 */
import { defineArchitecture } from '@peft/core';
import type { ConfigJson } from '../../description/config-reader.js';
import { BERT_FORM, type BertForm } from './bert-form.js';
import { parseRobertaConfig, robertaParts, type RobertaConfig } from './roberta.js';

const FORM: BertForm = {
  ...BERT_FORM,
  modules: {
    ...BERT_FORM.modules,
    attentionNorm: 'attention.self_attn_layer_norm',
    ffnNorm: 'LayerNorm',
  },
  isPreNorm: true,
};

/**
 * XLM-RoBERTa-XL and XXL, `model_type` `xlm-roberta-xl` (Goyal et al. 2021). The reference is
 * transformers' implementation.
 */
export const xlmRobertaXl = defineArchitecture<RobertaConfig>({
  ...robertaParts,
  family: 'XLM-RoBERTa-XL',
  modelTypes: ['xlm-roberta-xl'],
  conventions: {
    'xlm-roberta-xl': { adapterHub: { className: 'XLMRobertaXL' } },
  },
  parseConfig: (json: ConfigJson) => ({
    ...parseRobertaConfig('XLM-RoBERTa-XL', json, {
      vocabularySize: 250880,
      hiddenSize: 2560,
      layers: 36,
      heads: 32,
      feedForwardSize: 10240,
      epsilon: 1e-5,
      tokenTypes: 1,
    }),
    form: FORM,
    // transformers drops what attention adds, and not what the feed-forward network does
    ffnDropout: 0,
  }),
});
