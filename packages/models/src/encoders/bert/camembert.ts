/** CamemBERT (Martin et al. 2020): RoBERTa under another name. */
import { defineArchitecture } from '@peft/core';
import type { ConfigJson } from '../../description/config-reader.js';
import { parseRobertaConfig, robertaParts, type RobertaConfig } from './roberta.js';

/**
 * CamemBERT, `model_type` `camembert` (Martin et al. 2019). The reference is transformers'
 * implementation.
 */
export const camembert = defineArchitecture<RobertaConfig>({
  ...robertaParts,
  family: 'CamemBERT',
  modelTypes: ['camembert'],
  conventions: {
    camembert: { adapterHub: { className: 'Camembert' } },
  },
  parseConfig: (json: ConfigJson) =>
    parseRobertaConfig('CamemBERT', json, {
      vocabularySize: 30522,
      hiddenSize: 768,
      heads: 12,
      feedForwardSize: 3072,
    }),
});
