/**
 * Phi-3 (Abdin et al. 2024): `decoder.ts` with one projection for queries, keys and values and one
 * for gate and up, and dropout of both branches.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindow,
  parseWindows,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import { fusedAttention, LLAMA_FORM, type DecoderForm } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

/** Transformers lists the output projection first. */
const FORM: DecoderForm = {
  ...LLAMA_FORM,
  attention: {
    ...fusedAttention('self_attn', 'blocks', 'qkv_proj', 'o_proj'),
    order: ['output', 'fused'],
  },
  ffn: { ...LLAMA_FORM.ffn, kind: 'fused-gated', up: 'gate_up_proj' },
};

/**
 * Phi-3 and Phi-4, `model_type` `phi3` (Abdin et al. 2024). The reference is transformers'
 * implementation.
 */
export const phi3 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Phi-3',
  modelTypes: ['phi3'],
  conventions: {
    phi3: { adapterHub: { className: 'Phi3' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Phi-3', withLongRope(json));
    const shared = parseDecoderConfig(config, {
      vocabularySize: 32064,
      hiddenSize: 3072,
      layers: 32,
      heads: 32,
      feedForwardSize: 8192,
      maxPositions: 4096,
      isTied: false,
      epsilon: 1e-5,
      paddingId: 32000,
      fields: { residualDropout: 'resid_pdrop' },
    });
    const window = parseWindow(config, 0);
    return {
      ...shared,
      form: FORM,
      windows: parseWindows(config, shared.layers, window, () => true),
    };
  },
});

/** Early files call the long rotary positions "su" or "yarn". */
function withLongRope(json: ConfigJson): ConfigJson {
  const field = json['rope_parameters'] ? 'rope_parameters' : 'rope_scaling';
  const given = json[field] as Readonly<Record<string, unknown>> | null | undefined;
  const type = given?.['rope_type'] ?? given?.['type'];
  return type === 'su' || type === 'yarn'
    ? { ...json, [field]: { ...given, rope_type: 'longrope' } }
    : json;
}
