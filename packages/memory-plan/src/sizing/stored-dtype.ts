/**
 * Of which type a checkpoint's tensors are. config.json may say another: it names the type that the
 * model was trained in.
 */
import type { TensorSource } from '@peft/ops';
import type { PlannedDtype } from './sizes-store.js';

/**
 * The floating-point type of most of the bytes; `undefined` where there is none. Reads no tensor.
 */
export function storedDtypeOf(store: {
  names(): Iterable<string>;
  get(name: string): Pick<TensorSource, 'dtype' | 'byteLength'> | undefined;
}): PlannedDtype | undefined {
  const bytes = new Map<PlannedDtype, number>();
  for (const name of store.names()) {
    const { dtype, byteLength } = store.get(name)!;
    if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16')
      bytes.set(dtype, (bytes.get(dtype) ?? 0) + byteLength);
  }
  return [...bytes].sort((a, b) => b[1] - a[1])[0]?.[0];
}
