/**
 * BART (Lewis et al. 2020): learned positions from row 2 on, a norm of the embeddings, norms behind
 * the residual sums.
 */
import { defineArchitecture } from '@peft/core';
import type { ConfigJson } from '../description/config-reader.js';
import { parseBartConfig, type BartConfig, type BartForm } from './bart-config.js';
import { bartParts } from './bart-parts.js';

const FORM: BartForm = {
  modelType: 'bart',
  isPreNorm: false,
  hasEmbeddingNorm: true,
  positions: 'learned',
  positionOffset: 2,
  hasLogitsBias: true,
  heads: ['seq2seq-lm', 'sequence-classification'],
};

/** BART, `model_type` `bart` (Lewis et al. 2019). The reference is transformers' implementation. */
export const bart = defineArchitecture<BartConfig>({
  ...bartParts,
  family: 'BART',
  modelTypes: [FORM.modelType],
  conventions: {
    bart: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'Bart' } },
  },
  heads: FORM.heads,
  parseConfig: (json: ConfigJson) =>
    parseBartConfig('BART', json, FORM, {
      vocabularySize: 50265,
      paddingId: 1,
      endId: 2,
      startId: 2,
    }),
});
