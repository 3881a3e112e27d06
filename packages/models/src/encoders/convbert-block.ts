/**
 * A block of ConvBERT (Jiang et al. 2020, section 3): beside the attention of H heads of E columns
 * stands a convolution of as many,
 *
 *   c = softmax_k(W_kernel·(key_conv(x) ⊙ q)), y_n = Σ_k c_nk·v_{n+k−⌊K/2⌋}
 *
 * with one kernel of K weights for each token and head, and key_conv separable: a filter of each
 * column along the tokens, then a product over the columns.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { activate, freezeTensor, isFrozenTensor, linear } from '@peft/ops';
import type { ModelRun } from '@peft/core';
import type { DescriptionBuilder } from '../description/describe.js';
import { attend } from '../parts/attend.js';
import type { BertEncoderConfig } from './bert/bert-encoder.js';
import { shiftedCopies } from './convolve.js';

/** What the `config.json` of ConvBERT says, checked, in this package's words. */
export interface ConvbertConfig extends BertEncoderConfig {
  /** Width of the word embeddings. */
  readonly embeddingSize: number;
  readonly headSize: number; // E
  /** K */
  readonly kernel: number;
  /** Groups of columns that the feed-forward network keeps apart. */
  readonly groups: number;
}

export function describeConvbertBlock(
  model: DescriptionBuilder,
  block: string,
  config: ConvbertConfig,
  layer: number,
): void {
  const { hiddenSize: D, feedForwardSize: F, heads, headSize, kernel } = config;
  const inner = heads * headSize;
  const self = `${block}.attention.self`;
  const project = (path: string, role: string, shape: readonly [number, number]) =>
    model.linear(path, { role, shape, layer });
  model.attention(self, {
    role: 'attention',
    layer,
    heads,
    keyValueHeads: heads,
    headSize,
    stack: 'encoder',
    index: layer,
  });
  for (const part of ['query', 'key', 'value'])
    project(`${self}.${part}`, `attention.${part}`, [inner, D]);
  model.tensor(`${self}.key_conv_attn_layer.bias`, [inner, 1]);
  model.tensor(`${self}.key_conv_attn_layer.depthwise.weight`, [D, 1, kernel]);
  model.tensor(`${self}.key_conv_attn_layer.pointwise.weight`, [inner, D, 1]);
  project(`${self}.conv_kernel_layer`, 'attention.convolution-kernel', [heads * kernel, inner]);
  project(`${self}.conv_out_layer`, 'attention.convolution-value', [inner, D]);
  project(`${block}.attention.output.dense`, 'attention.output', [D, D]);
  model.layerNorm(`${block}.attention.output.LayerNorm`, {
    role: 'norm.attention',
    size: D,
    layer,
  });
  model.sublayer(`${block}.attention.output`, {
    role: 'sublayer.attention',
    layer,
    size: D,
    branch: 'attention',
    stack: 'encoder',
  });
  grouped(model, `${block}.intermediate.dense`, 'ffn.up', [F, D], config, layer);
  grouped(model, `${block}.output.dense`, 'ffn.down', [D, F], config, layer);
  model.layerNorm(`${block}.output.LayerNorm`, { role: 'norm.ffn', size: D, layer });
  model.sublayer(`${block}.output`, {
    role: 'sublayer.ffn',
    layer,
    size: D,
    branch: 'ffn',
    stack: 'encoder',
  });
}

/** A linear map, or one for each group of columns in one tensor, which is no site. */
function grouped(
  model: DescriptionBuilder,
  path: string,
  role: string,
  shape: readonly [number, number],
  { groups }: ConvbertConfig,
  layer: number,
): void {
  if (groups === 1) {
    model.linear(path, { role, shape, layer });
    return;
  }
  model.tensor(`${path}.weight`, [groups, shape[1] / groups, shape[0] / groups]);
  model.tensor(`${path}.bias`, [shape[0]]);
}

