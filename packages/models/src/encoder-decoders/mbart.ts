/**
 * mBART and mBART-50 (Liu et al. 2020, Tang et al. 2020): BART with the norms in front of the
 * branches and one behind each stack. A target starts with its own last token, the language's.
 */
import { defineArchitecture } from '@peft/core';
import type { ConfigJson } from '../description/config-reader.js';
import { parseBartConfig, type BartConfig, type BartForm } from './bart-config.js';
import { bartParts } from './bart-parts.js';

const FORM: BartForm = {
  modelType: 'mbart',
  isPreNorm: true,
  hasEmbeddingNorm: true,
  positions: 'learned',
  positionOffset: 2,
  hasLogitsBias: true,
  heads: ['seq2seq-lm', 'sequence-classification'],
};

/** mBART, `model_type` `mbart` (Liu et al. 2020). The reference is transformers' implementation. */
export const mbart = defineArchitecture<BartConfig>({
  ...bartParts,
  family: 'mBART',
  modelTypes: [FORM.modelType],
  conventions: {
    mbart: { adapterHub: { className: 'MBart' } },
  },
  heads: FORM.heads,
  parseConfig: (json: ConfigJson) =>
    parseBartConfig('mBART', json, FORM, {
      vocabularySize: 50265,
      paddingId: 1,
      endId: 2,
      startId: undefined,
    }),
});
