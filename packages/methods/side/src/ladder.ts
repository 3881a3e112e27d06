/**
 * Ladder side tuning (Sung et al. 2022, "LST", section 3.1): a narrow transformer beside the frozen
 * one reads what each block makes, and nothing of what it makes goes back before the last. With hᵢ
 * the state behind block i, h₀ that in front of the first, S of width D/r:
 *
 *   s₀ = W₀·h₀
 *   sᵢ = Sᵢ( μᵢ·sᵢ₋₁ + (1 − μᵢ)·Wᵢ·hᵢ ),  μᵢ = σ(αᵢ/0.1)
 *   h′ = h_L + W_up·LN(s_L)
 *
 * Sᵢ(x) = a + W₂·gelu(W₁·LN(a)), a = x + W_o·attention(LN(x)), within sequences, in a decoder causal.
 * No gradient goes through a frozen block, so that nothing of one is kept but hᵢ.
 *
 * Differs from the paper: h_L stays beside W_up·LN(s_L), and W_up starts at zero, so that a fresh
 * ladder changes nothing (`residual: false` is the paper's); blocks start at random, not from pruned
 * ones of the model; in an encoder-decoder it stands beside the decoder alone, whose blocks have read
 * the encoder's result, where the paper has one beside the encoder, too.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  ones,
  optionTable,
  zeros,
  type AttachContext,
  type Initializer,
  type StackCall,
  type StackSite,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import { activate, add, layerNorm, linear } from '@peft/ops';
import { lastStack } from './last-stack.js';

/** Options of a ladder. */
export interface LadderConfig {
  /** r: the side network is D/r wide. Default 8. */
  readonly reductionFactor: number;
  /** Blocks, from 0, that have a rung beside them. Default `all`. */
  readonly blocks: 'all' | readonly number[];
  /** The last state stays beside what the ladder makes. Default true; false: as in the paper. */
  readonly residual: boolean;
  /** Share of what each branch of a side block makes that training drops, in [0, 1). Default 0.1. */
  readonly dropout: number;
}

declare module '@peft/core' {
  interface PeftConfigs {
    ladder: LadderConfig;
  }
}

/** T, by which the gates' parameters are divided. */
const TEMPERATURE = 0.1;
const EPSILON = 1e-5;
/** The feed-forward network of a side block is so many times as wide as the block. */
const WIDENING = 4;

const { options, parseConfig } = optionTable<LadderConfig>('ladder', {
  reductionFactor: { default: 8, is: 'positiveInteger' },
  blocks: { default: 'all', is: checkBlocks },
  residual: { default: true, is: 'boolean' },
  dropout: { default: 0.1, is: 'probability' },
});

/**
 * Ladder side tuning: `ladder({ reductionFactor: 8 })`. It cannot be merged.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_TARGET_NOT_FOUND for a block that there is not
 */
export const ladder = definePeftMethod({
  name: 'ladder',
  formula: 'h = h_L + W·s_L, sᵢ = Sᵢ(μ·sᵢ₋₁ + (1−μ)·Wᵢ·hᵢ) beside the frozen blocks',
  paper: {
    title: 'LST: Ladder Side-Tuning for Parameter and Memory Efficient Transfer Learning',
    url: 'https://arxiv.org/abs/2206.06522',
  },
  options,
  parseConfig,
  defaultTargets: lastStack,

  attach: {
    stack(site, { reductionFactor, blocks, residual, dropout }, context) {
      const width = Math.max(1, Math.floor(site.size / reductionFactor));
      const numbers = blocks === 'all' ? [...Array(site.blocks).keys()] : blocks;
      const outside = numbers.find((block) => block >= site.blocks);
      if (outside !== undefined) throw noBlock(site, outside);
      const make = maker(context);
      const first = make.map('first', width, site.size);
      const rungs = new Map(
        numbers.map((block) => [block, rung(make, block, site, width, dropout)]),
      );
      const norm = make.norm('norm', width);
      const up = make.map('up', site.size, width, residual ? zeros : kaimingUniform);
      return {
        begin: (state) => first(state),
        follow(block, { state, beside }, call) {
          const next = rungs.get(block)?.(state, beside, call) ?? beside;
          if (block + 1 < site.blocks) return { state, beside: next };
          const made = up(norm(next));
          return { state: residual ? add(state, made) : made, beside: next };
        },
      };
    },
  },
});

type RowMap = (x: Tensor2D) => Tensor2D;

interface Maker {
  /** x·Wᵀ + b */
  map(name: string, outputs: number, inputs: number, init?: Initializer): RowMap;
  norm(name: string, width: number): RowMap;
  /** A number, 0 at first. */
  number(name: string): { readonly value: Tensor };
}

const maker = ({ param }: AttachContext): Maker => ({
  map(name, outputs, inputs, init = kaimingUniform) {
    const weight = param(`ladder.${name}.weight`, [outputs, inputs], init);
    const bias = param(`ladder.${name}.bias`, [outputs], zeros);
    return (x) => linear(x, weight.value, bias.value);
  },
  norm(name, width) {
    const gamma = param(`ladder.${name}.weight`, [width], ones);
    const beta = param(`ladder.${name}.bias`, [width], zeros);
    return (x) => layerNorm(x, gamma.value, beta.value, EPSILON);
  },
  number: (name) => param(`ladder.${name}`, [1], zeros),
});

/** A gate with the side block behind it: hᵢ `[N, D]` and sᵢ₋₁ `[N, D/r]` → sᵢ. */
function rung(
  make: Maker,
  block: number,
  site: StackSite,
  width: number,
  dropout: number,
): (state: Tensor2D, beside: Tensor2D, call: StackCall) => Tensor2D {
  const at = `blocks.${block}`;
  const heads = commonDivisor(width, site.heads);
  const gate = make.number(`${at}.gate`);
  const down = make.map(`${at}.down`, width, site.size);
  const norms = [make.norm(`${at}.attention.norm`, width), make.norm(`${at}.ffn.norm`, width)];
  const [query, key, value, output] = ['query', 'key', 'value', 'output'].map((name) =>
    make.map(`${at}.attention.${name}`, width, width),
  ) as [RowMap, RowMap, RowMap, RowMap];
  const wide = make.map(`${at}.ffn.up`, WIDENING * width, width);
  const narrow = make.map(`${at}.ffn.down`, width, WIDENING * width);
  return (state, beside, call) => {
    const share = tf.sigmoid(tf.div(gate.value, TEMPERATURE)); // μ
    const x = tf.add<Tensor2D>(tf.mul(share, beside), tf.mul(tf.sub(1, share), down(state)));
    const read = norms[0]!(x);
    const seen = call.attend(`${block}`, query(read), key(read), value(read), { heads });
    const a = add(x, call.dropout(output(seen), dropout, `${at} attention`));
    const made = narrow(activate('gelu', wide(norms[1]!(a))));
    return add(a, call.dropout(made, dropout, `${at} ffn`));
  };
}

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));

function checkBlocks(owner: string, field: string, value: unknown): void {
  if (value === 'all') return;
  if (!Array.isArray(value) || value.length === 0)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be 'all' or a list of block numbers, got ${show(value)}.`,
    );
  for (const block of value) check.nonNegativeInteger(owner, field, block);
}

const noBlock = ({ path, blocks }: StackSite, block: number): PeftError =>
  new PeftError(
    'PEFT_TARGET_NOT_FOUND',
    `ladder: blocks: ${path} has no block ${block}, it has ${blocks}.`,
    { hint: 'blocks count from 0' },
  );
