/**
 * AdaMSS: the outputs of a layer fall into subspaces, each with an update of low rank of its own, on
 * the layer's largest directions. Zheng et al. 2025, "AdaMSS: Adaptive Multi-Subspace Approach for
 * Parameter-Efficient Fine-Tuning", as PEFT 0.21 has it:
 *
 *   y_S = base(x)_S + B_S·A_S·V·[x, 1]      V `[r, in + 1]`, A_S `[r_S, r]`, B_S `[|S|, r_S]`
 *
 * V: right singular vectors of [W, b] (of W without a bias), fixed; S: clusters of the rows of the left
 * ones. A starts at the main axes of its rows, B at zero.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  queryValueTargets,
  zeros,
  type AttachContext,
  type MatrixParameter,
  type SiteHandle,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { differentiable, freezeTensor, linear, scatterAddRows } from '@peft/ops';
import { adamssOptions, piecesAt, type AdamssConfig } from './adamss-config.js';
import { SubspaceAllocator, type SubspacePair } from './subspace-allocator.js';
import { evenPieces, subspacesOf } from './subspaces.js';

declare module '@peft/core' {
  interface PeftConfigs {
    adamss: AdamssConfig;
  }
}

/**
 * The AdaMSS method: `adamss({ rank: 100, subspaces: 5, subspaceRank: 1 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_ADAPTER_MISMATCH for a file whose subspaces
 *   are not those of the base
 */
export const adamss = definePeftMethod({
  name: 'adamss',
  peftType: 'ADAMSS',
  peftCommonKeys: ['target_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save'],
  formula: 'y = base(x) + B·A·V·[x, 1], B and A apart for each cluster of outputs',
  paper: {
    title: 'AdaMSS: Adaptive Multi-Subspace Approach for Parameter-Efficient Fine-Tuning',
    url: 'https://openreview.net/forum?id=8ZdWmpYxT0',
  },
  ...adamssOptions,
  defaultTargets: queryValueTargets,
  computesFromBase: () => true, // which outputs are a cluster

  attach: {
    linear(site, config, context) {
      const { inFeatures, outFeatures } = site;
      const isBiased = site.bias !== undefined;
      const width = inFeatures + Number(isBiased);
      const rank = rankOf(site, config);
      const pieces = piecesAt(config.pieces, site.path);
      const found = site.hasWeights ? subspacesOf(site, config, rank, pieces) : undefined;
      const directions = context.param('adamss_newB', [rank, width], () => found!.directions, {
        trainable: false,
      });
      const parts = found?.parts ?? pieces ?? evenPieces(outFeatures, config);
      const pairs = parts.map((piece, i): SubspacePair => ({
        a: context.param(`adamss_A.${i}`, [piece.rank, rank], () => found!.parts[i]!.start()),
        b: context.param(
          `adamss_B.${i}`,
          [piece.rows, piece.rank],
          config.initWeights ? zeros : normal(0.01),
        ),
      }));
      const order = Int32Array.from(found?.parts.flatMap(({ outputs }) => [...outputs]) ?? []);
      const allocator = config.adaptive ? allocatorOf(config, context) : undefined;
      allocator?.pairs.push(...pairs);
      /** A `[ΣrS, r]` and B `[out, ΣrS]` of all subspaces. */
      const whole = (): { readonly a: Tensor2D; readonly b: Tensor2D } => {
        const columns = pairs.reduce((sum, { a }) => sum + a.shape[0]!, 0);
        let from = 0;
        const wide = pairs.map((pair) => {
          const [, own] = pair.b.shape as [number, number];
          const before = from;
          from += own;
          return tf.pad2d(valueOf(pair, 'b', allocator), [
            [0, 0],
            [before, columns - from],
          ]);
        });
        return {
          a: tf.concat2d(
            pairs.map((pair) => valueOf(pair, 'a', allocator)),
            0,
          ),
          b: scatterAddRows(tf.concat2d(wide, 0), order, outFeatures),
        };
      };
      const split = (): readonly [Tensor2D, Tensor1D | undefined] => {
        const v = directions.value;
        if (!isBiased) return [v, undefined];
        const column = tf.slice(v, [0, inFeatures], [-1, 1]);
        return [freezeTensor(tf.slice(v, [0, 0], [-1, inFeatures])), tf.reshape(column, [rank])];
      };
      return {
        forward(x, base) {
          const [v, shift] = split();
          const { a, b } = whole();
          return tf.add(base(x), linear(linear(linear(x, v, shift), a), b));
        },
        merge({ weight, bias }) {
          const [v, shift] = split();
          const { a, b } = whole();
          const update = tf.matMul(b, a);
          const moved = shift && tf.reshape(tf.matMul(update, tf.reshape(shift, [rank, 1])), [-1]);
          return {
            weight: tf.add(weight, tf.matMul(update, v)),
            bias: bias && moved ? tf.add<Tensor1D>(bias, moved) : bias,
          };
        },
      };
    },
  },
});

/** Rows of all directions are as far from each other, so that rounding alone would cluster them. */
function rankOf(
  { path, inFeatures, outFeatures, bias }: SiteHandle<'linear'>,
  config: AdamssConfig,
): number {
  const rank = Math.min(config.rank, inFeatures + Number(bias !== undefined));
  if (rank < outFeatures) return rank;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `adamss: rank ${config.rank} keeps all directions of the ${outFeatures} outputs of ${path}, which then have no clusters.`,
    {
      hint: `set rank below ${outFeatures}; PEFT takes it, and gets other clusters on other machines`,
    },
  );
}

function allocatorOf(config: AdamssConfig, context: AttachContext): SubspaceAllocator {
  return context.shared('adamss', () => {
    const made = new SubspaceAllocator(config);
    context.onStep((call) => made.update(call), made);
    return made;
  });
}

/** What rests is off the tape, and gets no gradient. */
function valueOf(
  pair: SubspacePair,
  which: keyof SubspacePair,
  allocator: SubspaceAllocator | undefined,
): Tensor2D {
  const { value }: MatrixParameter = pair[which];
  if (!allocator?.rests(pair)) return value;
  return differentiable<never, Tensor2D>(
    {},
    () => tf.clone(value),
    () => ({}),
  );
}
