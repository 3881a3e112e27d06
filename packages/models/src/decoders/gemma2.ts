/**
 * Gemma 2 (Gemma Team 2024): `gemma-decoder.ts` with capped scores and logits, and a window in
 * every second block, the first one included.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson, type ConfigReader } from '../description/config-reader.js';
import { parseDecoderConfig, parseWindows, type DecoderDefaults } from './decoder-config.js';
import { gemmaParts, type GemmaConfig } from './gemma-decoder.js';

export const gemma2 = defineArchitecture<GemmaConfig>({
  ...gemmaParts,
  family: 'Gemma 2',
  modelTypes: ['gemma2'],
  parseConfig(json: ConfigJson) {
    const config = readConfig('Gemma 2', json);
    const shared = parseGemma(
      config,
      { vocabularySize: 256000, maxPositions: 8192 },
      { scoreCap: 50, logitCap: 30 },
    );
    return {
      ...shared,
      localRope: shared.rope,
      windows: parseGemmaWindows(config, shared.layers, (layer) => layer % 2 === 0),
    };
  },
});

/** The fields that Gemma 2 and 3 share. */
export function parseGemma(
  config: ConfigReader,
  defaults: Pick<DecoderDefaults, 'vocabularySize' | 'maxPositions' | 'theta'>,
  caps: { readonly scoreCap: number; readonly logitCap: number },
): Omit<GemmaConfig, 'localRope'> {
  config.only('use_bidirectional_attention', false, 'only the causal decoder is supported');
  const shared = parseDecoderConfig(config, {
    hiddenSize: 2304,
    layers: 26,
    heads: 8,
    keyValueHeads: 4,
    headSize: 256,
    feedForwardSize: 9216,
    isTied: true,
    paddingId: 0,
    activation: 'gelu_pytorch_tanh',
    activationField: 'hidden_activation',
    ...defaults,
  });
  const hasBias = config.flag('attention_bias', false);
  const cap = (field: string, fallback: number): number =>
    config.json[field] === null || (config.json[field] === undefined && fallback === 0)
      ? 0
      : config.positive(field, fallback);
  return {
    ...shared,
    bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
    queryScalar: config.positive('query_pre_attn_scalar', 256),
    scoreCap: cap('attn_logit_softcapping', caps.scoreCap),
    logitCap: cap('final_logit_softcapping', caps.logitCap),
  };
}

export function parseGemmaWindows(
  config: ConfigReader,
  layers: number,
  isSliding: (layer: number) => boolean,
): number[] {
  const window = config.json['sliding_window'] === null ? 0 : config.size('sliding_window', 4096);
  return parseWindows(config, layers, window, isSliding);
}
