/**
 * A small network of the model's own architecture runs beside it, and what it makes goes along with the
 * state from block to block and enters each (Li et al. 2026, "ShadowPEFT", section 3, equations 1 to 9,
 * as PEFT 0.21 has it). With x the batch, hₗ the state behind block Fₗ, h₀ that in front of the first:
 *
 *   s₀ = shadow(x)                                    last hidden state of the small network
 *   h′ = hₗ₋₁ + α·W_up·W_down·dropout(hₗ₋₁ − sₗ₋₁)     W_down `[r, D]`, W_up `[D, r]`
 *   hₗ = Fₗ(h′)
 *   sₗ = (1 − g)·sₗ₋₁ + g·T(hₗ),  g = σ(G(hₗ))          T and G: D → update size → D, with gelu
 *
 * In a language model λ·CE(output layer(s₀)) is added to the loss. The network has as many first blocks
 * of the architecture as asked for, with its norm and sizes, at random: N(0, 0.02²), biases 0, norms 1,
 * also where an architecture counts these from 1 (Gemma, where PEFT's start at 0).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  uniform,
  zeros,
  type AttachContext,
  type StackSite,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { activate, add, linear } from '@peft/ops';
import { lastStack } from './last-stack.js';
import { blocksOf, fromPeftConfig, options, parseConfig, toPeftConfig } from './shadow-config.js';
import type { ShadowConfig } from './shadow-config.js';
import { shadowParameters } from './shadow-network.js';

/**
 * A shadow network: `shadow({ rank: 8 })`, for decoders alone. It cannot be merged.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_TARGET_NOT_FOUND for a block that there is
 *   not; PEFT_METHOD_UNSUPPORTED for a model whose mirror PEFT's files name otherwise
 */
export const shadow = definePeftMethod({
  name: 'shadow',
  peftType: 'SHADOW',
  peftCommonKeys: ['modules_to_save'],
  paper: {
    title: 'ShadowPEFT: Shadow Network for Parameter-Efficient Fine-Tuning',
    url: 'https://arxiv.org/abs/2604.19254',
  },
  formula:
    'hᵢ = Fᵢ(h + α·W_up·W_down·(h − s)), s = s₀ of a small network, then (1 − g)·s + g·T(hᵢ)',
  options,
  parseConfig,
  toPeftConfig,
  fromPeftConfig,
  defaultTargets: lastStack,

  attach: {
    stack(site, config, context) {
      context.companion({
        blocks: config.shadowLayers ?? 1,
        parameters: shadowParameters(site, config, context),
        lossWeight: config.auxiliaryLossWeight,
      });
      const entries = new Map(
        blocksOf(config, site.blocks).map((block) => [block, entry(block, site, config, context)]),
      );
      return {
        begin(state, call) {
          const made = call.ahead();
          if (made?.shape[0] !== state.shape[0])
            throw new PeftError(
              'PEFT_LAYOUT_UNKNOWN',
              `${site.path}: shadow made ${made?.shape[0] ?? 'no'} rows beside ${state.shape[0]}.`,
              { hint: 'it does not go with virtual tokens of another adapter' },
            );
          return made;
        },
        enter(block, { state, beside }, call) {
          const own = entries.get(block);
          if (!own) return state;
          const difference = call.dropout(
            tf.sub(state, beside),
            config.dropout,
            `dropout ${block}`,
          );
          return add(state, tf.mul(own.inject(difference), config.alpha));
        },
        follow(block, { state, beside }) {
          const own = entries.get(block);
          if (!own) return { state, beside };
          const gate = tf.sigmoid(own.gate(state));
          const kept = tf.mul<Tensor2D>(tf.sub(1, gate), beside);
          return { state, beside: add(kept, tf.mul(gate, own.transform(state))) };
        },
      };
    },
  },
});

type RowMap = (x: Tensor2D) => Tensor2D;

/** What stands at a block, its parameters under PEFT's names. */
function entry(
  block: number,
  { size }: StackSite,
  { rank, updateSize = rank, initWeights }: ShadowConfig,
  { param }: AttachContext,
): { readonly inject: RowMap; readonly gate: RowMap; readonly transform: RowMap } {
  const at = (name: string): string => `${block}.shadow_${name}.default`;
  const down = param(`${at('down')}.weight`, [rank, size], kaimingUniform);
  const up = param(`${at('up')}.weight`, [size, rank], initWeights ? zeros : kaimingUniform);
  const map = (name: string, outputs: number, inputs: number): RowMap => {
    const bound = 1 / Math.sqrt(inputs);
    const weight = param(`${name}.weight`, [outputs, inputs], kaimingUniform);
    const bias = param(`${name}.bias`, [outputs], uniform(-bound, bound));
    return (x) => linear(x, weight.value, bias.value);
  };
  const network = (name: string): RowMap => {
    const wide = map(`${at(name)}.0`, updateSize, size);
    const narrow = map(`${at(name)}.2`, size, updateSize);
    return (x) => narrow(activate('gelu', wide(x)));
  };
  return {
    inject: (x) => linear(linear(x, down.value), up.value),
    transform: network('update_transform'),
    gate: network('update_gate'),
  };
}
