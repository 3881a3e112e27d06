/**
 * Frozen weights that are the layers' own variables, so that nothing is copied, and on whatever
 * backend is current.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import type { Engine, FrozenWeight } from '@peft/ops';

interface ViewedWeight extends FrozenWeight {
  /**
   * The matrix as it is stored: `[in, out]` when `isTransposed`, else `[out, in]` or `[rows, D]`.
   * Owned by the caller's scope, or by the layer.
   */
  view(): Tensor2D;
  readonly isTransposed: boolean;
}

export interface LayersEngine extends Engine {
  /** A handle of a variable that belongs to a layer; disposing the handle leaves it. */
  view(
    name: string,
    shape: readonly number[],
    isTransposed: boolean,
    read: () => Tensor,
  ): FrozenWeight;
}

const stored = (weight: FrozenWeight): ViewedWeight => weight as ViewedWeight;

export function createLayersEngine(): LayersEngine {
  const handle = (
    name: string,
    shape: readonly number[],
    isTransposed: boolean,
    view: () => Tensor2D,
    release: () => void,
  ): ViewedWeight => {
    let isDisposed = false;
    return {
      name,
      shape,
      format: 'f32',
      byteLength: shape.reduce((product, size) => product * size, 4),
      engine,
      isTransposed,
      view,
      get isDisposed() {
        return isDisposed;
      },
      dispose() {
        if (!isDisposed) release();
        isDisposed = true;
      },
    };
  };
  const unsupported = (): never => {
    throw new PeftError(
      'PEFT_WEIGHT_FORMAT',
      'layers: the weights of a layers model are float32.',
      { hint: 'quantised weights need a model of @peft/models' },
    );
  };
  const engine: LayersEngine = {
    name: 'layers',
    precision: 'float32',
    description: "the layers' own variables, on the current backend",
    get backendName() {
      return tf.getBackend();
    },
    activate: () => Promise.resolve(),
    view: (name, shape, isTransposed, read) =>
      handle(
        name,
        shape,
        isTransposed,
        () =>
          tf.reshape(
            read(),
            (isTransposed ? [...shape].reverse() : [...shape]) as [number, number],
          ),
        () => undefined,
      ),
    freeze(source) {
      if (source.dtype !== 'F32') unsupported();
      const bytes = source.read();
      const tensor = tf.keep(
        tf.tensor2d(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4), [
          ...source.shape,
        ] as [number, number]),
      );
      return handle(
        source.name,
        source.shape,
        false,
        () => tensor,
        () => void tensor.dispose(),
      );
    },
    freezeQuantized: unsupported,
    quantizedParts: unsupported,
    linear: (x, weight, bias) =>
      tf.tidy((): Tensor2D => {
        const y: Tensor2D = tf.matMul(
          x,
          stored(weight).view(),
          false,
          !stored(weight).isTransposed,
        );
        return bias ? tf.add(y, bias) : y;
      }),
    linearInputGradient: (dy, weight) =>
      tf.tidy(() => tf.matMul(dy, stored(weight).view(), false, stored(weight).isTransposed)),
    gather: (weight, ids) =>
      tf.tidy(() => tf.gather<Tensor2D>(stored(weight).view(), tf.tensor1d(ids, 'int32'))),
    dequantize: (weight) =>
      tf.tidy((): Tensor =>
        stored(weight).isTransposed
          ? tf.transpose(stored(weight).view())
          : tf.clone(stored(weight).view()),
      ),
    dispose: () => undefined,
  };
  return engine;
}
