/**
 * SmolLM3 (Hugging Face 2025): `decoder.ts` where queries and keys of every fourth block do not
 * turn; a window in those blocks, where it is switched on.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson, type ConfigReader } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindow,
  parseWindows,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';

/** SmolLM3, `model_type` `smollm3`. The reference is transformers' implementation. */
export const smollm3 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'SmolLM3',
  modelTypes: ['smollm3'],
  conventions: {
    smollm3: { adapterHub: { className: 'SmolLM3' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('SmolLM3', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 128256,
      hiddenSize: 2048,
      layers: 36,
      heads: 16,
      keyValueHeads: 4,
      feedForwardSize: 11008,
      maxPositions: 32768,
      isTied: true,
      theta: 2_000_000,
      paddingId: 128004,
    });
    const hasBias = config.flag('attention_bias', false);
    const turns = parseTurns(config, shared.layers);
    const window = config.flag('use_sliding_window', false) ? parseWindow(config, 0) : 0;
    return {
      ...shared,
      turns,
      bias: {
        queryKeyValue: hasBias,
        output: hasBias,
        feedForward: config.flag('mlp_bias', false),
      },
      windows: parseWindows(config, shared.layers, window, (layer) => !turns[layer]!),
    };
  },
});

/** `no_rope_layers`, in which 1 stands for a block with rotary positions, or every n-th without. */
function parseTurns(config: ConfigReader, layers: number): boolean[] {
  const given = config.json['no_rope_layers'];
  if (given === undefined || given === null) {
    const interval = config.size('no_rope_layer_interval', 4);
    return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  }
  const flags: readonly unknown[] = Array.isArray(given) ? given : [];
  if (flags.length < layers || flags.some((flag) => flag !== 0 && flag !== 1))
    config.refuse('no_rope_layers', given, `a list of at least ${layers} times 0 or 1`);
  return Array.from({ length: layers }, (_, layer) => flags[layer] === 1);
}
