/**
 * Pegasus (Zhang et al. 2020): norms in front of the branches, positions of sines and cosines that
 * the checkpoint holds.
 */
import { defineArchitecture } from '@peft/core';
import type { ConfigJson } from '../description/config-reader.js';
import { parseBartConfig, type BartConfig, type BartForm } from './bart-config.js';
import { bartParts } from './bart-parts.js';

const FORM: BartForm = {
  modelType: 'pegasus',
  isPreNorm: true,
  hasEmbeddingNorm: false,
  positions: 'sinusoidal',
  positionOffset: 0,
  hasLogitsBias: true,
  heads: ['seq2seq-lm'],
};

/**
 * Pegasus, `model_type` `pegasus` (Zhang et al. 2019). The reference is transformers'
 * implementation.
 */
export const pegasus = defineArchitecture<BartConfig>({
  ...bartParts,
  family: 'Pegasus',
  modelTypes: [FORM.modelType],
  conventions: {
    pegasus: { adapterHub: { className: 'Pegasus' } },
  },
  heads: FORM.heads,
  parseConfig: (json: ConfigJson) =>
    parseBartConfig('Pegasus', json, FORM, {
      vocabularySize: 50265,
      paddingId: 0,
      endId: 1,
      startId: 0,
    }),
});
