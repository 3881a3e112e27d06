/**
 * Uni-LoRA: every element of every LoRA matrix is one of d learned numbers, divided by the root of
 * how often that is used. Li et al. 2025, "Uni-LoRA: One Vector is All You Need":
 *
 *   y = base(x) + B·(A·x),  A = θ[I_A]/√c[I_A],  B = θ[I_B]/√c[I_B]        θ `[d]`
 *
 * The indices I are a random order of 0 … d − 1, each as often as the others, over all layers; they
 * come from a seed as NumPy draws them, so that the file holds θ alone unless `saveIndices` is on.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  uniform,
  type Site,
} from '@peft/core';
import { gatherRows, linear, numpyGenerator } from '@peft/ops';

/** Options of Uni-LoRA. */
export interface UniloraConfig {
  /** r. Default 4. */
  readonly rank: number;
  /** d: learned numbers in all. Default 256. */
  readonly length: number;
  /** Seed of the indices, as NumPy draws them. Default 42. */
  readonly projectionSeed: number;
  /** Share of the inputs of the added path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** θ starts in U(−bound, bound). Default 0.02. */
  readonly initialBound: number;
  /** `false`: θ starts in N(0, 1), for tests. Default true. */
  readonly initWeights: boolean;
  /** Write indices and scales into the file. Default false. */
  readonly saveIndices: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'unilora_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    unilora: UniloraConfig;
  }
}

/**
 * The Uni-LoRA method: `unilora({ rank: 4, length: 256 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const unilora = definePeftMethod({
  name: 'unilora',
  peftType: 'UNILORA',
  peftCommonKeys: ['target_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save'],
  formula: 'y = base(x) + B·A·x, all elements from one vector θ',
  paper: {
    title: 'Uni-LoRA: One Vector is All You Need',
    url: 'https://arxiv.org/abs/2506.00799',
  },
  ...optionTable<UniloraConfig>(
    'unilora',
    {
      rank: { default: 4, is: 'positiveInteger', peft: 'r' },
      length: { default: 256, is: 'positiveInteger', peft: 'theta_d_length' },
      projectionSeed: { default: 42, is: 'nonNegativeInteger', peft: 'proj_seed' },
      dropout: { default: 0, is: 'probability', peft: 'unilora_dropout' },
      initialBound: { default: 0.02, is: 'positive', peft: 'init_theta_d_bound' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
      saveIndices: { default: false, is: 'boolean', peft: 'save_indices' },
      bias: { default: 'none', is: ['none', 'all', 'unilora_only'], peft: 'bias' },
    },
    { fanInFanOut: true },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { rank: r, length, saveIndices, initialBound } = config;
      const theta = context.sharedParam(
        'unilora_theta_d',
        [length],
        config.initWeights ? uniform(-initialBound, initialBound) : normal(1),
      );
      const layout = () =>
        context.shared('unilora', () => layOut(context.sites, config)).get(site.path)!;
      const shapes = { A: [r, site.inFeatures], B: [site.outFeatures, r] } as const;
      const matrixOf = (name: 'A' | 'B'): (() => Tensor2D) => {
        const shape = shapes[name];
        const fixed = { trainable: false, saved: saveIndices } as const;
        const indices = context.param(
          `unilora_indices_${name}`,
          shape,
          () => layout().indices[name],
          { ...fixed, storedAs: 'I64', below: length },
        );
        const scales = context.param(
          `unilora_scales_${name}`,
          shape,
          () => layout().scales[name],
          fixed,
        );
        return () => {
          const column = tf.reshape(theta.value, [length, 1]) as Tensor2D;
          const picked = gatherRows(column, indices.value.dataSync<'int32'>());
          return tf.mul(tf.reshape(picked, shape as [number, number]), scales.value);
        };
      };
      const [a, b] = [matrixOf('A'), matrixOf('B')];
      return {
        forward: (x, base, call) =>
          tf.add(base(x), linear(linear(call.dropout(x, config.dropout), a()), b())),
        merge: ({ weight, bias }) => ({ weight: tf.add(weight, tf.matMul(b(), a())), bias }),
      };
    },
  },
});

interface Layout {
  readonly indices: Readonly<Record<'A' | 'B', Int32Array>>;
  readonly scales: Readonly<Record<'A' | 'B', Float32Array>>;
}

/** Indices and scales of each layer's A, then B, by path. */
function layOut(
  sites: readonly Site[],
  { rank, length, projectionSeed }: UniloraConfig,
): ReadonlyMap<string, Layout> {
  const layers = sites.flatMap((site) => (site.kind === 'linear' ? [site] : []));
  const total = layers.reduce(
    (sum, { inFeatures, outFeatures }) => sum + rank * (inFeatures + outFeatures),
    0,
  );
  const rng = numpyGenerator(projectionSeed);
  const each = Math.floor(total / length);
  const all = new Int32Array(total);
  for (let i = 0; i < each * length; i += 1) all[i] = Math.floor(i / each);
  if (total > each * length) all.set(rng.sample(length, total - each * length), each * length);
  rng.shuffle(all);
  const counts = new Float32Array(length);
  for (const index of all) counts[index]! += 1;
  let start = 0;
  const take = (count: number): Int32Array => all.slice(start, (start += count));
  const scaleOf = (indices: Int32Array): Float32Array =>
    Float32Array.from(indices, (index) => 1 / Math.sqrt(counts[index]!));
  return new Map(
    layers.map(({ path, inFeatures, outFeatures }) => {
      const indices = { A: take(rank * inFeatures), B: take(outFeatures * rank) };
      return [path, { indices, scales: { A: scaleOf(indices.A), B: scaleOf(indices.B) } }];
    }),
  );
}
