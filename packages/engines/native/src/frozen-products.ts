/** Products with frozen weights, on their own or with what ends them in the same pass. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D, TensorInfo } from '@tensorflow/tfjs';
import type { ActivationName, AddedGradients, AddedGradientsWanted, AddedProduct } from '@peft/ops';
import { ACTIVATION } from './binding/activations.js';
import type { NativeBinding } from './binding/native-binding.js';
import type { NativeBackend } from './native-backend.js';
import type { NativeWeight } from './native-weight.js';
import { outputShape, shapeError } from './weight-shapes.js';

interface Owner {
  readonly binding: NativeBinding;
  readonly backend: NativeBackend;
  readonly precision: 'bfloat16' | 'float32';
}

const tensorOf = ({ info }: { readonly info: TensorInfo }): Tensor2D =>
  tf.engine().makeTensorFromTensorInfo(info) as Tensor2D;

/** As `Engine.linear`. */
export function linear(
  { binding, backend, precision }: Owner,
  x: Tensor2D,
  weight: NativeWeight,
  bias: Tensor1D | undefined,
): Tensor2D {
  const y = backend.create(outputShape(weight, x));
  weight.read((handle) =>
    binding.linear(
      handle,
      backend.values(x),
      bias ? backend.values(bias) : null,
      y.values,
      x.shape[0],
      precision === 'bfloat16',
    ),
  );
  return tensorOf(y);
}

/** As `Engine.linearActivated`. */
export function linearActivated(
  { binding, backend, precision }: Owner,
  x: Tensor2D,
  weight: NativeWeight,
  bias: Tensor1D | undefined,
  kind: ActivationName,
  keepSums: boolean,
): { y: Tensor2D; sums?: Tensor2D } {
  const shape = outputShape(weight, x);
  const y = backend.create(shape);
  const sums = keepSums ? backend.create(shape) : undefined;
  weight.read((handle) =>
    binding.linearActivated(
      handle,
      backend.values(x),
      bias ? backend.values(bias) : null,
      ACTIVATION[kind],
      y.values,
      sums?.values ?? null,
      x.shape[0],
      precision === 'bfloat16',
    ),
  );
  return { y: tensorOf(y), sums: sums && tensorOf(sums) };
}

/** As `Engine.linearAdded`. */
export function linearAdded(
  { binding, backend, precision }: Owner,
  x: Tensor2D,
  weight: NativeWeight,
  bias: Tensor1D | undefined,
  { a, b, scale }: AddedProduct,
): { y: Tensor2D; narrow: Tensor2D } {
  const shape = outputShape(weight, x);
  const rank = rankOf(weight, a, b);
  const y = backend.create(shape);
  const narrow = backend.create([shape[0], rank]);
  weight.read((handle) =>
    binding.linearAdded(
      handle,
      backend.values(x),
      bias ? backend.values(bias) : null,
      backend.values(a),
      backend.values(b),
      rank,
      scale,
      y.values,
      narrow.values,
      shape[0],
      precision === 'bfloat16',
    ),
  );
  return { y: tensorOf(y), narrow: tensorOf(narrow) };
}

/** As `Engine.linearAddedGradient`. */
export function linearAddedGradient(
  { binding, backend, precision }: Owner,
  dy: Tensor2D,
  weight: NativeWeight,
  { a, b, scale }: AddedProduct,
  { withX, x, narrow }: AddedGradientsWanted,
): AddedGradients {
  const shape = gradientShape(weight, dy, 'linearAddedGradient');
  const dx = withX ? backend.create(shape) : undefined;
  const da = x && backend.create(a.shape);
  const db = narrow && backend.create(b.shape);
  weight.read((handle) =>
    binding.linearAddedGradient(
      handle,
      backend.values(dy),
      x ? backend.values(x) : null,
      narrow ? backend.values(narrow) : null,
      backend.values(a),
      backend.values(b),
      rankOf(weight, a, b),
      scale,
      dx?.values ?? null,
      da?.values ?? null,
      db?.values ?? null,
      shape[0],
      precision === 'bfloat16',
    ),
  );
  return { x: dx && tensorOf(dx), a: da && tensorOf(da), b: db && tensorOf(db) };
}

/** As `Engine.linearInputGradient`. */
export function linearInputGradient(
  { binding, backend, precision }: Owner,
  dy: Tensor2D,
  weight: NativeWeight,
): Tensor2D {
  const shape = gradientShape(weight, dy, 'linearInputGradient');
  const dx = backend.create(shape);
  weight.read((handle) =>
    binding.linearInputGradient(
      handle,
      backend.values(dy),
      dx.values,
      shape[0],
      precision === 'bfloat16',
    ),
  );
  return tensorOf(dx);
}

/** `[N, in]` of a gradient. */
function gradientShape(
  { name, shape }: NativeWeight,
  dy: Tensor2D,
  operation: string,
): [number, number] {
  const [rows, columns] = shape as [number, number];
  if (dy.shape[1] !== rows) throw shapeError(name, operation, `[N, ${rows}]`, dy.shape);
  return [dy.shape[0], columns];
}

/** r of A `[r, in]` and B `[out, r]`. */
function rankOf({ name, shape }: NativeWeight, a: Tensor2D, b: Tensor2D): number {
  const [rows, columns] = shape as [number, number];
  if (a.shape[1] !== columns) throw shapeError(name, 'linearAdded', `A [r, ${columns}]`, a.shape);
  const [rank] = a.shape;
  if (b.shape[0] !== rows || b.shape[1] !== rank)
    throw shapeError(name, 'linearAdded', `B [${rows}, ${rank}]`, b.shape);
  return rank;
}
