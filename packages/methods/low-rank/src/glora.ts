/**
 * GLoRA: the weight and the bias are scaled and shifted by parts of several forms. Chavan et al.
 * 2023, "One-for-All: Generalized LoRA for Parameter-Efficient Fine-tuning":
 *
 *   y = (W + W ⊙ A + B)·x + b + b ⊙ D + E + W·C
 *
 * Each of A, B `[out, in]`, C `[in]`, D, E `[out]` is a product X_d·X_u of rank r (`lora`), a
 * `vector` (for A and B one value per row), a single number (`constant`), or `none`. A layer without
 * a bias has no C, D, E. What is absent stands in the file as zeros, as PEFT writes it.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  normal,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  zeros,
  type AttachContext,
  type MergedLinear,
} from '@peft/core';
import { freezeTensor, linear } from '@peft/ops';

/** Options of GLoRA. */
export interface GloraConfig {
  /** r of the parts that are products. Default 8. */
  readonly rank: number;
  /** Form of A and B. Default `lora`. */
  readonly weightParts: 'lora' | 'vector' | 'constant' | 'none';
  /** Form of C. Default `lora`. */
  readonly promptPart: 'lora' | 'vector' | 'none';
  /** Form of D and E. Default `constant`. */
  readonly biasParts: 'vector' | 'constant' | 'none';
  /** Start at zero. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'glora_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    glora: GloraConfig;
  }
}

/**
 * The GLoRA method: `glora({ rank: 8 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const glora = definePeftMethod({
  name: 'glora',
  peftType: 'GLORA',
  peftCommonKeys: ['target_modules', 'modules_to_save'],
  formula: 'y = (W + W ⊙ A + B)·x + b + b ⊙ D + E + W·C',
  paper: {
    title: 'One-for-All: Generalized LoRA for Parameter-Efficient Fine-tuning',
    url: 'https://arxiv.org/abs/2306.07967',
  },
  ...optionTable<GloraConfig>('glora', {
    rank: { default: 8, is: 'positiveInteger', peft: 'r' },
    weightParts: {
      default: 'lora',
      is: ['lora', 'vector', 'constant', 'none'],
      peft: 'config_A_B',
    },
    promptPart: { default: 'lora', is: ['lora', 'vector', 'none'], peft: 'config_C' },
    biasParts: { default: 'constant', is: ['vector', 'constant', 'none'], peft: 'config_D_E' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    bias: { default: 'none', is: ['none', 'all', 'glora_only'], peft: 'bias' },
  }),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { inFeatures, outFeatures } = site;
      const hasBias = site.bias !== undefined;
      const make = (name: string, form: Form, shape: readonly number[]) =>
        part(`glora_${name}`, form, shape, config, context);
      const a = make('A', config.weightParts, [outFeatures, inFeatures]);
      const b = make('B', config.weightParts, [outFeatures, inFeatures]);
      const c = make('C', hasBias ? config.promptPart : 'none', [inFeatures, 1]);
      const d = make('D', hasBias ? config.biasParts : 'none', [outFeatures]);
      const e = make('E', hasBias ? config.biasParts : 'none', [outFeatures]);
      /** W ⊙ A + B and b ⊙ D + E + W·C. */
      const update = ({ weight, bias }: MergedLinear): MergedLinear => ({
        weight: tf.add<Tensor2D>(tf.mul(weight, a()), b()),
        bias:
          bias &&
          tf.addN<Tensor1D>([
            tf.mul(bias, d()),
            tf.add(tf.zerosLike(bias), e()),
            tf.reshape(tf.matMul(weight, c() as Tensor2D), [-1]),
          ]),
      });
      return {
        forward(x, base) {
          const weight = freezeTensor(site.dequantizedWeight());
          const added = update({ weight, bias: site.biasInForce() });
          return tf.add(base(x), linear(x, added.weight, added.bias));
        },
        merge({ weight, bias }) {
          const added = update({ weight, bias });
          return {
            weight: tf.add(weight, added.weight),
            bias: bias && tf.add<Tensor1D>(bias, added.bias!),
          };
        },
      };
    },
  },
});

type Form = GloraConfig['weightParts'];

/** A part that broadcasts to `shape`. */
function part(
  name: string,
  form: Form,
  shape: readonly number[],
  { rank, initWeights }: GloraConfig,
  context: AttachContext,
): () => Tensor {
  const [rows, columns = 1] = shape as [number, number?];
  const first = initWeights ? zeros : kaimingUniform;
  if (form === 'lora') {
    const left = context.param(`${name}.Xd`, [rows, rank], first);
    const right = context.param(`${name}.Xu`, [rank, columns], kaimingUniform);
    return () => tf.matMul(left.value, right.value);
  }
  if (form === 'none') {
    const none = context.param(`${name}.zeros`, shape, zeros, { trainable: false });
    return () => none.value;
  }
  const random = form === 'vector' ? kaimingUniform : normal(0.02);
  const vectorShape = shape.length === 1 ? [rows] : [rows, 1];
  const own = context.param(
    `${name}.X`,
    form === 'vector' ? vectorShape : [1],
    initWeights ? zeros : random,
  );
  return () => own.value;
}
