/**
 * LoRA with a gate per sequence, as UniPELT has it (Mao et al. 2022): y = base(x) +
 * g_b·drop(x)·Aᵀ·Bᵀ for the tokens of sequence b, g_b = (1/T_b)·Σ_n σ(w·x_n + c). The gate stands
 * in the place of α/r.
 */
import * as tf from '@tensorflow/tfjs';
import {
  normal,
  uniform,
  type AttachContext,
  type LinearAttachment,
  type SiteHandle,
} from '@peft/core';
import { sequenceGate, spreadOverTokens } from '@peft/ops';
import { lowRank, type LoraMatrices } from './lora-linear.js';

export function gatedLora(
  site: SiteHandle<'linear'>,
  matrices: LoraMatrices,
  dropout: number,
  context: AttachContext,
): LinearAttachment {
  const bound = 1 / Math.sqrt(site.inFeatures);
  const weight = context.param('gate.weight', [1, site.inFeatures], normal(0.02));
  const bias = context.param('gate.bias', [1], uniform(-bound, bound));
  const unscaled: LoraMatrices = { ...matrices, scaling: 1 };
  return {
    forward(x, base, call) {
      const offsets = call.layout(x.shape[0]);
      const gate = spreadOverTokens(sequenceGate(x, weight.value, bias.value, offsets), offsets); // [N, 1]
      return tf.add(base(x), tf.mul(lowRank(call.dropout(x, dropout), unscaled), gate));
    },
    readsSequences: true,
  };
}
