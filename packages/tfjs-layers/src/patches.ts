/** The patches that a convolution reads, so that it is a linear map of them. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs';
import type { TfLayer } from './layer-shape.js';

export interface Patches {
  /** `[N·H·W, kernelHeight·kernelWidth·channels]` */
  readonly rows: Tensor2D;
  /** Rows with as many features as there are filters, back in the shape that the layer puts out. */
  restore(rows: Tensor2D): Tensor;
}

/**
 * Patches of a Conv1D's or Conv2D's input. A convolution with ones at one place each reads them,
 * which has its gradient in every backend.
 */
export function patchesOf(layer: TfLayer, input: Tensor): Patches {
  const isFlat = layer.getClassName() === 'Conv1D';
  const isChannelsFirst = layer['dataFormat'] === 'channelsFirst';
  const pair = (field: string): [number, number] => {
    const value = [layer[field]].flat() as number[];
    return isFlat ? [1, value[0]!] : [value[0]!, value[1] ?? value[0]!];
  };
  const [height, width] = pair('kernelSize');
  const [dilation, strides] = [pair('dilationRate'), pair('strides')];
  const ordered = isChannelsFirst ? tf.transpose(input, isFlat ? [0, 2, 1] : [0, 2, 3, 1]) : input;
  const image = (isFlat ? tf.expandDims(ordered, 1) : ordered) as Tensor4D;
  const channels = image.shape[3];
  const size = height * width * channels;
  const reader = tf.reshape(tf.eye(size), [height, width, channels, size]) as Tensor4D;
  const read = tf.conv2d(
    image,
    reader,
    strides,
    layer['padding'] === 'same' ? 'same' : 'valid',
    'NHWC',
    dilation,
  );
  const [batch, rows, columns] = read.shape;
  return {
    rows: tf.reshape(read, [-1, size]),
    restore(made) {
      const outputs = tf.reshape(made, isFlat ? [batch, columns, -1] : [batch, rows, columns, -1]);
      return isChannelsFirst ? tf.transpose(outputs, isFlat ? [0, 2, 1] : [0, 3, 1, 2]) : outputs;
    },
  };
}
