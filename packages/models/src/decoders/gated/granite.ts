/**
 * Granite 3 (IBM 2024): `decoder.ts` with factors for embeddings, scores, residual branches and
 * logits.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson, type ConfigReader } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';

/** Granite, `model_type` `granite`. The reference is transformers' implementation. */
export const granite = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  heads: ['causal-lm'],
  family: 'Granite',
  modelTypes: ['granite'],
  conventions: {
    granite: { adapterHub: { className: 'Granite' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Granite', json);
    const hasBias = config.flag('attention_bias', false);
    return {
      ...parseDecoderConfig(config, {
        vocabularySize: 32000,
        hiddenSize: 4096,
        layers: 32,
        heads: 32,
        feedForwardSize: 11008,
        maxPositions: 2048,
        isTied: false,
      }),
      ...parseGraniteScales(config),
      bias: {
        queryKeyValue: hasBias,
        output: hasBias,
        feedForward: config.flag('mlp_bias', false),
      },
    };
  },
});

/** Factors of Granite's families. */
export const parseGraniteScales = (
  config: ConfigReader,
): Pick<DecoderConfig, 'embeddingScale' | 'attentionScale' | 'residualScale' | 'logitScale'> => ({
  embeddingScale: config.number('embedding_multiplier', 1),
  attentionScale: config.number('attention_multiplier', 1),
  residualScale: config.number('residual_multiplier', 1),
  logitScale: 1 / config.positive('logits_scaling', 1),
});
