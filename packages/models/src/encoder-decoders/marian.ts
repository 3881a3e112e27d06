/**
 * Marian, the OPUS-MT models (Junczys-Dowmunt et al. 2018): norms behind the residual sums,
 * positions of sines and cosines that the checkpoint leaves out.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../description/config-reader.js';
import { parseBartConfig, type BartConfig, type BartForm } from './bart-config.js';
import { bartParts } from './bart-parts.js';

const FORM: BartForm = {
  modelType: 'marian',
  isPreNorm: false,
  hasEmbeddingNorm: false,
  positions: 'sinusoidal',
  positionOffset: 0,
  hasLogitsBias: true,
  heads: ['seq2seq-lm'],
};

/**
 * Marian, `model_type` `marian` (Junczys-Dowmunt et al. 2018). The reference is transformers'
 * implementation.
 */
export const marian = defineArchitecture<BartConfig>({
  ...bartParts,
  family: 'Marian',
  modelTypes: [FORM.modelType],
  heads: FORM.heads,
  parseConfig(json: ConfigJson) {
    readConfig('Marian', json).only(
      'share_encoder_decoder_embeddings',
      true,
      'two tables of embeddings are not supported',
    );
    return parseBartConfig('Marian', json, FORM, {
      vocabularySize: 58101,
      paddingId: 58100,
      endId: 0,
      startId: 58100,
    });
  },
});
