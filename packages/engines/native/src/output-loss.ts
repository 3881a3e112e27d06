/** The loss over an output layer in one pass over its weight. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { OnePassLoss, OutputLayerOptions } from '@peft/ops';
import type { NativeBackend } from './native-backend.js';
import type { NativeBinding } from './binding/native-binding.js';
import type { NativeWeight } from './native-weight.js';

interface Owner {
  readonly binding: NativeBinding;
  readonly backend: NativeBackend;
  readonly precision: 'bfloat16' | 'float32';
}

/** As `Engine.linearCrossEntropy`; a weight that is stored turned has no such pass. */
export function outputLoss(
  { binding, backend, precision }: Owner,
  x: Tensor2D,
  weight: NativeWeight,
  labels: Int32Array,
  { bias, scale, softCap }: OutputLayerOptions,
  withGradient: boolean,
): OnePassLoss | undefined {
  if (binding.weightInfo(weight.handle).transposed) return undefined;
  const loss = backend.create([x.shape[0]]);
  const gradient = withGradient ? backend.create(x.shape) : undefined;
  weight.read((handle) =>
    binding.linearCrossEntropy(
      handle,
      backend.values(x),
      bias ? backend.values(bias) : null,
      labels,
      loss.values,
      x.shape[0],
      gradient?.values ?? null,
      scale,
      softCap,
      precision === 'bfloat16',
    ),
  );
  const tensor = ({ info }: typeof loss): Tensor => tf.engine().makeTensorFromTensorInfo(info);
  return {
    loss: tensor(loss) as OnePassLoss['loss'],
    gradient: gradient && (tensor(gradient) as Tensor2D),
  };
}
