/**
 * AdaLoRA: LoRA with singular values, whose ranks move to the layers that need them. Zhang et al.
 * 2023, "Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning", eq. 3:
 *
 *   y = base(x) + s·drop(x)·(A ⊙ E)ᵀ·Bᵀ       A `[r, in]`, E `[r, 1]`, B `[out, r]`, s = α/(r + 10⁻⁵)
 *
 * with the extra loss λ·mean(‖A·Aᵀ − I‖_F, ‖Bᵀ·B − I‖_F) over all matrices.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  queryValueTargets,
  refuseUnmatchedPatterns,
  unfreezeBiases,
  zeros,
  type AttachContext,
  type LinearAttachment,
  type PeftConfigContext,
  type SiteHandle,
  type TargetSelection,
  type MatrixParameter,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { linear, scaleColumns } from '@peft/ops';
import { parseAdaloraConfig, type AdaloraConfig } from './adalora-config.js';
import { fromPeftAdaloraConfig, toPeftAdaloraConfig } from './adalora-peft-config.js';
import { RankAllocator } from './rank-allocator.js';

declare module '@peft/core' {
  interface PeftConfigs {
    adalora: AdaloraConfig;
  }
}

/** Families where PEFT's AdaLoRA takes more than LoRA; elsewhere queries and values. */
export const ADALORA_DEFAULT_TARGETS: Readonly<Record<string, readonly string[]>> = Object.freeze({
  roberta: ['query', 'key', 'value', 'dense'],
  'deberta-v2': ['query_proj', 'key_proj', 'value_proj', 'dense'],
  t5: ['q', 'k', 'v', 'o', 'wi', 'wo'],
  mt5: ['q', 'k', 'v', 'o', 'wi_0', 'wi_1', 'wo'],
});

/**
 * The AdaLoRA method: `adalora({ initialRank: 12, targetRank: 8, totalSteps: 1000 })`.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const adalora = definePeftMethod({
  name: 'adalora',
  exampleOptions: { totalSteps: 1000 },
  formula: 'y = base(x) + s·B·diag(E)·A·x, E pruned by importance',
  peftType: 'ADALORA',
  peftCommonKeys: [
    'target_modules',
    'exclude_modules',
    'layers_to_transform',
    'layers_pattern',
    'modules_to_save',
    'ensure_weight_tying',
  ],
  paper: {
    title: 'AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning',
    url: 'https://arxiv.org/abs/2303.10512',
  },
  parseConfig: parseAdaloraConfig,
  defaultTargets: (description): TargetSelection =>
    ADALORA_DEFAULT_TARGETS[description.modelType]
      ? { targets: ADALORA_DEFAULT_TARGETS[description.modelType] }
      : queryValueTargets(description),

  attach: {
    linear(site, config, context): LinearAttachment {
      refuseUnmatchedPatterns(
        'adalora',
        { rankPattern: config.rankPattern ?? {} },
        context,
        (key) => ({ test: (path) => key === `${path}.lora_E` }),
      );
      unfreezeBiases(config.bias, site, context);
      const rank = keptOf(site.path, config)?.filter(Boolean).length ?? config.initialRank;
      const triplet = makeTriplet(site, rank, config, context);
      register(triplet, site.path, config, context);
      let scaling = config.alpha / (config.initialRank + 1e-5);
      const { a, e, b } = triplet;
      return {
        forward(x, base, call) {
          if (rank === 0) return base(x);
          const narrow = scaleColumns(
            linear(call.dropout(x, config.dropout), a.value),
            tf.mul<Tensor1D>(tf.reshape(e.value, [-1]), scaling),
          ); // [N, r]
          return tf.add(base(x), linear(narrow, b.value));
        },
        merge: ({ weight, bias }) => ({
          weight:
            rank === 0
              ? weight
              : tf.add(
                  weight,
                  tf.mul(tf.matMul(b.value, tf.mul<Tensor2D>(a.value, e.value)), scaling),
                ),
          bias,
        }),
        rescale: (factor) => void (scaling *= factor),
      };
    },
  },

  toPeftConfig: toPeftAdaloraConfig,
  fromPeftConfig: fromPeftAdaloraConfig,
  fileTensors: keptTensors,
});

type Parameters = {
  readonly a: MatrixParameter;
  readonly e: MatrixParameter;
  readonly b: MatrixParameter;
};

function makeTriplet(
  site: SiteHandle<'linear'>,
  rank: number,
  { initWeights }: AdaloraConfig,
  context: AttachContext,
): Parameters {
  const init = normal(initWeights ? 0.02 : 1);
  return {
    a: context.param('lora_A', [rank, site.inFeatures], init),
    e: context.param('lora_E', [rank, 1], initWeights ? zeros : init),
    b: context.param('lora_B', [site.outFeatures, rank], init),
  };
}

const keptOf = (path: string, { rankPattern }: AdaloraConfig): readonly boolean[] | undefined =>
  rankPattern?.[`${path}.lora_E`];

/**
 * The first site starts the allocator and the extra loss; a pruned adapter keeps the ranks that it
 * has.
 */
function register(
  triplet: Parameters,
  path: string,
  config: AdaloraConfig,
  context: AttachContext,
): void {
  if (config.targetRank > config.initialRank)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `adalora: targetRank must be at most initialRank, got ${config.targetRank} over ${config.initialRank}.`,
    );
  const allocator = context.shared('adalora', () => {
    const made = new RankAllocator(config);
    if (!config.rankPattern) context.onStep((call) => made.update(call), made);
    context.extraLoss(() => orthogonalLoss(made, config.orthogonalWeight));
    return made;
  });
  allocator.triplets.push({ path, ...triplet });
}

function orthogonalLoss({ triplets }: RankAllocator, weight: number): Tensor {
  const distance = (matrix: Tensor2D): Scalar => {
    const gram = tf.matMul(matrix, matrix, false, true);
    return tf.sqrt(tf.sum(tf.square(tf.sub(gram, tf.eye(gram.shape[0]))))) as Scalar;
  };
  const terms = triplets
    .filter(({ e }) => e.shape[0]! > 0)
    .flatMap(({ a, b }) => [distance(a.value), distance(tf.transpose(b.value))]);
  return terms.length === 0 ? tf.scalar(0) : tf.mul(tf.addN(terms), weight / (2 * triplets.length));
}

/** The file holds the directions that were kept. */
function keptTensors(_config: AdaloraConfig, { shared }: PeftConfigContext): Map<string, Tensor> {
  const allocator = shared.get('adalora') as RankAllocator;
  const tensors = new Map<string, Tensor>();
  for (const { path, a, e, b } of allocator.triplets) {
    const pattern = allocator.rankPattern?.[`${path}.lora_E`];
    const kept = pattern?.includes(false)
      ? tf.tensor1d(
          pattern.flatMap((isKept, i) => (isKept ? [i] : [])),
          'int32',
        )
      : undefined;
    for (const [name, parameter, axis] of [
      ['lora_A', a, 0],
      ['lora_E', e, 0],
      ['lora_B', b, 1],
    ] as const) {
      tensors.set(
        `${path}.${name}`,
        kept ? tf.gather(parameter.value, kept, axis) : tf.clone(parameter.value),
      );
    }
    kept?.dispose();
  }
  return tensors;
}
