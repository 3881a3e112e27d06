/**
 * M2M100 and NLLB (Fan et al. 2020, NLLB Team 2022): norms in front of the branches, positions of
 * sines and cosines that are computed and start behind the padding id.
 */
import { defineArchitecture } from '@peft/core';
import type { ConfigJson } from '../description/config-reader.js';
import { parseBartConfig, type BartConfig, type BartForm } from './bart-config.js';
import { bartParts } from './bart-parts.js';

const FORM: BartForm = {
  modelType: 'm2m_100',
  isPreNorm: true,
  hasEmbeddingNorm: false,
  positions: 'computed',
  positionOffset: 0,
  hasLogitsBias: false,
  heads: ['seq2seq-lm'],
};

/**
 * M2M100 and NLLB, `model_type` `m2m_100` (Fan et al. 2020). The reference is transformers'
 * implementation.
 */
export const m2m100 = defineArchitecture<BartConfig>({
  ...bartParts,
  family: 'M2M100',
  modelTypes: [FORM.modelType],
  conventions: {
    m2m_100: { adapterHub: { className: 'M2M100' } },
  },
  heads: FORM.heads,
  parseConfig: (json: ConfigJson) =>
    parseBartConfig('M2M100', json, FORM, {
      vocabularySize: 128112,
      activation: 'relu',
      attentionDropout: 0.1,
      paddingId: 1,
      endId: 2,
      startId: 2,
      scalesEmbedding: true,
    }),
});