export function runConvbertBlock(
  run: ModelRun,
  block: string,
  config: ConvbertConfig,
  x: Tensor2D,
  offsets: Int32Array,
): Tensor2D {
  const close = (module: string, input: Tensor2D, output: Tensor2D): Tensor2D =>
    run.sublayer(`${block}.${module}`, {
      input,
      output: run.dropout(`${block}.${module}`, output, config.hiddenDropout),
      residual: input,
      offsets,
      norm: (y) => run.norm(`${block}.${module}.LayerNorm`, y, config.epsilon),
    });
  const context = mixedAttention(run, `${block}.attention.self`, config, x, offsets);
  const attended = close(
    'attention.output',
    x,
    run.linear(`${block}.attention.output.dense`, context),
  );
  const inner = groupedLinear(run, `${block}.intermediate.dense`, config, attended);
  return close('output', attended, groupedLinear(run, `${block}.output.dense`, config, inner));
}

/** Columns of the attention, then those of the convolution `[N, D]`. */
function mixedAttention(
  run: ModelRun,
  path: string,
  config: ConvbertConfig,
  x: Tensor2D,
  offsets: Int32Array,
): Tensor2D {
  const { heads, headSize, kernel } = config;
  const [q, k, v] = ['query', 'key', 'value'].map((part) => run.linear(`${path}.${part}`, x)) as [
    Tensor2D,
    Tensor2D,
    Tensor2D,
  ];
  const attended = attend(run, path, q, k, v, {
    offsets,
    heads,
    hidden: x,
    dropoutRate: config.attentionDropout,
  });
  const kernels = tf.softmax(
    tf.reshape(
      run.linear(`${path}.conv_kernel_layer`, tf.mul(separable(run, path, x, kernel, offsets), q)),
      [-1, heads, kernel],
    ),
  ) as Tensor3D; // [N, H, K]
  const values = run.linear(`${path}.conv_out_layer`, x);
  const terms = shiftedCopies(values, kernel, offsets).map((rows, n) =>
    tf.mul(
      tf.reshape(rows, [-1, heads, headSize]),
      tf.slice(kernels, [0, 0, n], [-1, -1, 1]), // [N, H, 1]
    ),
  );
  const convolved = tf.reshape(
    terms.reduce((sum: Tensor, term) => tf.add(sum, term)),
    attended.shape,
  );
  return tf.concat([attended, convolved as Tensor2D], 1);
}

/** `key_conv`: y = W_pointwise·(Σ_k w_k ⊙ x_{n+k−⌊K/2⌋}) + b. */
function separable(
  run: ModelRun,
  path: string,
  x: Tensor2D,
  kernel: number,
  offsets: Int32Array,
): Tensor2D {
  const module = `${path}.key_conv_attn_layer`;
  const filters = run.vector(`${module}.depthwise.weight`); // [D, 1, K]
  const width = x.shape[1];
  const filtered = shiftedCopies(x, kernel, offsets)
    .map((rows, n) =>
      tf.mul(rows, tf.reshape(tf.slice(filters, [0, 0, n], [-1, -1, 1]), [1, width])),
    )
    .reduce((sum: Tensor, term) => tf.add(sum, term)) as Tensor2D;
  return linear(
    filtered,
    flat(run.vector(`${module}.pointwise.weight`), [-1, width]) as Tensor2D,
    flat(run.vector(`${module}.bias`), [-1]) as Tensor1D,
  );
}

/** The same values in another shape, frozen where they are. */
function flat(tensor: Tensor, shape: number[]): Tensor {
  const reshaped = tf.reshape(tensor, shape);
  return isFrozenTensor(tensor) ? freezeTensor(reshaped) : reshaped;
}

/** A linear map; of the first one of the network with its activation. */
function groupedLinear(
  run: ModelRun,
  path: string,
  { groups, activation }: ConvbertConfig,
  x: Tensor2D,
): Tensor2D {
  const isUp = path.endsWith('intermediate.dense');
  if (groups === 1) return run.linear(path, x, isUp ? activation : undefined);
  const weights = run.vector(`${path}.weight`); // [groups, in, out]
  const parts = (tf.split(x, groups, 1) as Tensor2D[]).map((rows, n) =>
    tf.matMul(rows, tf.squeeze(tf.slice(weights, [n, 0, 0], [1, -1, -1]), [0])),
  );
  const y = tf.add(tf.concat(parts, 1), run.vector(`${path}.bias`)) as Tensor2D;
  return isUp ? activate(activation, y) : y;
}
